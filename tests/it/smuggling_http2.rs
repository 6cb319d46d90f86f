//! What HTTP/2 lets pass and HTTP/1.1 reads in two ways (T24).

use crate::support::backend::Backend;
use crate::support::frames::{Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::support::gate::{CERT, Gate};
use crate::support::http2::{Http2, Version};

#[test]
fn http2_names_its_host_once() {
    for (host, status) in [("other.example", 400), (CERT, 200)] {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let response =
            Version::Http2.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[("host", host)], b"");
        assert_eq!(response.status, status, "{host}");
        assert_eq!(backend.received().len(), usize::from(status == 200));
    }
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let twice = [("host", CERT), ("host", CERT)];
    let response = Version::Http2.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &twice, b"");
    assert_eq!((response.status, backend.connections()), (400, 0));
}

#[test]
fn an_http2_field_that_would_become_lines_kills_its_stream_or_the_connection() {
    let fields: [(&[u8], &[u8]); 9] = [
        (b"a", b"b\r\nX-Contract-Id: 2"),
        (b"a", b"b\nX-Contract-Id: 2"),
        (b"a", b"b\rc"),
        (b"a", b"b\0c"),
        (b"a\r\nb", b"c"),
        (b"a: b", b"c"),
        (b"Upper", b"c"),
        (b"connection", b"x-contract-id"),
        (b"transfer-encoding", b"chunked"),
    ];
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for field in fields {
        let mut frames = Frames::connect(&gate.tanaka(), CERT);
        let get = frames.get(1, "/banking/a", &[field]);
        frames.send(&get);
        // Either a reset, the end of the connection, or an answer that is a 400: never a 200 (0x88).
        match frames.next(&[HEADERS, RST_STREAM, GOAWAY]) {
            Some(frame) if frame.kind == HEADERS => assert_ne!(frame.payload[0], 0x88, "{field:?}"),
            _ => {}
        }
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn http2_lengths_are_one_number_and_the_bodys_own() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    for lengths in [&["5", "6"][..], &["5", "5"], &["+5"], &["5, 5"]] {
        let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        match http2.ask("POST", "/banking/a", &fields, b"hello") {
            Ok(response) => assert_eq!(response.status, 400, "{lengths:?}"),
            Err(error) => assert!(error.is_reset(), "{lengths:?}: {error}"),
        }
    }
    assert_eq!(backend.connections(), 0);
    for length in ["4", "6"] {
        let ended = http2.ask("POST", "/banking/a", &[("content-length", length)], b"hello");
        assert!(ended.is_err_and(|error| error.is_reset()), "{length}");
    }
    assert!(backend.received().iter().all(|received| received.body.is_empty()), "{:?}", backend.received());
}
