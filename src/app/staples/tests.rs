//! What is stapled comes from a real server on a port of its own. Time stands still unless a test moves it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;

use super::Stapler;
use crate::app::certificates::{HostKeys, server_keys};
use crate::app::fetch::{FetchSettings, Fetcher};
use crate::app::testing::{Answer, Server};
use crate::clock::Clock;
use crate::config;
use crate::ops::{Metrics, seconds};
use crate::pki::testing::ocsp::{Response, UNKNOWN, refusal, revoked};
use crate::pki::testing::{Ca, Folder, now};
use crate::pki::{LARGEST_RESPONSE, ocsp_request};

/// A stapler over a folder, with a clock to move. Its hosts are `a.example` and `b.example`, with one certificate.
struct House {
    folder: Folder,
    ca: Ca,
    server: Server,
    clock: Clock,
    metrics: Metrics,
    hosts: Vec<HostKeys>,
    stapler: Arc<Stapler>,
}

impl House {
    fn new() -> Self {
        let (folder, ca, server) = (Folder::new(), Ca::root("Mihon Bank CA"), Server::start());
        let (pem, key) = ca.server(&["a.example", "b.example", "c.example"]);
        folder.file("chain.pem", pem + &ca.pem());
        folder.file("key", key);
        let (clock, metrics) = (Clock::manual(now()), Metrics::new().unwrap());
        let (hosts, stapler) =
            configured(&folder, &["a", "b"], &server.url, None, (&clock, &metrics)).unwrap();
        stapler.begin();
        Self { folder, ca, server, clock, metrics, hosts, stapler }
    }

    /// Another configuration takes the place of the one in force.
    fn reload(&mut self, hosts: &[&str], url: &str) {
        let around = (&self.clock, &self.metrics);
        let next = configured(&self.folder, hosts, url, Some(&self.stapler), around).unwrap();
        self.stapler.end();
        next.1.begin();
        (self.hosts, self.stapler) = next;
    }

    fn leaf(&self) -> CertificateDer<'static> {
        self.hosts[0].2[0].certified.cert[0].clone()
    }

    /// Good from an hour before now and for so many hours.
    fn good(&self, hours: i64) -> Response {
        let from = self.clock.now() - SignedDuration::from_hours(1);
        let until = Some(self.clock.now() + SignedDuration::from_hours(hours));
        Response { from, until, ..Response::about(&self.leaf(), &self.ca) }
    }

    fn says(&self, response: &Response) -> Vec<u8> {
        let response = self.ca.answers(response);
        self.server.says(Answer::ok(&response));
        response
    }

    /// What a tick does. Gives back whether the server was asked.
    async fn tick(&self) -> bool {
        let before = self.server.asked();
        for responder in &self.stapler.responders {
            self.stapler.ask_if_due(responder).await;
        }
        self.stapler.look();
        self.server.asked() > before
    }

    async fn tick_after(&self, wait: SignedDuration) -> bool {
        self.clock.set(self.clock.now() + wait);
        self.tick().await
    }

    /// What goes out with the certificate of each host.
    fn stapled(&self) -> Vec<Option<Vec<u8>>> {
        let now = self.clock.now();
        self.hosts.iter().map(|(_, _, keys)| keys[0].to_serve(now).ocsp.clone()).collect()
    }

    fn metric(&self, name: &str, host: &str) -> f64 {
        let name = format!("sekisho_{name}{{algorithm=\"ecdsa\",host=\"{host}.example\"}} ");
        let text = self.metrics.scrape();
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(-1.0)
    }

    fn expiry(&self, host: &str) -> f64 {
        self.metric("ocsp_response_expiry_timestamp_seconds", host)
    }
}

