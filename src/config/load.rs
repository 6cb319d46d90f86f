//! From a file to a checked configuration, or to every mistake in it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, absolute};

use super::{Config, Problems, Source, check, paths, schema, tree, typed};

/// Larger files are refused: nobody writes one by hand.
const LARGEST: u64 = 1 << 20;

/// A configuration without mistakes, and the text that it came from.
#[derive(Debug, Clone)]
pub struct Document {
    /// What the file says. Its paths are absolute.
    pub config: Config,
    /// Where the file says it, for mistakes that only show once the files that it names were read.
    pub source: Source,
}

/// Reads a file. Relative paths in it are taken relative to its directory.
pub fn load(file: &Path) -> Result<Document, Problems> {
    let text = read(file).map_err(|reason| Problems::of_file(&file.display().to_string(), reason))?;
    parse(file, &text)
}

/// Reads `text` as if it stood in `file`, which needn't exist.
pub fn parse(file: &Path, text: &str) -> Result<Document, Problems> {
    let name = file.display().to_string();
    if text.len() as u64 > LARGEST {
        return Err(Problems::of_file(&name, too_large()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let grown = tree::grow(text);
    let source = Source::new(&name, text, grown.nodes);
    let mut problems = source.problems();
    problems.extend(grown.notes.into_iter().map(|note| source.problem_in(note.span, note.message)));
    if !grown.complete {
        return Err(problems);
    }
    let reading = typed::read::<Config>(&source, &schema::of_types(), &mut problems);
    let Some(mut config) = reading.value else {
        return Err(problems);
    };
    problems.extend(check::check(&config, &source, &reading.survivors));
    match absolute(file) {
        Ok(file) => paths::resolve(&mut config, file.parent().unwrap_or(&file)),
        Err(error) => problems.push(super::Problem::of_file(&name, format!("no current directory: {error}"))),
    }
    problems.into_result(()).map(|()| Document { config, source })
}

fn read(file: &Path) -> Result<String, String> {
    let reason = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read the file".to_owned(),
        ErrorKind::IsADirectory => "this is a directory: expected a YAML file".to_owned(),
        _ => format!("the file can't be read: {error}"),
    };
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(reason)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("not UTF-8 from line {line} on: save the file in that encoding")
    })
}

fn too_large() -> String {
    format!("larger than {} MiB: this can't be a configuration", LARGEST >> 20)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

    use super::*;
    use crate::config::testing::{BASE, with};
    use crate::config::{AccessLog, Authorities, OneOrMany, SignedSource};

    fn refusal(file: &Path) -> String {
        load(file).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_readable_file_is_one_clear_mistake() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let expected = |name: &str, reason: &str| {
            let file = at(name);
            format!("error: {reason}\n  --> {0}\n\n1 mistake in {0}", file.display())
        };
        assert_eq!(refusal(&at("none.yaml")), expected("none.yaml", "there is no such file"));
        fs::create_dir(at("directory")).unwrap();
        let reason = "this is a directory: expected a YAML file";
        assert_eq!(refusal(&at("directory")), expected("directory", reason));
        fs::write(at("latin.yaml"), b"a: b\n\xff").unwrap();
        let reason = "not UTF-8 from line 2 on: save the file in that encoding";
        assert_eq!(refusal(&at("latin.yaml")), expected("latin.yaml", reason));
        fs::write(at("large.yaml"), vec![b'#'; (1 << 20) + 1]).unwrap();
        let reason = "larger than 1 MiB: this can't be a configuration";
        assert_eq!(refusal(&at("large.yaml")), expected("large.yaml", reason));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sekisho.yaml");
        let more =
            "trust: { authorities: [ca.pem, /ca.pem], crl: { sources: [crl/a] } }\naccess_log: ./access.log";
        fs::write(&file, with(more)).unwrap();
        let config = load(&file).unwrap().config;
        let at = |name: &str| directory.path().join(name);
        let host = config.hosts.values().next().unwrap();
        assert_eq!(
            (&host.tls.as_slice()[0].certificate, &host.tls.as_slice()[0].key),
            (&at("www.pem"), &at("www.key"))
        );
        let trust = config.trust.unwrap();
        assert_eq!(
            trust.authorities,
            OneOrMany::Many(vec![Authorities::File(at("ca.pem")), Authorities::File("/ca.pem".into())])
        );
        assert_eq!(trust.crl.unwrap().sources, [SignedSource::File(at("crl/a"))]);
        assert_eq!(config.access_log, AccessLog::File(at("./access.log")));
    }

    #[test]
    fn later_checks_find_their_place_by_pointer() {
        let source = parse(Path::new("sekisho.yaml"), BASE).unwrap().source;
        let at = |pointer: &str| source.problem(pointer, "x").position();
        assert_eq!(at("/hosts/www.mihonbank.example/tls/key"), Some((5, 39)));
        assert_eq!(at("/hosts/www.mihonbank.example/tls/nothing"), Some((5, 5)));
        assert_eq!(at("/hosts/www.mihonbank.example"), Some((4, 3)));
        assert_eq!(at("/routes/0"), Some((8, 5)));
        assert_eq!(at("/routes/7/upstream"), Some((7, 1)));
        assert_eq!(at("/limits/body"), None);
        assert_eq!(source.key_problem("/routes/0/upstream", "x").position(), Some((10, 5)));
        assert_eq!(source.line("/upstreams/website"), Some(12));
        assert_eq!(source.keys("/upstreams"), ["website"]);
        let mut problems = source.problems();
        problems.push(source.problem("/hosts/www.mihonbank.example/tls/key", "the key doesn't fit"));
        assert_eq!(
            problems.to_string(),
            "error: the key doesn't fit
  --> sekisho.yaml:5:39
  |
5 |     tls: { certificate: www.pem, key: www.key }
  |                                       ^^^^^^^

1 mistake in sekisho.yaml"
        );
    }

    #[test]
    fn a_byte_order_mark_and_any_line_end_are_fine() {
        let text = format!("\u{feff}{}", BASE.replace('\n', "\r\n"));
        let source = parse(Path::new("sekisho.yaml"), &text).unwrap().source;
        assert_eq!(source.problem("/routes/0/require", "x").position(), Some((9, 14)));
    }

    /// Pieces of YAML, so that random text gets past the parser.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "listeners",
            "hosts",
            "routes",
            "bind",
            "trust",
            "limits",
            "body",
            "a",
            "みほん",
            "0x1f",
            "-1",
            "1e999",
            "null",
            "~",
            ": ",
            ":",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "'",
            "\"",
            "|\n",
            ">\n",
            "&a ",
            "*a",
            "!t ",
            "<<: ",
            "? ",
            "# ",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "\t",
            "\r",
            "\\",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\0",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_text_panics_the_reader(text in "\\PC*") {
            let _ = parse(Path::new("f"), &text).map_err(|problems| problems.to_string());
        }

        #[test]
        fn nothing_like_yaml_panics_the_reader(text in pieces()) {
            let _ = parse(Path::new("f"), &text).map_err(|problems| problems.to_string());
        }

        #[test]
        fn no_damage_to_a_good_file_panics_the_reader(at in 0..BASE.len(), length in 0usize..40, piece in pieces()) {
            let end = (at + length).min(BASE.len());
            let text = format!("{}{piece}{}", &BASE[..at], &BASE[end..]);
            let _ = parse(Path::new("f"), &text).map_err(|problems| problems.to_string());
        }
    }
}
