//! T7 and T8: lists that are fetched, from a real server on a port of its own. Time stands still unless a test moves it.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use rcgen::{CrlDistributionPoint, SerialNumber, date_time_ymd};

use super::{Source, TrustKeeper, load};
use crate::app::testing::{Answer, Server};
use crate::clock::Clock;
use crate::config;
use crate::ops::Metrics;
use crate::pki::testing::{CN, Ca, Folder, at, now};

const REVOKED: u64 = 7;
const GOOD: &str = "good";
const UNKNOWN: &str = "revocation_unknown";

/// A keeper over a folder, with a clock to move.
struct House {
    folder: Folder,
    clock: Clock,
    metrics: Metrics,
    keeper: TrustKeeper,
}

/// The settings of this YAML below `trust`, with paths in the folder.
fn settings(folder: &Folder, yaml: &str) -> config::Trust {
    let whole = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]
hosts: {{ a.example: {{ tls: {{ certificate: a, key: b }}, client_certificate: required }} }}
routes: []
upstreams: {{}}
trust:
{yaml}
"
    );
    let file = folder.file("sekisho.yaml", whole);
    config::load(&file).unwrap_or_else(|problems| panic!("{problems}")).config.trust.unwrap()
}

fn one(url: &str) -> String {
    format!("  authorities: ca.pem\n  crl: {{ sources: ['{url}'], cache: cache, max_size: 4KiB }}")
}

fn start(folder: Folder, yaml: &str, time: Timestamp) -> House {
    let (clock, metrics) = (Clock::manual(time), Metrics::new().unwrap());
    let settings = settings(&folder, yaml);
    let trust = load(&settings, time).unwrap();
    let keeper = TrustKeeper::new(&settings, trust, &clock, &metrics).unwrap();
    House { folder, clock, metrics, keeper }
}

/// A folder that believes `ca`.
fn believing(ca: &Ca) -> Folder {
    let folder = Folder::new();
    folder.file("ca.pem", ca.pem());
    folder
}

impl House {
    /// What the judge says of a certificate now.
    fn verdict(&self, ca: &Ca, serial: u64) -> String {
        self.verdict_of(&ca.leaf_with(CN, |it| it.serial_number = Some(SerialNumber::from(serial))))
    }

    fn verdict_of(&self, leaf: &rustls::pki_types::CertificateDer<'static>) -> String {
        let judgement = self.keeper.trust().load().judge(std::slice::from_ref(leaf), self.clock.now());
        match judgement.standing {
            crate::domain::Standing::Absent => "absent".to_owned(),
            crate::domain::Standing::Good(_) => GOOD.to_owned(),
            crate::domain::Standing::Refused(refusal) => refusal.reason.code().to_owned(),
        }
    }

    async fn refresh(&self) -> bool {
        let sources = self.keeper.sources();
        let mut all_good = true;
        for source in &sources.list {
            all_good &= self.keeper.refresh(source).await;
        }
        all_good
    }

    fn source(&self) -> std::sync::Arc<Source> {
        self.keeper.sources().list[0].clone()
    }

    fn metric(&self, name: &str) -> f64 {
        let name = format!("sekisho_crl_{name}{{source=\"{}\"}} ", self.source().origin);
        let text = self.metrics.scrape();
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(-1.0)
    }

    fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path("cache")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn a_fetched_list_is_in_force_and_the_next_fetch_is_conditional() {
    let ca = Ca::root("Mihon Bank CA");
    let server = Server::start();
    server.says(Answer::ok(&ca.crl(5, &[REVOKED])).field("ETag", "\"five\""));
    let house = start(believing(&ca), &one(&server.url), now());
    assert_eq!(house.verdict(&ca, 8), UNKNOWN);
    assert_eq!((house.metric("stale"), house.metric("entries")), (1.0, -1.0));

    house.keeper.first().await;
    assert_eq!((house.verdict(&ca, 8), house.verdict(&ca, REVOKED)), (GOOD.into(), "revoked".into()));
    assert_eq!((house.metric("stale"), house.metric("entries")), (0.0, 1.0));
    assert_eq!(house.metric("next_update_timestamp_seconds"), super::seconds(at("2026-07-01T00:00:00Z")));
    assert_eq!(server.last().field("if-none-match"), None);

    let generation = house.keeper.trust().load().generation();
    server.says(Answer::status(304));
    house.clock.set(at("2026-06-01T00:10:00Z"));
    assert!(house.refresh().await);
    assert_eq!(server.last().field("if-none-match").as_deref(), Some("\"five\""));
    assert_eq!(house.metric("last_success_timestamp_seconds"), super::seconds(at("2026-06-01T00:10:00Z")));
    assert_eq!(
        (house.metric("failures_total"), house.keeper.trust().load().generation()),
        (-1.0, generation)
    );

    let date = "Mon, 01 Jun 2026 00:00:00 GMT";
    server.says(Answer::ok(&ca.crl(6, &[REVOKED, 8])).field("Last-Modified", date));
    assert!(house.refresh().await);
    assert_eq!(house.verdict(&ca, 8), "revoked");
    server.says(Answer::status(304));
    assert!(house.refresh().await);
    let last = server.last();
    assert_eq!((last.field("if-modified-since").as_deref(), last.field("if-none-match")), (Some(date), None));
}

#[tokio::test]
async fn whatever_is_wrong_with_an_answer_leaves_the_last_good_list_in_force() {
    let (ca, stranger) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA"));
    let server = Server::start();
    let good = ca.crl(5, &[REVOKED]);
    server.says(Answer::ok(&good).field("ETag", "\"five\""));
    let house = start(believing(&ca), &one(&server.url), now());
    house.keeper.first().await;
    let generation = house.keeper.trust().load().generation();
    let copy = house.copies();
    assert_eq!(copy.len(), 1);

    let stale = ca.crl_with(6, &[], |it| it.next_update = date_time_ymd(2026, 5, 20));
    let future = ca.crl_with(6, &[], |it| it.this_update = date_time_ymd(2026, 6, 2));
    let mut damaged = ca.crl(6, &[]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let elsewhere = Server::start();
    elsewhere.says(Answer::ok(&ca.crl(7, &[])));
    let bodies = [
        Answer::ok(&[]),
        Answer::ok(b"<html>maintenance</html>"),
        Answer::ok(&good[..good.len() - 1]),
        Answer::ok(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
        Answer::ok(&vec![0x30; 4096]),
        Answer::ok(&damaged),
        Answer::ok(&ca.crl(4, &[])),
        Answer::ok(&stale),
        Answer::ok(&future),
        Answer::ok(&stranger.crl(6, &[])),
        Answer::ok(&vec![0; 4097]),
        Answer::ok(&vec![0; 4097]).without_length(),
        Answer::ok(&ca.crl(6, &[])).cut_off(),
        Answer::status(404),
        Answer::status(500),
        Answer::status(206),
        Answer::status(302).field("Location", &elsewhere.url),
        Answer::status(301).field("Location", &server.url),
    ];
    let count = bodies.len();
    for (number, answer) in bodies.into_iter().enumerate() {
        server.says(answer);
        assert!(!house.refresh().await, "{number}");
        assert_eq!(house.verdict(&ca, REVOKED), "revoked", "{number}");
        assert_eq!(house.verdict(&ca, 8), GOOD, "{number}");
        // What was refused is asked for again: its validators are not taken over.
        assert_eq!(server.last().field("if-none-match").as_deref(), Some("\"five\""));
    }
    assert_eq!(
        u64::try_from(count).unwrap(),
        house.metrics.crl_failures.with_label_values(&[&*house.source().origin]).get()
    );
    assert_eq!(house.keeper.trust().load().generation(), generation);
    assert_eq!(fs::read(&copy[0]).unwrap(), good);
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_no_list() {
    let ca = Ca::root("Mihon Bank CA");
    let server = Server::start();
    server.says(Answer::status(304));
    let house = start(believing(&ca), &one(&server.url), now());
    assert!(!house.refresh().await);
    assert_eq!(house.verdict(&ca, 8), UNKNOWN);
}

#[tokio::test]
async fn a_restart_without_network_goes_on_with_the_copy_and_believes_it_only_if_it_is_signed() {
    let ca = Ca::root("Mihon Bank CA");
    let server = Server::start();
    server.says(Answer::ok(&ca.crl(5, &[REVOKED])));
    let first = start(believing(&ca), &one(&server.url), now());
    first.keeper.first().await;
    let (url, copy) = (server.url.clone(), first.copies().remove(0));
    drop(server);
    let House { folder, .. } = first;

    let second = start(folder, &one(&url), now());
    assert_eq!((second.verdict(&ca, REVOKED), second.verdict(&ca, 8)), ("revoked".into(), GOOD.into()));
    assert!(!second.refresh().await);
    assert_eq!(second.verdict(&ca, 8), GOOD);
    let House { folder, .. } = second;

    // Somebody strikes the entry out, or puts in a list of his own: nobody of that CA gets in.
    let written = fs::read(&copy).unwrap();
    let mut tampered = written.clone();
    let entry = written.windows(3).position(|bytes| bytes == [2, 1, 7]).unwrap();
    tampered[entry + 2] = 9;
    for bad in [tampered, Ca::root("Mihon Bank CA").crl(9, &[]), Vec::new(), b"x".to_vec()] {
        fs::write(&copy, bad).unwrap();
        let third = start(believing(&ca), &one(&url), now());
        fs::create_dir_all(third.folder.path("cache")).unwrap();
        fs::copy(&copy, third.folder.path("cache").join(copy.file_name().unwrap())).unwrap();
        let again = start(third.folder, &one(&url), now());
        assert_eq!((again.verdict(&ca, REVOKED), again.verdict(&ca, 8)), (UNKNOWN.into(), UNKNOWN.into()));
        assert_eq!(again.metric("stale"), 1.0);
    }
    drop(folder);
}

#[tokio::test]
async fn a_copy_is_a_floor_below_which_no_later_answer_goes() {
    let ca = Ca::root("Mihon Bank CA");
    let server = Server::start();
    server.says(Answer::ok(&ca.crl(5, &[REVOKED])));
    let house = start(believing(&ca), &one(&server.url), now());
    house.keeper.first().await;
    let House { folder, .. } = house;
    let house = start(folder, &one(&server.url), now());
    server.says(Answer::ok(&ca.crl(4, &[])));
    assert!(!house.refresh().await);
    assert_eq!(house.verdict(&ca, REVOKED), "revoked");
}

#[tokio::test]
async fn a_stale_list_denies_and_raises_the_alarm_and_with_grace_it_speaks_a_while_longer() {
    let ca = Ca::root("Mihon Bank CA");
    let server = Server::start();
    server.says(Answer::ok(&ca.crl(5, &[REVOKED])));
    let grace = one(&server.url).replace("cache: cache", "cache: cache, grace: 2h");
    let without = start(believing(&ca), &one(&server.url), now());
    let with = start(believing(&ca), &grace, now());
    for house in [&without, &with] {
        house.keeper.first().await;
    }
    for (time, stale, without_grace, with_grace) in [
        ("2026-06-30T23:59:59Z", 0.0, GOOD, GOOD),
        ("2026-07-01T00:00:00Z", 1.0, UNKNOWN, GOOD),
        ("2026-07-01T01:59:59Z", 1.0, UNKNOWN, GOOD),
        ("2026-07-01T02:00:00Z", 1.0, UNKNOWN, UNKNOWN),
    ] {
        for (house, expected) in [(&without, without_grace), (&with, with_grace)] {
            house.clock.set(at(time));
            house.keeper.look();
            assert_eq!((house.verdict(&ca, 8).as_str(), house.metric("stale")), (expected, stale), "{time}");
            assert_eq!(house.verdict(&ca, REVOKED), "revoked", "{time}");
        }
    }
    // The next list ends it.
    server.says(Answer::ok(&ca.crl_with(6, &[], |it| it.next_update = date_time_ymd(2026, 8, 1))));
    assert!(without.refresh().await);
    assert_eq!((without.verdict(&ca, 8).as_str(), without.metric("stale")), (GOOD, 0.0));
}

#[tokio::test]
async fn a_url_in_a_certificate_is_never_asked() {
    let ca = Ca::root("Mihon Bank CA");
    let (configured, named) = (Server::start(), Server::start());
    configured.says(Answer::ok(&ca.crl(5, &[])));
    named.says(Answer::ok(&ca.crl(9, &[8])));
    let house = start(believing(&ca), &one(&configured.url), now());
    let leaf = ca.leaf_with(CN, |it| {
        it.serial_number = Some(SerialNumber::from(8_u64));
        it.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![named.url.clone()] }];
    });
    assert_eq!(house.verdict_of(&leaf), UNKNOWN);
    house.keeper.first().await;
    assert_eq!(house.verdict_of(&leaf), GOOD);
    assert_eq!((configured.asked(), named.asked()), (1, 0));
}

#[tokio::test]
async fn two_cas_side_by_side_have_each_its_list_and_its_form_of_the_name() {
    let (g1, g2) = (Ca::root("Mihon Bank CA-G1"), Ca::root("Mihon Bank CA-G2"));
    let server = Server::start();
    server.says(Answer::ok(&g2.crl(1, &[REVOKED])));
    let folder = Folder::new();
    folder.file("g1.pem", g1.pem());
    folder.file("g2.pem", g2.pem());
    folder.file("g1.crl", g1.crl(1, &[8]));
    let yaml = format!(
        "  authorities: [g1.pem, {{ file: g2.pem, common_name: '(?<contract>[0-9]{{14}})-(?<user>[0-9]{{3}})' }}]
  crl: {{ sources: [g1.crl, '{}'], cache: cache }}",
        server.url
    );
    let house = start(folder, &yaml, now());
    house.keeper.first().await;
    let verdict = |ca: &Ca, name: &str, serial: u64| {
        house.verdict_of(&ca.leaf_with(name, |it| it.serial_number = Some(SerialNumber::from(serial))))
    };
    let g2_name = "12345678901234-001";
    assert_eq!((verdict(&g1, CN, 9), verdict(&g2, g2_name, 9)), (GOOD.into(), GOOD.into()));
    assert_eq!((verdict(&g2, CN, 9), verdict(&g1, g2_name, 9)), ("bad_subject".into(), "bad_subject".into()));
    assert_eq!((verdict(&g1, CN, 8), verdict(&g2, g2_name, 8)), ("revoked".into(), GOOD.into()));
    assert_eq!((verdict(&g1, CN, REVOKED), verdict(&g2, g2_name, REVOKED)), (GOOD.into(), "revoked".into()));
}

#[tokio::test]
async fn files_are_read_again_and_a_broken_one_changes_nothing() {
    let ca = Ca::root("Mihon Bank CA");
    let folder = believing(&ca);
    let file = folder.file("ca.crl", ca.crl(1, &[]));
    let house = start(folder, "  authorities: ca.pem\n  crl: { sources: [ca.crl] }", now());
    assert_eq!((house.verdict(&ca, 8).as_str(), house.metric("stale")), (GOOD, 0.0));
    fs::write(&file, ca.crl(2, &[8])).unwrap();
    assert!(house.refresh().await);
    assert_eq!(house.verdict(&ca, 8), "revoked");
    for bad in [Vec::new(), ca.crl(1, &[])] {
        fs::write(&file, bad).unwrap();
        assert!(!house.refresh().await);
        assert_eq!(house.verdict(&ca, 8), "revoked");
    }
    fs::remove_file(&file).unwrap();
    assert!(!house.refresh().await);
    assert_eq!((house.verdict(&ca, 8).as_str(), house.metric("failures_total")), ("revoked", 3.0));
}

#[tokio::test]
async fn a_new_configuration_is_prepared_whole_and_keeps_the_lists_of_the_sources_that_stay() {
    let (g1, g2) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA-G2"));
    let server = Server::start();
    server.says(Answer::ok(&g1.crl(1, &[REVOKED])));
    let house = start(believing(&g1), &one(&server.url), now());
    house.keeper.first().await;
    house.folder.file("g2.pem", g2.pem());
    let yaml = one(&server.url).replace("ca.pem", "[ca.pem, g2.pem]");

    let missing = settings(&house.folder, &yaml.replace("g2.pem", "g3.pem"));
    let errors = house.keeper.prepare(&missing, now()).unwrap_err();
    assert_eq!((errors.len(), errors[0].0.as_str()), (1, "/trust/authorities/1"));
    assert_eq!(house.verdict(&g1, 8), GOOD);

    let prepared = house.keeper.prepare(&settings(&house.folder, &yaml), now()).unwrap();
    assert_eq!(house.verdict(&g2, 8), "unknown_authority");
    // What is fetched between the two steps is not lost.
    server.says(Answer::ok(&g1.crl(2, &[REVOKED, 8])));
    assert!(house.refresh().await);
    house.keeper.commit(prepared);
    assert_eq!((house.verdict(&g1, 8), house.verdict(&g1, 9)), ("revoked".into(), GOOD.into()));
    assert_eq!(house.verdict(&g2, 9), UNKNOWN);

    // Another URL: the old one's list goes with it, and so do its metrics.
    let other = Server::start();
    let yaml = one(&other.url);
    let old = house.source().origin.clone();
    house.keeper.commit(house.keeper.prepare(&settings(&house.folder, &yaml), now()).unwrap());
    assert_eq!(house.verdict(&g1, 9), UNKNOWN);
    assert!(!house.metrics.scrape().contains(&format!("sekisho_crl_entries{{source=\"{old}\"}}")));
}