fn configured(
    folder: &Folder,
    hosts: &[&str],
    url: &str,
    before: Option<&Stapler>,
    (clock, metrics): (&Clock, &Metrics),
) -> Result<(Vec<HostKeys>, Arc<Stapler>), String> {
    let host = |name: &&str| {
        let tls = format!("{{ certificate: chain.pem, key: key, ocsp: '{url}' }}");
        format!("  {name}.example: {{ tls: {tls}, client_certificate: none }}\n")
    };
    let hosts: String = hosts.iter().map(host).collect();
    let yaml =
        format!("listeners: [{{ bind: '127.0.0.1:0' }}]\nroutes: []\nupstreams: {{}}\nhosts:\n{hosts}");
    let document = config::load(&folder.file("sekisho.yaml", yaml)).unwrap_or_else(|error| panic!("{error}"));
    let (mut hosts, problems) = server_keys(&document, clock.now());
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    let stapler = Stapler::new(&mut hosts, before, clock, metrics)?;
    Ok((hosts, Arc::new(stapler)))
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[tokio::test]
async fn one_question_gets_the_staple_of_every_host_with_that_certificate() {
    let house = House::new();
    let response = house.says(&house.good(23));
    assert_eq!(house.stapled(), [None, None]);
    assert_eq!((house.expiry("a"), house.metric("ocsp_failures_total", "b")), (0.0, 0.0));
    assert!(house.tick().await);
    assert_eq!(house.stapled(), [Some(response.clone()), Some(response)]);
    assert_eq!(house.server.asked(), 1);
    let asked = house.server.last();
    assert_eq!(asked.line(), "POST /ca.crl HTTP/1.1");
    assert_eq!(asked.field("content-type").as_deref(), Some("application/ocsp-request"));
    assert_eq!(asked.body(), ocsp_request(&[house.leaf(), house.ca.der().clone()]).unwrap());
    for host in ["a", "b"] {
        assert_eq!(house.expiry(host), seconds(now() + SignedDuration::from_hours(23)));
        assert_eq!(house.metric("ocsp_last_success_timestamp_seconds", host), seconds(now()));
        assert_eq!(house.metric("ocsp_failures_total", host), 0.0);
    }
}

#[tokio::test]
async fn a_response_is_renewed_after_about_half_of_its_life() {
    let house = House::new();
    house.says(&house.good(20));
    assert!(house.tick().await);
    assert!(!house.tick_after(minutes(9 * 60 - 1)).await, "a tenth before the half");
    let next = house.says(&house.good(20));
    assert!(house.tick_after(minutes(2 * 60 + 2)).await, "a tenth after it");
    assert_eq!(house.stapled(), [Some(next.clone()), Some(next)]);
    assert_eq!(house.expiry("a"), seconds(house.clock.now() - minutes(2 * 60 + 2) + minutes(20 * 60)));

    // A response that is good for a year may be wrong tomorrow.
    house.says(&house.good(365 * 24));
    assert!(house.tick_after(minutes(11 * 60 + 1)).await);
    assert!(!house.tick_after(minutes(10 * 60)).await);
    assert!(house.tick_after(minutes(4 * 60)).await);
}

#[tokio::test]
async fn the_same_response_again_is_good_and_is_asked_for_more_often_towards_its_end() {
    let house = House::new();
    let response = house.says(&house.good(20));
    assert!(house.tick().await);
    let mut asked = 1;
    while house.expiry("a") - seconds(house.clock.now()) > 60.0 {
        asked += u32::from(house.tick_after(SignedDuration::from_secs(30)).await);
    }
    assert_eq!(house.stapled()[0], Some(response));
    assert!((8..20).contains(&asked), "{asked}");
    assert_eq!(house.metric("ocsp_failures_total", "a"), 0.0);
}

#[tokio::test]
async fn a_responder_that_fails_is_asked_again_soon_and_then_less_and_less_often() {
    let house = House::new();
    house.server.says(Answer::status(503));
    assert!(house.tick().await);
    for wait in [10, 20, 40, 80, 160, 320, 600, 600, 600] {
        assert!(!house.tick_after(SignedDuration::from_secs(wait * 9 / 10 - 1)).await, "{wait}");
        assert!(house.tick_after(SignedDuration::from_secs(wait / 5 + 2)).await, "{wait}");
    }
    assert_eq!(house.metric("ocsp_failures_total", "a"), 10.0);
    assert_eq!(house.metric("ocsp_failures_total", "b"), 10.0);
    house.says(&house.good(20));
    assert!(house.tick_after(minutes(12)).await);
    assert!(house.stapled()[0].is_some());
    // What was is forgotten.
    house.server.says(Answer::status(503));
    assert!(house.tick_after(minutes(12 * 60)).await);
    assert!(house.tick_after(SignedDuration::from_secs(12)).await);
}

#[test]
fn a_failure_is_told_once_and_again_if_it_is_another() {
    let house = House::new();
    let responder = &house.stapler.responders[0];
    assert!(responder.failed("it is down", now()));
    assert!(!responder.failed("it is down", now()));
    assert!(responder.failed("the certificate is revoked", now()));
    assert!(!responder.failed("the certificate is revoked", now()));
    assert!(responder.take(house.ca.answers(&house.good(1)), now()).is_ok());
    assert!(responder.failed("the certificate is revoked", now()));
}

#[tokio::test]
async fn whatever_a_responder_answers_the_last_good_response_is_stapled_until_it_runs_out() {
    let house = House::new();
    let good = house.says(&house.good(23));
    assert!(house.tick().await);
    let of = |change: &dyn Fn(&mut Response)| {
        let mut response = house.good(23);
        change(&mut response);
        Answer::ok(&house.ca.answers(&response))
    };
    let lies = [
        Answer::status(500),
        Answer::status(404),
        Answer::status(304),
        Answer::status(302).field("Location", &house.server.url),
        Answer::ok(&[]),
        Answer::ok(b"<html>Please log in</html>"),
        Answer::ok(&vec![0x30; LARGEST_RESPONSE + 1]),
        Answer::ok(&vec![0x30; 1 << 20]).without_length(),
        Answer::ok(&good).cut_off(),
        Answer::ok(&good[..good.len() - 1]),
        Answer::ok(&[&*good, &[0]].concat()),
        Answer::ok(&refusal(3)),
        Answer::ok(&Ca::root("Mihon Bank CA").answers(&house.good(23))),
        of(&|it| it.status = UNKNOWN.to_vec()),
        of(&|it| it.from = now() - SignedDuration::from_hours(48)),
        of(&|it| it.from = now() + SignedDuration::from_hours(22)),
        of(&|it| it.until = Some(now())),
        of(&|it| it.until = None),
    ];
    let mut wait = minutes(13 * 60);
    for (index, lie) in lies.iter().enumerate() {
        house.server.says(lie.clone());
        assert!(house.tick_after(wait).await, "{index}");
        assert_eq!(house.metric("ocsp_failures_total", "a"), (index + 1) as f64, "{index}");
        assert_eq!(house.stapled(), [Some(good.clone()), Some(good.clone())], "{index}");
        wait = minutes(12);
    }
    house.clock.set(now() + SignedDuration::from_hours(23) - SignedDuration::from_secs(1));
    house.tick().await;
    assert_eq!(house.stapled()[0], Some(good));
    house.clock.set(now() + SignedDuration::from_hours(23));
    assert_eq!(house.stapled(), [None, None], "on the second, whoever looks");
    house.tick().await;
    assert_eq!((house.expiry("a"), house.expiry("b")), (0.0, 0.0));
}

#[tokio::test]
async fn nothing_waits_for_a_responder_that_is_silent() {
    let house = House::new();
    house.server.says(Answer::silence());
    house.stapler.first().await;
    assert_eq!((house.server.asked(), house.stapled()), (1, vec![None, None]));
    assert!(house.stapler.responders[0].is_new(), "it is asked again, and then it counts");
    let settings = FetchSettings {
        timeout: Duration::from_millis(50),
        largest: LARGEST_RESPONSE as u64,
        authorities: None,
    };
    let told = house.stapler.responders[0].answer(&Fetcher::new(&settings).unwrap()).await.unwrap_err();
    assert!(told.ends_with("operation timed out"), "{told}");
}

#[tokio::test]
async fn a_responder_that_is_down_leaves_the_certificate_without_a_staple() {
    let mut house = House::new();
    let url = Server::start().url.clone();
    house.reload(&["a"], &url);
    house.stapler.first().await;
    assert!(!house.tick().await);
    assert_eq!((house.stapled(), house.metric("ocsp_failures_total", "a")), (vec![None], 1.0));
}

#[tokio::test]
async fn a_revoked_certificate_is_no_longer_called_good_and_no_older_word_brings_that_back() {
    let house = House::new();
    house.says(&house.good(23));
    assert!(house.tick().await);
    let before = house.good(23);
    house.clock.set(now() + SignedDuration::from_hours(13));
    house.says(&Response { status: revoked(now()), ..house.good(23) });
    assert!(house.tick().await);
    assert_eq!((house.stapled(), house.expiry("a")), (vec![None, None], 0.0));
    house.says(&before);
    assert!(house.tick_after(minutes(12)).await);
    assert_eq!(house.stapled(), [None, None]);
    // It was on hold, and no longer is.
    let lifted = house.good(23);
    let good = house.says(&lifted);
    assert!(house.tick_after(minutes(12)).await);
    assert_eq!(house.stapled()[0], Some(good.clone()));
    // An old "revoked" is no news either.
    house.says(&Response { status: revoked(now()), from: lifted.from - minutes(1), ..house.good(23) });
    assert!(house.tick_after(minutes(13 * 60)).await);
    assert_eq!(house.stapled()[0], Some(good));
}

#[tokio::test]
async fn a_reload_that_changes_nothing_asks_nobody_and_keeps_what_is_stapled() {
    let mut house = House::new();
    let response = house.says(&house.good(23));
    assert!(house.tick().await);
    let url = house.server.url.clone();
    house.reload(&["a", "b", "c"], &url);
    house.stapler.first().await;
    assert!(!house.tick().await);
    assert_eq!(house.stapled(), vec![Some(response.clone()); 3]);
    assert_eq!(house.expiry("c"), seconds(now() + SignedDuration::from_hours(23)));

    house.reload(&["c"], &url);
    assert_eq!(house.stapled(), [Some(response)]);
    assert_eq!((house.expiry("a"), house.metric("ocsp_last_success_timestamp_seconds", "a")), (-1.0, -1.0));
    assert_eq!(house.metric("server_certificate_expiry_timestamp_seconds", "a"), -1.0);
    assert!(house.metric("server_certificate_expiry_timestamp_seconds", "c") > 0.0);
    assert!(house.tick_after(minutes(13 * 60)).await, "it is renewed on");

    // A responder that fails is left alone as long as it would have been.
    house.server.says(Answer::status(503));
    assert!(house.tick_after(minutes(13 * 60)).await);
    house.reload(&["c"], &url);
    house.stapler.first().await;
    assert!(!house.tick().await);
    assert_eq!(house.server.asked(), 3);
}

#[tokio::test]
async fn another_certificate_or_another_responder_is_asked_about_before_it_serves() {
    let mut house = House::new();
    house.says(&house.good(23));
    assert!(house.tick().await);
    let url = house.server.url.clone();
    house.reload(&["a"], &format!("{url}/2"));
    assert_eq!(house.stapled(), [None]);
    house.stapler.first().await;
    assert!(house.stapled()[0].is_some());
    assert_eq!((house.server.asked(), house.metric("ocsp_failures_total", "a")), (2, 0.0));

    let (pem, key) = house.ca.server(&["a.example"]);
    house.folder.file("chain.pem", pem + &house.ca.pem());
    house.folder.file("key", key);
    house.reload(&["a"], &url);
    house.stapler.first().await;
    assert_eq!(house.stapled(), [None], "what is there is about the one before");
    let response = house.says(&house.good(23));
    assert!(house.tick().await);
    assert_eq!(house.stapled(), [Some(response)]);
}

#[tokio::test]
async fn what_was_replaced_counts_no_longer() {
    let mut house = House::new();
    let before = house.stapler.clone();
    let url = house.server.url.clone();
    house.reload(&["c"], &url);
    before.look();
    assert_eq!((house.expiry("a"), house.expiry("c")), (-1.0, 0.0));
}

#[tokio::test]
async fn a_clock_that_is_put_back_stops_nothing() {
    let house = House::new();
    house.clock.set("2036-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
    house.server.says(Answer::status(503));
    assert!(house.tick().await);
    house.clock.set(now());
    house.says(&house.good(23));
    assert!(house.tick().await);
    assert!(house.stapled()[0].is_some());
}

#[test]
fn a_responder_that_cannot_be_asked_is_a_mistake_with_its_place() {
    let (folder, ca) = (Folder::new(), Ca::root("Mihon Bank CA"));
    let (pem, key) = ca.server(&["a.example"]);
    folder.file("chain.pem", pem);
    folder.file("key", key);
    let (clock, metrics) = (Clock::manual(now()), Metrics::new().unwrap());
    let refused = configured(&folder, &["a"], "http://127.0.0.1:1/", None, (&clock, &metrics));
    let told = refused.map(drop).unwrap_err();
    assert!(
        told.contains("the chain lacks the issuer's certificate, by which a response is verified"),
        "{told}"
    );
    assert!(told.contains("sekisho.yaml:5:63"), "{told}");
}
