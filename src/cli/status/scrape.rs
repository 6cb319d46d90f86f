//! Reading metrics in Prometheus' text format, as far as the gateway writes it.

use std::collections::BTreeMap;

/// Labels of a series.
pub(super) type Labels = BTreeMap<String, String>;

/// What one scrape brought.
pub(super) struct Scrape(Vec<(String, Labels, f64)>);

impl Scrape {
    /// Reads a scrape. A line that isn't understood is passed over: a newer gateway may say more.
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect())
    }

    /// The series of a metric.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        self.0.iter().filter(move |(known, ..)| known == name).map(|(_, labels, value)| (labels, *value))
    }

    /// The value of a metric without labels.
    pub(super) fn one(&self, name: &str) -> Option<f64> {
        self.all(name).next().map(|(_, value)| value)
    }

    /// The sum over the series whose label has this value.
    pub(super) fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        self.all(name)
            .filter(|(labels, _)| labels.get(label).is_some_and(|known| known == value))
            .map(|(_, value)| value)
            .sum()
    }
}

fn series(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    Some((name.to_owned(), labels, value.trim().parse().ok()?))
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut found = Labels::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((found, behind));
        }
        let (name, behind) = rest.trim_start_matches(',').split_once("=\"")?;
        let (mut value, mut signs) = (String::new(), behind.char_indices());
        let end = loop {
            match signs.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match signs.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, sign) => value.push(sign),
            }
        };
        found.insert(name.to_owned(), value);
        rest = &behind[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_whatever_is_in_its_labels() {
        let scrape =
            Scrape::read("# TYPE a gauge\na 1\nb{x=\"1\",y=\"a\\\\\\\"}, \\n\"} 2.5e3\nbroken{x=\nc{} NaN");
        assert_eq!(scrape.one("a"), Some(1.0));
        let (labels, value) = scrape.all("b").next().unwrap();
        assert_eq!((labels["x"].as_str(), labels["y"].as_str(), value), ("1", "a\\\"}, \n", 2500.0));
        assert_eq!(scrape.sum("b", "x", "1"), 2500.0);
        assert!(scrape.one("c").unwrap().is_nan());
        assert!(scrape.one("broken").is_none());
    }
}
