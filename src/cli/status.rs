//! `sekisho status`: what a running gateway is doing, and what is wrong with it, for a person at a terminal.

mod scrape;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use self::scrape::Scrape;
use super::failure::{Failure, TEMPORARY, UNAVAILABLE, print};
use super::operations::{self, Running, Trouble};
use crate::clock::Clock;

/// See what a running gateway is doing, and what is wrong
///
/// Exit codes: 0 if all is well, 75 if it serves but something is wrong, 69 if it doesn't serve.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    gateway: Running,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match status(arguments, clock.now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("status"),
    }
}

fn status(arguments: &Arguments, now: Timestamp) -> Result<(), Failure> {
    let address = arguments.gateway.address()?;
    let (is_serving, readiness) = match operations::readiness(address) {
        Ok(text) => (true, text),
        Err(Trouble::Refused(text)) => (false, text),
        Err(trouble) => return Err(trouble.into()),
    };
    let scrape = Scrape::read(&operations::metrics(address)?);
    print(&format!("{}{}", told(&readiness), report(&scrape, now)))?;
    if !is_serving {
        return Err(Failure::new(UNAVAILABLE, readiness));
    }
    if readiness.trim() == "ready" && is_well(&scrape, now) {
        Ok(())
    } else {
        Err(Failure::new(TEMPORARY, "it serves, but something is wrong"))
    }
}

/// What ends some day, with the label that says whose it is.
const ENDS: [(&str, &str, &str); 3] = [
    ("certificate", "sekisho_server_certificate_expiry_timestamp_seconds", "host"),
    ("list", "sekisho_crl_next_update_timestamp_seconds", "source"),
    ("own list", "sekisho_revocation_list_next_update_timestamp_seconds", ""),
];

/// Whether nothing is wrong that `/readyz` says nothing of: what has ended, and upstreams without an endpoint.
fn is_well(scrape: &Scrape, now: Timestamp) -> bool {
    let mut ends = ENDS.iter().flat_map(|(_, metric, _)| scrape.all(metric)).filter(|(_, end)| *end > 0.0);
    let has_ended = ends.any(|(_, end)| at(end).is_some_and(|end| end <= now));
    let mut usable = BTreeMap::new();
    for (labels, value) in scrape.all("sekisho_upstream_endpoint_usable") {
        *usable.entry(labels.get("upstream")).or_default() |= value > 0.0;
    }
    !has_ended && usable.into_values().all(|is_usable: bool| is_usable)
}

/// What `/readyz` says, a line for each thing.
fn told(readiness: &str) -> String {
    readiness.lines().map(|line| format!("{line}\n")).collect()
}

/// What the metrics say, for those who don't read metrics.
fn report(scrape: &Scrape, now: Timestamp) -> String {
    let lines = [
        ("version", version(scrape)),
        ("serving", scrape.one("sekisho_start_time_seconds").map(|began| since(began, now))),
        ("reloaded", reloaded(scrape, now)),
        ("connections", connections(scrape)),
        ("requests", requests(scrape)),
        ("upstreams", upstreams(scrape)),
        ("stores", stores(scrape)),
        ("credentials", credentials(scrape)),
    ];
    let mut text = String::new();
    for (name, said) in lines {
        if let Some(said) = said {
            text.push_str(&format!("{name:<12} {said}\n"));
        }
    }
    for (name, metric, label) in ENDS {
        for (labels, value) in scrape.all(metric).filter(|(_, value)| *value > 0.0) {
            let of = labels.get(label).map(|of| format!("{of}, ")).unwrap_or_default();
            text.push_str(&format!("{name:<12} {of}{}\n", until(value, now)));
        }
    }
    text
}

fn version(scrape: &Scrape) -> Option<String> {
    let (labels, _) = scrape.all("sekisho_build_info").next()?;
    labels.get("version").cloned()
}

fn reloaded(scrape: &Scrape, now: Timestamp) -> Option<String> {
    let at = scrape.one("sekisho_config_last_reload_success_timestamp_seconds").filter(|at| *at > 0.0)?;
    let last = scrape.one("sekisho_config_last_reload_success");
    let refused = if last == Some(0.0) { "; the last reload was refused" } else { "" };
    Some(format!("{}{refused}", since(at, now)))
}

fn connections(scrape: &Scrape) -> Option<String> {
    let open = scrape.one("sekisho_connections")?;
    let tunnels = scrape.one("sekisho_tunnels").unwrap_or_default();
    Some(format!("{open} open, {tunnels} of them WebSockets"))
}

/// By the class of their status.
fn requests(scrape: &Scrape) -> Option<String> {
    let classes: Vec<String> = ["1xx", "2xx", "3xx", "4xx", "5xx"]
        .iter()
        .map(|class| (class, scrape.sum("sekisho_requests_total", "status", class)))
        .filter(|(_, count)| *count > 0.0)
        .map(|(class, count)| format!("{count} {class}"))
        .collect();
    Some(if classes.is_empty() { "none yet".to_owned() } else { classes.join(", ") })
}

