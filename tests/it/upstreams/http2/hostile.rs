//! Endpoints that say in HTTP/2 what must not become the end of one response, or the beginning of another.

use std::io::Write;

use h2::server::Builder;

use super::{Peer, ask, before, data, head, problem};
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::frames::{END_HEADERS, END_STREAM, HEADERS, field, frame};
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;
use crate::support::http2_backend::Http2Backend;

const OK: (&[u8], &[u8]) = (b":status", b"200");

/// An endpoint that answers every request with these frames.
fn answering(answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Backend {
    Peer::backend(move |mut peer, _| {
        while let Some(stream) = peer.request() {
            let answer = answer(stream);
            peer.send(&answer);
        }
    })
}

/// What a client over HTTP/1.1 gets for two requests on one connection, to its end.
fn read_out(gate: &Gate) -> String {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let request = format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\nAccept: application/json\r\n");
    connection.send(format!("{request}\r\n{request}Connection: close\r\n\r\n").as_bytes());
    String::from_utf8_lossy(&connection.read_to_end()).into_owned()
}

#[test]
fn a_body_of_another_length_than_declared_is_cut_off_and_followed_by_nothing() {
    for (length, body, is_cut) in [
        (&b"5"[..], &b"hello, HTTP/1.1 200 OK\r\n\r\n"[..], true),
        (b"50", b"hello", true),
        (b"5", b"hello", false),
    ] {
        let fields: [(&[u8], &[u8]); 2] = [OK, (b"content-length", length)];
        let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec()));
        let backend = answering(move |stream| {
            let fields: Vec<(&[u8], &[u8])> =
                fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
            [head(stream, 0, &fields), data(stream, END_STREAM, body)].concat()
        });
        let gate = before(&[backend.address], "");
        let text = read_out(&gate);
        let bodies = text.matches("hello").count();
        if is_cut {
            assert!(bodies == 0 || (bodies == 1 && text.ends_with("hello")), "{text}");
            assert!(!text.contains("HTTP/1.1 200 OK\r\n\r\n"), "{text}");
        } else {
            assert_eq!(bodies, 2, "{text}");
        }
        let mut client = Http2::connect(&gate.tanaka(), CERT);
        let pending = client.send("GET", "/banking/a", &[], true);
        let ended = client.finish(pending);
        assert_eq!(ended.as_ref().map_or(true, |(response, _)| response.status == 502), is_cut, "{ended:?}");
    }
}

#[test]
fn what_is_no_head_in_http2_is_502() {
    let cases: [&[(&[u8], &[u8])]; 16] = [
        &[(b":status", b"abc")],
        &[(b":status", b"99")],
        &[(b":status", b"20")],
        &[(b":status", b"")],
        &[(b"a", b"b")],
        &[OK, OK],
        &[(b"a", b"b"), OK],
        &[OK, (b"connection", b"close")],
        &[OK, (b"transfer-encoding", b"chunked")],
        &[OK, (b"keep-alive", b"5")],
        &[OK, (b"Upper", b"a")],
        &[OK, (b"a b", b"a")],
        &[OK, (b"a", b"b\r\nset-cookie: c=d")],
        &[OK, (b"a", b"b\0")],
        &[OK, (b"content-length", b"1"), (b"content-length", b"2")],
        &[OK, (b"content-length", b"+1")],
    ];
    for fields in cases {
        let owned: Vec<_> = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let backend = answering(move |stream| {
            let fields: Vec<(&[u8], &[u8])> =
                owned.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
            [head(stream, 0, &fields), data(stream, END_STREAM, b"a")].concat()
        });
        let gate = before(&[backend.address], "ejection: { failures: 0 }");
        let text = read_out(&gate);
        assert!(!text.to_ascii_lowercase().contains("set-cookie"), "{text}");
        assert_eq!(text.matches("HTTP/1.1 502").count(), 2, "{fields:?}: {text}");
        assert_eq!(text.matches("\"upstream_broken\"").count(), 2, "{text}");
    }
}

