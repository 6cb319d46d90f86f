//! Rate limits: whoever asks too often is told so and when to come again, over both versions of HTTP, and nobody else notices.

use std::time::Duration;

use sekisho::clock::Clock;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;
use crate::support::redis::RedisServer;

const JSON: (&str, &str) = ("accept", "application/json");
const SUZUKI: &str = "10000000000001 suzuki";
const SATO: &str = "10000000000002 sato";
const BEHIND_PROXY: &str = "trusted_proxies: [127.0.0.0/8]";

/// A gate whose clock stands still, with more YAML at the top level.
fn gate_with(backend: &Backend, settings: Settings<'_>) -> Gate {
    let clock = Clock::manual(Clock::System.now());
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { clock, ..settings })
}

fn gate(backend: &Backend, yaml: &str) -> Gate {
    gate_with(backend, Settings { yaml, ..Settings::default() })
}

fn pass(gate: &Gate, seconds: u64) {
    gate.clock.set(gate.clock.now() + Duration::from_secs(seconds));
}

fn client(gate: &Gate, name: &str) -> Client {
    gate.client().with(&gate.ca.client(name))
}

/// The status of a request of `client`, which comes from `source` by the word of a proxy.
fn status(client: &Client, version: Version, path: &str, source: &str) -> u16 {
    version.ask(client, CERT, ("GET", path), &[JSON, ("x-forwarded-for", source)], b"").status
}

fn refused(limit: &str) -> String {
    format!("sekisho_rate_limited_total{{limit=\"{limit}\"}}")
}

#[test]
fn who_asks_too_often_is_told_so_and_when_to_come_again() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let limit = "rate_limits: { per_source: { requests: 2, per: 10s, burst: 3 } }";
        let gate = gate(&backend, &format!("{BEHIND_PROXY}\n{limit}"));
        let ask =
            |fields: &[(&str, &str)]| version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), fields, b"");
        for _ in 0..3 {
            let response = ask(&[JSON]);
            assert_eq!((response.status, response.value("ratelimit")), (200, None), "{version:?}");
        }
        let response = ask(&[JSON]);
        assert_eq!((response.status, response.code().as_str()), (429, "rate_limited"), "{version:?}");
        assert_eq!(response.value("retry-after").as_deref(), Some("5"));
        assert_eq!(response.value("ratelimit-policy").as_deref(), Some("\"per_source\";q=3;w=15"));
        assert_eq!(response.value("ratelimit").as_deref(), Some("\"per_source\";r=0;t=5"));
        let page = ask(&[("accept", "text/html"), ("accept-language", "ja")]);
        assert!(page.status == 429 && page.text().contains("アクセスが多すぎます"), "{}", page.text());
        // Nobody else is harmed, and who waited as told is served.
        assert_eq!(status(&gate.tanaka(), version, "/banking/a", "198.51.100.7"), 200, "{version:?}");
        pass(&gate, 5);
        assert_eq!([ask(&[JSON]).status, ask(&[JSON]).status], [200, 429], "{version:?}");
        gate.counts(&refused("per_source"), 3.0);
        assert_eq!(backend.received().len(), 5);
        eventually("the log has it", || {
            gate.access_log().iter().filter(|line| line["failure"] == "rate_limited").count() == 3
        });
    }
}

#[test]
fn a_refusal_leaves_the_connection_as_it_was() {
    let backend = Backend::start();
    let gate = gate(&backend, "rate_limits: { per_source: { requests: 1, per: 1m } }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for expected in [200, 429, 429] {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, expected);
    }
    pass(&gate, 60);
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
}

#[test]
fn what_is_refused_before_it_is_understood_counts_as_well() {
    let backend = Backend::start();
    let gate = gate(&backend, "rate_limits: { per_source: { requests: 3, per: 1m } }");
    let mut connection = Http2::connect(&gate.tanaka(), CERT);
    let contradiction = [("host", "other.example")];
    let asked: [(_, &[(&str, &str)]); 5] =
        [("TRACE", &[]), ("GET", &contradiction), ("GET", &[]), ("TRACE", &[]), ("GET", &contradiction)];
    let statuses =
        asked.map(|(method, fields)| connection.ask(method, "/banking/a", fields, b"").unwrap().status);
    assert_eq!(statuses, [405, 400, 200, 429, 429]);
}