fn upstreams(scrape: &Scrape) -> Option<String> {
    let endpoints: Vec<_> = scrape.all("sekisho_upstream_endpoint_usable").collect();
    let out: Vec<String> = endpoints
        .iter()
        .filter(|(_, usable)| *usable == 0.0)
        .map(|(labels, _)| {
            let of = |label: &str| labels.get(label).map_or("?", String::as_str);
            format!("{} at {}", of("upstream"), of("endpoint"))
        })
        .collect();
    let none = if out.is_empty() { String::new() } else { format!("; none to {}", out.join(", ")) };
    (!endpoints.is_empty()).then(|| {
        format!("{} of {} endpoints get requests{none}", endpoints.len() - out.len(), endpoints.len())
    })
}

fn stores(scrape: &Scrape) -> Option<String> {
    let said: Vec<String> = scrape
        .all("sekisho_store_failing")
        .filter_map(|(labels, failing)| {
            let store = labels.get("store")?;
            Some(format!("{store} {}", if failing == 0.0 { "works" } else { "FAILS" }))
        })
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn credentials(scrape: &Scrape) -> Option<String> {
    let said: Vec<String> = scrape
        .all("sekisho_credentials")
        .filter_map(|(labels, count)| Some(format!("{count} {}", labels.get("state")?)))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn since(seconds: f64, now: Timestamp) -> String {
    match at(seconds) {
        Some(then) => format!("since {then} ({})", long(now.as_second() - then.as_second())),
        None => "since nobody knows when".to_owned(),
    }
}

fn until(seconds: f64, now: Timestamp) -> String {
    match at(seconds) {
        Some(end) if end <= now => format!("OVER since {end}"),
        Some(end) => format!("until {end} ({})", long(end.as_second() - now.as_second())),
        None => "until nobody knows when".to_owned(),
    }
}

fn at(seconds: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970, without their fractions")]
    Timestamp::from_second(seconds as i64).ok()
}

/// A duration in the two largest of its units.
fn long(seconds: i64) -> String {
    let minutes = seconds.max(0) / 60;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"
# HELP sekisho_build_info x
sekisho_build_info{version="0.1.0"} 1
sekisho_start_time_seconds 1764201600
sekisho_config_last_reload_success 0
sekisho_config_last_reload_success_timestamp_seconds 1764295200
sekisho_connections 412
sekisho_tunnels 3
sekisho_requests_total{host="a.example",status="2xx"} 100
sekisho_requests_total{host="b.example",status="2xx"} 20
sekisho_requests_total{host="b.example",status="5xx"} 1
sekisho_upstream_endpoint_usable{endpoint="10.0.0.1:80",upstream="banking"} 1
sekisho_upstream_endpoint_usable{endpoint="10.0.0.2:80",upstream="banking"} 0
sekisho_store_failing{store="directory"} 0
sekisho_store_failing{store="state"} 1
sekisho_credentials{state="live"} 7
sekisho_server_certificate_expiry_timestamp_seconds{algorithm="ECDSA",host="a.example"} 1766966400
sekisho_crl_next_update_timestamp_seconds{source="certs/a \"b\".crl"} 1764288000
"#;

    #[test]
    fn a_person_reads_what_the_metrics_say() {
        let now = "2025-11-28T03:00:00Z".parse().unwrap();
        assert_eq!(
            report(&Scrape::read(METRICS), now),
            "version      0.1.0
serving      since 2025-11-27T00:00:00Z (1 d 3 h)
reloaded     since 2025-11-28T02:00:00Z (1 h 0 min); the last reload was refused
connections  412 open, 3 of them WebSockets
requests     120 2xx, 1 5xx
upstreams    1 of 2 endpoints get requests; none to banking at 10.0.0.2:80
stores       directory works, state FAILS
credentials  7 live
certificate  a.example, until 2025-12-29T00:00:00Z (30 d 21 h)
list         certs/a \"b\".crl, OVER since 2025-11-28T00:00:00Z
"
        );
    }

    #[test]
    fn what_has_ended_and_an_upstream_without_an_endpoint_are_wrong() {
        let [before, after] =
            ["2025-11-27T23:59:59Z", "2025-11-28T00:00:00Z"].map(|time| time.parse().unwrap());
        assert!(is_well(&Scrape::read(METRICS), before));
        assert!(!is_well(&Scrape::read(METRICS), after), "the list is over");
        let none =
            METRICS.replace("10.0.0.1:80\",upstream=\"banking\"} 1", "10.0.0.1:80\",upstream=\"banking\"} 0");
        assert!(!is_well(&Scrape::read(&none), before), "no endpoint of an upstream is left");
    }

    #[test]
    fn where_nothing_is_said_nothing_is_shown() {
        let now = "2025-11-28T03:00:00Z".parse().unwrap();
        assert_eq!(report(&Scrape::read(""), now), "requests     none yet\n");
    }
}
