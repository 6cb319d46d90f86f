//! What was meant for one hop ends there (RFC 9110, section 7.6.1), and what HTTP/2 splits is whole again.

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Version;

#[test]
fn fields_of_one_hop_end_here_in_both_directions() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nconnection: X-Other\r\nX-Hop: 1\r\nX-Other: 1\r\n\
          Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTE: trailers\r\n\
          Proxy-Connection: close\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok"
            .to_vec()
    });
    let gate = Gate::start(&backend);
    let lines = "Connection: x-hop\r\nCONNECTION: X-Other, keep-alive\r\nX-Hop: 1\r\nX-Other: 1\r\nKeep-Alive: 5\r\n\
                 Proxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nTrailer: x\r\nTE: gzip\r\n\
                 Upgrade: h2c\r\nX-End: 1\r\n";
    let hops = [
        "connection",
        "x-hop",
        "x-other",
        "keep-alive",
        "proxy-authorization",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ];
    let response = gate.tanaka().get_with(CERT, "/banking/a", lines);
    let response2 = Version::Http2.get(&gate.tanaka(), CERT, "/banking/a");
    let received = backend.received().remove(0);
    for hop in hops {
        assert!(received.values(hop).is_empty(), "{hop}:\n{}", received.head);
        assert!(response.values(hop).is_empty(), "{hop}:\n{}", response.head);
        assert!(response2.values(hop).is_empty(), "{hop}:\n{}", response2.head);
    }
    for head in [&received.head, &response.head, &response2.head] {
        assert!(head.to_lowercase().contains("x-end: 1\r\n"), "{head}");
    }
}

#[test]
fn te_trailers_is_said_anew_for_the_next_hop() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[("te", "trailers")], b"");
        let received = backend.only();
        assert_eq!(received.value("te").as_deref(), Some("trailers"), "{version:?}");
        assert_eq!(received.value("connection").as_deref(), Some("TE"), "{version:?}");
    }
}

#[test]
fn cookies_arrive_on_one_line() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let crumbs = [("cookie", "a=1"), ("x-between", "1"), ("Cookie", "b=2; c=3")];
        version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &crumbs, b"");
        assert_eq!(backend.only().value("cookie").as_deref(), Some("a=1; b=2; c=3"), "{version:?}");
    }
}