#[test]
fn a_user_and_a_contract_are_counted_wherever_they_come_from() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let limits =
            "rate_limits: { per_user: { requests: 2, per: 1m }, per_contract: { requests: 3, per: 1m } }";
        let gate = gate(&backend, &format!("{BEHIND_PROXY}\n{limits}"));
        let ask = |name: &str, source| status(&client(&gate, name), version, "/banking/a", source);
        let tanaka = crate::support::pki::COMMON_NAME;
        assert_eq!(
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|source| ask(tanaka, source)),
            [200, 200, 429]
        );
        // What tanaka was refused is not counted for the contract.
        assert_eq!([ask(SUZUKI, "192.0.2.4"), ask(SUZUKI, "192.0.2.5")], [200, 429], "{version:?}");
        assert_eq!(ask(SATO, "192.0.2.1"), 200, "{version:?}");
        gate.counts(&refused("per_user"), 1.0);
        gate.counts(&refused("per_contract"), 1.0);
    }
}

#[test]
fn an_ipv6_network_is_one_source() {
    let backend = Backend::start();
    let limit = "rate_limits: { per_source: { requests: 1, per: 1m } }";
    let gate = gate(&backend, &format!("{BEHIND_PROXY}\n{limit}"));
    let ask = |source| status(&gate.tanaka(), Version::Http1, "/banking/a", source);
    assert_eq!([ask("2001:db8::1"), ask("2001:db8::ffff:1"), ask("2001:db8:0:1::1")], [200, 429, 200]);
}

#[test]
fn a_route_has_limits_of_its_own() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let routes = "  - { path: /banking, require: certificate, upstream: banking }
  - { path: /banking/exports, require: certificate, upstream: banking, rate: exports }
  - { path: /banking/reports, require: certificate, upstream: banking, rate: [exports, rare] }";
        let yaml = "rate_limits:
  announce: true
  named:
    exports: { by: user, requests: 2, per: 1m }
    rare: { by: contract, requests: 1, per: 1h }";
        let gate = gate_with(&backend, Settings { yaml, routes: Some(routes), ..Settings::default() });
        let ask =
            |name: &str, path: &str| version.ask(&client(&gate, name), CERT, ("GET", path), &[JSON], b"");
        let tanaka = crate::support::pki::COMMON_NAME;
        let first = ask(tanaka, "/banking/reports/1");
        assert_eq!(first.status, 200);
        assert_eq!(
            (first.value("ratelimit-policy").unwrap(), first.value("ratelimit").unwrap()),
            (
                "\"exports\";q=2;w=60, \"rare\";q=1;w=3600".to_owned(),
                "\"exports\";r=1;t=30, \"rare\";r=0;t=3600".to_owned()
            )
        );
        // Both count; the first that is reached decides.
        let second = ask(tanaka, "/banking/reports/2");
        assert_eq!((second.status, second.value("retry-after").as_deref()), (429, Some("3600")));
        assert_eq!(ask(tanaka, "/banking/exports/1").status, 429, "{version:?}");
        assert_eq!(ask(SUZUKI, "/banking/exports/1").status, 200);
        let elsewhere = ask(tanaka, "/banking/a");
        assert_eq!((elsewhere.status, elsewhere.value("ratelimit")), (200, None), "{version:?}");
    }
}

#[test]
fn pages_of_the_portal_count_for_their_source_and_say_what_is_left() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = gate(&backend, "rate_limits: { per_source: { requests: 2, per: 1m }, announce: true }");
        let ask = || version.ask(&gate.client(), WWW, ("GET", "/sekisho/static/style.css"), &[], b"");
        let left =
            [ask(), ask(), ask()].map(|response| (response.status, response.value("ratelimit").unwrap()));
        let expected = [(200, "r=1;t=30"), (200, "r=0;t=60"), (429, "r=0;t=30")];
        assert_eq!(
            left,
            expected.map(|(status, left)| (status, format!("\"per_source\";{left}"))),
            "{version:?}"
        );
    }
}

#[test]
fn new_connections_of_one_source_are_limited_before_tls_and_those_behind_a_balancer_apart() {
    let backend = Backend::start();
    let settings = Settings {
        yaml: "rate_limits: { handshakes: { requests: 1, per: 1m, burst: 2 } }",
        listener: "proxy_protocol: { from: [127.0.0.0/8] }",
        ..Settings::default()
    };
    let gate = gate_with(&backend, settings);
    let behind = |address: &str| {
        let header = format!("PROXY TCP4 {address} 10.0.0.1 12345 443\r\n");
        gate.client().behind(header.as_bytes()).connect(WWW)
    };
    let _open = [behind("203.0.113.9").unwrap(), behind("203.0.113.9").unwrap()];
    assert!(behind("203.0.113.9").is_err());
    assert!(behind("203.0.113.10").is_ok());
    gate.counts(&refused("handshakes"), 1.0);
    gate.counts("sekisho_handshake_failures_total{cause=\"rate_limited\"}", 1.0);
    // The balancer's own look is nobody's connection.
    for _ in 0..4 {
        assert!(gate.client().behind(b"PROXY UNKNOWN\r\n").connect(WWW).is_ok());
    }
    pass(&gate, 60);
    assert!(behind("203.0.113.9").is_ok());
}

