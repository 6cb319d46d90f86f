//! Upstreams that speak HTTP/2: the same rules as over HTTP/1.1, and what is different.

use h2::server::Builder;

use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::{Http2, Version};
use crate::support::http2_backend::Http2Backend;
use crate::support::pki::Ca;

/// A gate before backends that speak HTTP/2, with more of the upstream.
fn before(addresses: &[std::net::SocketAddr], upstream: &str) -> Gate {
    let upstream = format!("protocol: http2, {upstream}");
    let settings = Settings { upstream: &upstream, ..Settings::default() };
    Gate::before(addresses, Ca::new("Mihon Bank CA-G1"), settings)
}

#[test]
fn requests_of_both_versions_reach_a_backend_over_one_connection() {
    let backend = Http2Backend::start();
    let gate = before(&[backend.address], "");
    for version in Version::BOTH {
        for body in [b"".as_slice(), b"a=b", &[b'x'; 300_000]] {
            let response =
                version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a?b=c"), &[("x-a", "1")], body);
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{version:?}");
            let seen = backend.received().pop().unwrap();
            assert_eq!(seen.body, body);
            assert_eq!(seen.head.uri.to_string(), format!("http://{CERT}/banking/a?b=c"));
            assert_eq!(seen.values("x-contract-id"), ["10000000000001"]);
            assert_eq!(seen.values("x-a"), ["1"]);
            for name in ["host", "connection", "transfer-encoding", "te", "upgrade"] {
                assert!(seen.values(name).is_empty(), "{name}");
            }
        }
    }
    assert_eq!(backend.connections(), 1);
    gate.counts("sekisho_upstream_connects_total{upstream=\"banking\"}", 1.0);
    let line = gate.log_line(6);
    assert_eq!(line["endpoint"], backend.address.to_string());
}

#[test]
fn many_requests_at_once_share_a_connection() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        call.read().await;
        call.answer(200, &[], b"ok").await;
    });
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending: Vec<_> = (0..90).map(|_| client.send("GET", "/banking/a", &[], true)).collect();
    for pending in pending {
        assert_eq!(client.finish(pending).unwrap().0.status, 200);
    }
    assert_eq!(backend.connections(), 1);
}
