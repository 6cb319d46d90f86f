//! `check`: says whether a configuration is good, and every mistake if it isn't. Changes nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::operations::{self, Trouble};
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Config, Document, Problems};

/// sysexits.h: something was found in an unconfigured or misconfigured state.
const EX_CONFIG: u8 = 78;

/// Check the configuration without starting anything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print the configuration with every default filled in and every path absolute.
    #[arg(long)]
    pub print: bool,
    /// Also name what a running gateway can't change without a restart: its address for operators (IP:PORT), or the
    /// file that it goes by.
    #[arg(long, value_name = "RUNNING")]
    pub against: Option<String>,
}

/// Runs the command: 0 and "ok" if the file is good, else 78 and all mistakes on stderr.
pub fn run(args: &Args) -> ExitCode {
    let answer = answer(args);
    let written = match &answer {
        Ok(text) => io::stdout().write_all(text.as_bytes()),
        Err(text) => writeln!(io::stderr(), "{text}"),
    };
    match (answer, written) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (Ok(_), Err(_)) => ExitCode::FAILURE,
        (Err(_), _) => ExitCode::from(EX_CONFIG),
    }
}

fn answer(args: &Args) -> Result<String, String> {
    match config::load(&args.config).and_then(meaning) {
        Ok((document, _)) if args.print => effective(&document.config),
        Ok((document, _)) if args.against.is_some() => {
            against(&document, args.against.as_deref().unwrap_or_default())
        }
        Ok((_, doubts)) => {
            let doubts: String = doubts.iter().map(|doubt| format!("  note: {doubt}\n")).collect();
            Ok(format!("{}: ok\n{doubts}", args.config.display()))
        }
        Err(problems) => Err(problems.to_string()),
    }
}

/// What of the file a reload of `running` can't bring about.
fn against(document: &Document, running: &str) -> Result<String, String> {
    let running = match running.parse() {
        Ok(address) => {
            let text = operations::config(address).map_err(|trouble| match trouble {
                Trouble::Unreachable(told) | Trouble::Refused(told) => told,
            })?;
            config::parse(Path::new(running), &text)
        }
        Err(_) => config::load(Path::new(running)),
    };
    let running = running.map_err(|problems| problems.to_string())?;
    let name = document.source.name();
    let fixed = config::needs_restart(&running.config, &document.config);
    if fixed.is_empty() {
        return Ok(format!("{name}: ok, a reload brings all of it about\n"));
    }
    let mut told =
        format!("{name}: ok, but without a restart (or an upgrade in place) these can't change:\n");
    for pointer in fixed {
        told.push_str(&format!("  {}\n", pointer.trim_start_matches('/')));
    }
    Ok(told)
}

/// What the file means, beyond its form: whether the files that it names are there and fit. With what is doubtful about it.
fn meaning(document: Document) -> Result<(Document, Vec<String>), Problems> {
    let now = Clock::System.now();
    let doubts = app::plan(&document, now)?.doubts(&document, now);
    Ok((document, doubts))
}

/// The configuration as YAML that loads again.
fn effective(config: &Config) -> Result<String, String> {
    serde_saphyr::to_string(config).map_err(|error| format!("the configuration can't be printed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_bad_file_is_explained_and_so_are_the_files_that_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("sekisho.yaml");
        let name = config.display().to_string();
        let args = Args { config: config.clone(), print: false, against: None };
        fs::write(&config, include_str!("../../config/sekisho.yaml")).unwrap();
        let missing = answer(&args).unwrap_err();
        for (file, place) in [
            ("certs/www.pem", "23:20"),
            ("certs/www.key", "24:12"),
            ("certs/cert.pem", "31:20"),
            ("certs/cert.key", "32:12"),
            ("certs/bank-ca.pem", "49:16"),
            ("certs/bank-ca.crl", "58:9"),
            ("pins/common.txt", "92:16"),
        ] {
            let file = directory.path().join(file);
            let told = format!("error: {}: there is no such file\n   --> {name}:{place}\n", file.display());
            assert!(missing.contains(&told), "{missing}");
        }
        let pepper = directory.path().join("secrets/pepper");
        let told = format!("{}: there is no such file (`sekisho pepper` makes one)\n", pepper.display());
        assert!(missing.contains(&told), "{missing}");
        assert!(missing.ends_with(&format!("20 mistakes in {name}")), "{missing}");
        fs::write(&config, "").unwrap();
        let explained =
            format!("error: the file is empty\n  --> {name}:1:1\n  |\n1 | \n  | ^\n\n1 mistake in {name}");
        assert_eq!(answer(&args), Err(explained));
    }

    #[test]
    fn what_is_printed_loads_again_and_means_the_same() {
        let example = include_str!("../../config/sekisho.yaml");
        let load = |text: &str| match config::parse(Path::new("/etc/sekisho/sekisho.yaml"), text) {
            Ok(document) => document.config,
            Err(problems) => panic!("{text}\n{problems}"),
        };
        let odd = "listeners: [{ bind: '[::]:0' }]\nhosts: {}\nworkers: 3\naccess_log: off\nlimits: { body: 1500 }\n"
            .replace("{}", "{ '1e3.example': { tls: { certificate: ' a#: ', key: 'null' }, client_certificate: none } }");
        for text in [example, &odd] {
            let printed = effective(&load(text)).unwrap();
            assert_eq!(effective(&load(&printed)).unwrap(), printed);
        }
        let printed = effective(&load(&odd)).unwrap();
        assert!(
            printed.contains("certificate: '/etc/sekisho/ a#: '")
                || printed.contains("certificate: \"/etc/sekisho/ a#: \""),
            "{printed}"
        );
        assert!(printed.contains("body: '1500'") || printed.contains("body: \"1500\""), "{printed}");
    }
}