#[test]
fn a_value_with_bytes_of_no_text_passes_as_it_is_and_without_the_white_space_around_it() {
    let backend = answering(|stream| head(stream, END_STREAM, &[OK, (b"a", b" \xe9\t "), (b"b", b"")]));
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection
        .send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\nConnection: close\r\n\r\n").as_bytes());
    let bytes = connection.read_to_end();
    assert!(bytes.windows(8).any(|part| part == b"\r\na: \xe9\r\n"), "{}", String::from_utf8_lossy(&bytes));
    assert!(bytes.windows(6).any(|part| part == b"\r\nb: \r"), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_switch_of_protocols_is_none() {
    let backend = answering(|stream| head(stream, 0, &[(b":status", b"101"), (b"upgrade", b"websocket")]));
    let gate = before(&[backend.address], "");
    assert_eq!(problem(&gate, "GET"), (502, "upstream_broken".to_owned()));
}

#[test]
fn an_empty_frame_ends_no_body() {
    let backend = answering(|stream| {
        let parts = ["", "one", "", "", "two"].map(|part| data(stream, 0, part.as_bytes())).concat();
        [head(stream, 0, &[OK]), parts, data(stream, END_STREAM, b"")].concat()
    });
    let gate = before(&[backend.address], "");
    let text = read_out(&gate);
    assert_eq!(text.matches("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").count(), 2, "{text}");
}

#[test]
fn what_follows_where_no_body_may_be_reaches_nobody() {
    for (status, length) in [(&b"204"[..], None), (b"304", None), (b"200", Some(&b"0"[..]))] {
        let backend = answering(move |stream| {
            let length = length.map(|length| (&b"content-length"[..], length));
            let fields: Vec<_> = [(&b":status"[..], status)].into_iter().chain(length).collect();
            [head(stream, 0, &fields), data(stream, END_STREAM, b"hidden")].concat()
        });
        let gate = before(&[backend.address], "");
        let text = read_out(&gate);
        assert!(!text.contains("hidden"), "{text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 2, "{text}");
    }
}

#[test]
fn a_head_or_trailers_without_end_are_502_or_cut() {
    let backend = answering(|stream| {
        let long = [b'x'; 100];
        let many: Vec<(&[u8], &[u8])> =
            [OK].into_iter().chain((0..1000).map(|_| (&b"a"[..], &long[..]))).collect();
        let block: Vec<u8> = many.iter().flat_map(|(name, value)| field(name, value)).collect();
        let mut frames = Vec::new();
        for (at, part) in block.chunks(16_000).enumerate() {
            let is_last = (at + 1) * 16_000 >= block.len();
            let kind = if at == 0 { HEADERS } else { crate::support::frames::CONTINUATION };
            let flags = if is_last { END_HEADERS } else { 0 } | if at == 0 { END_STREAM } else { 0 };
            frames.extend(frame(kind, flags, stream, part));
        }
        frames
    });
    let gate = before(&[backend.address], "ejection: { failures: 0 }");
    for _ in 0..3 {
        assert_eq!(problem(&gate, "GET"), (502, "upstream_broken".to_owned()));
    }
    let endless = Peer::backend(|mut peer, _| {
        let Some(stream) = peer.request() else { return };
        peer.send(&frame(HEADERS, 0, stream, &field(b":status", b"200")));
        for _ in 0..10_000 {
            peer.send(&frame(crate::support::frames::CONTINUATION, 0, stream, &field(b"a", &[b'x'; 100])));
        }
        peer.drain();
    });
    let gate = before(&[endless.address], "");
    assert_eq!(problem(&gate, "GET"), (502, "upstream_broken".to_owned()));
}

#[test]
fn a_flood_of_empty_frames_or_of_tiny_ones_ends_its_connection() {
    for part in ["", "x"] {
        let backend = Peer::backend(move |mut peer, _| {
            let Some(stream) = peer.request() else { return };
            let flood = data(stream, 0, part.as_bytes()).repeat(1000);
            peer.send(&head(stream, 0, &[OK]));
            // Far more than a window holds, if each byte took a frame.
            for _ in 0..100 {
                if peer.0.stream.write_all(&flood).is_err() {
                    return peer.0.note("cut off");
                }
            }
            peer.drain();
            peer.0.note("cut off");
        });
        let gate = before(&[backend.address], "");
        let mut client = Http2::connect(&gate.tanaka(), CERT);
        let mut pending = client.send("GET", "/banking/a", &[], true);
        // A client that doesn't read: what comes piles up.
        let answered = client.head(&mut pending);
        eventually("the connection ends", || {
            backend.received().last().is_some_and(|received| received.head == "cut off")
        });
        drop(answered);
    }
}

#[test]
fn a_push_that_nobody_asked_for_ends_the_connection() {
    let backend = Peer::backend(|mut peer, _| {
        let Some(stream) = peer.request() else { return };
        let promised = [&2_u32.to_be_bytes()[..], &field(b":method", b"GET")].concat();
        peer.send(&frame(5, END_HEADERS, stream, &promised));
        peer.drain();
    });
    let gate = before(&[backend.address], "");
    assert_eq!(problem(&gate, "POST"), (502, "upstream_broken".to_owned()));
}

#[test]
fn frames_that_are_none_break_the_requests_of_their_connection_and_no_others() {
    let backend = Peer::backend(|mut peer, number| {
        while let Some(stream) = peer.request() {
            if number == 0 {
                peer.send(&frame(HEADERS, END_HEADERS, stream, b"\xff\xff\xff\xff garbage"));
            } else {
                peer.send(&head(stream, END_STREAM, &[OK]));
            }
        }
    });
    let gate = before(&[backend.address], "ejection: { failures: 0 }");
    assert_eq!(problem(&gate, "POST"), (502, "upstream_broken".to_owned()));
    assert_eq!(ask(&mut Http2::connect(&gate.tanaka(), CERT), "/banking/a"), 200);
}

#[test]
fn a_client_can_smuggle_nothing_into_another_request() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        call.read().await;
        call.answer(200, &[], b"ok").await;
    });
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    // A chunk that holds a request, and a frame; both lengths at once are refused before anything is sent.
    let hidden = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n\0\0\0\x01\x05\0\0\0\x03";
    let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let lines = "Transfer-Encoding: chunked";
    connection.send(format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n\r\n{chunk}").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
    let seen = backend.only();
    assert_eq!((seen.body.as_slice(), seen.values("content-length")), (hidden.as_bytes(), vec![]));
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 3";
    connection.send(format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{both}\r\n\r\n{chunk}").as_bytes());
    assert_eq!(connection.response().unwrap().status, 400);
    assert_eq!(backend.received().len(), 1);
}