#[test]
fn one_source_has_so_many_connections_open() {
    let backend = Backend::start();
    let gate = gate(&backend, "limits: { connections_per_source: 2 }");
    let (first, second) = (gate.client().connect(WWW).unwrap(), gate.client().connect(WWW).unwrap());
    assert!(gate.client().connect(WWW).is_err());
    gate.counts("sekisho_handshake_failures_total{cause=\"connections_per_source\"}", 1.0);
    drop(first);
    eventually("room for one more", || gate.client().connect(WWW).is_ok());
    drop(second);
    // A proxy that speaks for many has as many as it likes.
    let gate = self::gate(&backend, &format!("{BEHIND_PROXY}\nlimits: {{ connections_per_source: 2 }}"));
    let open: Vec<_> = (0..5).map(|_| gate.client().connect(WWW).unwrap()).collect();
    assert_eq!(open.len(), 5);
}

#[test]
fn a_reload_keeps_the_counts_of_limits_that_stay() {
    let backend = Backend::start();
    let gate = gate(
        &backend,
        "rate_limits: { per_user: { requests: 1, per: 1m }, per_contract: { requests: 9, per: 1m } }\nreload: { on_change: false }",
    );
    gate.follow();
    let ask = || status(&gate.tanaka(), Version::Http1, "/banking/a", "192.0.2.1");
    assert_eq!([ask(), ask()], [200, 429]);
    let edit = |from: &str, to: &str| {
        let text = gate.file("sekisho.yaml");
        assert!(text.contains(from));
        gate.write("sekisho.yaml", &text.replace(from, to));
        assert_eq!(gate.reload(), Ok(()));
    };
    edit("requests: 9", "requests: 8");
    assert_eq!(ask(), 429);
    edit("requests: 1,", "requests: 2,");
    assert_eq!([ask(), ask(), ask()], [200, 200, 429]);
}

/// Gates with one Redis, at one moment.
fn sharing(backend: &Backend, redis: &RedisServer, limits: &str) -> (Gate, Gate) {
    let yaml = format!(
        "state: {{ url: 'redis://127.0.0.1:{}', timeout: 500ms }}\nrate_limits: {limits}",
        redis.port()
    );
    let ca = || Ca::new("Mihon Bank CA-G1");
    let clock = Clock::manual(Clock::System.now());
    let settings = || Settings { yaml: &yaml, clock: clock.clone(), ..Settings::default() };
    (Gate::with(backend, ca(), settings()), Gate::with(backend, ca(), settings()))
}

#[test]
fn gateways_count_together_through_redis() {
    let (backend, redis) = (Backend::start(), RedisServer::start());
    let (first, second) =
        sharing(&backend, &redis, "{ per_user: { requests: 10, per: 1h, shared: true }, announce: true }");
    let ask = |gate: &Gate| Version::Http1.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[JSON], b"");
    for _ in 0..8 {
        assert_eq!(ask(&first).status, 200);
    }
    eventually("Redis has heard", || redis.tell::<Vec<String>>(&["KEYS", "sekisho:{rate:*"]).len() == 1);
    let key = redis.tell::<Vec<String>>(&["KEYS", "sekisho:{rate:*"]).remove(0);
    // Until when nothing is left, in microseconds: six minutes for each.
    let now = first.clock.now().as_millisecond() * 1000;
    let heard = |count: i64| redis.tell::<i64>(&["GET", &key]) == now + count * 360_000_000;
    eventually("Redis has heard of all", || heard(8));
    // The second learns of it with its first request: not by then, but soon.
    let mut passed = usize::from(ask(&second).status == 200);
    eventually("Redis has heard of that as well", || heard(9));
    eventually("the second refuses", || {
        let response = ask(&second);
        passed += usize::from(response.status == 200);
        response.status == 429
    });
    assert!((1..10).contains(&passed), "{passed}: less than a burst of its own");
    assert!(!key.contains("tanaka") && !key.contains("10000000000001"), "{key}");
}

#[test]
fn without_redis_each_gateway_limits_by_itself() {
    let (backend, redis) = (Backend::start(), RedisServer::start());
    let (first, second) = sharing(&backend, &redis, "{ per_user: { requests: 2, per: 1h, shared: true } }");
    drop(redis);
    for gate in [&first, &second] {
        let ask = || status(&gate.tanaka(), Version::Http2, "/banking/a", "192.0.2.1");
        assert_eq!([ask(), ask(), ask()], [200, 200, 429]);
        eventually("it is counted", || gate.metric("sekisho_rate_share_failures_total") > 0.0);
        assert_eq!(ask(), 429);
    }
}
