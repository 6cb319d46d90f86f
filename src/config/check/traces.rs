//! Traces: what can be told to whom, and whose go on here.

use super::Report;
use crate::config::ContinueFrom;

impl Report<'_> {
    pub(super) fn traces(&mut self) {
        let Some(traces) = &self.config.traces else { return };
        for (member, file) in [("authorities", &traces.authorities), ("headers_file", &traces.headers_file)] {
            if let Some(file) = file {
                self.path(&format!("/traces/{member}"), file);
            }
        }
        // Not a number is none from 0 to 1 either.
        if !(0.0..=1.0).contains(&traces.ratio) {
            self.problem("/traces/ratio", format!("expected from 0 to 1, found {}", traces.ratio));
        }
        if traces.service.trim().is_empty() {
            self.problem("/traces/service", "expected a name, found an empty text");
        }
        if traces.headers_file.is_some() && traces.url.is_overheard() {
            let told = "what is in it would go over the network in the clear: `url` needs `https`";
            self.problem("/traces/headers_file", told);
        }
        let trusts_nobody = self.config.trusted_proxies.is_empty() && !self.is_lost("/trusted_proxies");
        if traces.continue_from == ContinueFrom::TrustedProxies && trusts_nobody {
            self.problem("/traces/continue_from", "there are no `trusted_proxies` whose traces could go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{lines_of, mistakes, with};

    const URL: &str = "url: 'http://127.0.0.1:4318/v1/traces'";

    #[test]
    fn traces_are_told_to_one_collector_and_no_secret_to_the_network() {
        let clear = "what is in it would go over the network in the clear: `url` needs `https`";
        for (members, expected) in [
            (URL, String::new()),
            ("url: 'https://otel.internal/v1/traces', headers_file: a, authorities: b", String::new()),
            (&format!("{URL}, headers_file: a"), String::new()),
            ("url: 'http://otel.internal/v1/traces', headers_file: a", format!("14 {clear}")),
            ("ratio: 1", "14 missing key `url`".to_owned()),
            (
                &format!("{URL}, headers_file: ''"),
                "14 expected the path of a file, found an empty text".to_owned(),
            ),
            (
                &format!("{URL}, authorities: ''"),
                "14 expected the path of a file, found an empty text".to_owned(),
            ),
            (&format!("{URL}, service: ' '"), "14 expected a name, found an empty text".to_owned()),
        ] {
            assert_eq!(
                lines_of(mistakes(&with(&format!("traces: {{ {members} }}")))).concat(),
                expected,
                "{members}"
            );
        }
    }

    #[test]
    fn a_ratio_is_a_part_of_all() {
        let told =
            |ratio: &str| lines_of(mistakes(&with(&format!("traces: {{ {URL}, ratio: {ratio} }}")))).concat();
        for ratio in ["0", "1", "0.01", "1e-3"] {
            assert_eq!(told(ratio), "", "{ratio}");
        }
        assert_eq!(told("2"), "14 expected from 0 to 1, found 2");
        assert_eq!(told("-0.1"), "14 expected from 0 to 1, found -0.1");
        assert_eq!(told(".nan"), "14 expected from 0 to 1, found NaN");
        assert_eq!(told("1%"), "14 expected a number, found `1%`");
    }

    #[test]
    fn traces_go_on_only_where_somebody_is_trusted() {
        let line = format!("traces: {{ {URL}, continue_from: trusted_proxies }}");
        assert_eq!(
            lines_of(mistakes(&with(&line))),
            ["14 there are no `trusted_proxies` whose traces could go on"]
        );
        assert_eq!(mistakes(&with(&format!("{line}\ntrusted_proxies: [10.0.0.0/8]"))), [""; 0]);
    }
}
