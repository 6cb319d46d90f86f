//! Compressed bodies on their way: flushed when the backend pauses, broken when it breaks, and no longer than they may be.

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::{gate, page};
use crate::support::backend::{Backend, Received};
use crate::support::client::Connection;
use crate::support::decoder::{decode, decode_so_far};
use crate::support::gate::{Gate, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::http2_backend::{self, Http2Backend};
use crate::support::pki::Ca;

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// A body in chunks, as long as they are given.
fn chunked(parts: &[&[u8]], end: &str) -> Vec<u8> {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in parts {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes().chain(part.iter().copied()).chain(*b"\r\n"));
    }
    [&bytes, end.as_bytes()].concat()
}

/// A backend that sends an event each time that it is told to.
fn events() -> (Backend, Sender<&'static str>) {
    let (tell, told): (Sender<&'static str>, Receiver<&'static str>) = channel();
    let told = Arc::new(Mutex::new(told));
    let backend = Backend::conversing(move |mut conversation| {
        if conversation.receive().is_none() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        conversation.stream.write_all(head.as_bytes()).unwrap();
        while let Ok(event) = told.lock().unwrap().recv() {
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            if conversation.stream.write_all(chunk.as_bytes()).is_err() || event.is_empty() {
                return;
            }
        }
    });
    (backend, tell)
}

const EVENTS: [&str; 3] = ["data: 1\n\n", "data: second\n\n", "event: end\ndata: 残高\n\n"];

/// What has come so far of a body in chunks, without waiting for more than `wanted` to be readable.
fn read_event(connection: &mut Connection, body: &mut Vec<u8>) {
    let line = connection.read_until(b"\r\n").unwrap();
    let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
    body.extend(connection.read_exactly(size).unwrap());
    assert_eq!(connection.read_exactly(2).unwrap(), b"\r\n");
}

#[test]
fn an_event_is_there_when_the_backend_has_sent_it() {
    for coding in CODINGS {
        let (backend, tell) = events();
        let gate = gate(&backend);
        let mut connection = gate.client().connect(WWW).unwrap();
        connection.send(
            format!("GET /small/events HTTP/1.1\r\nHost: {WWW}\r\nAccept-Encoding: {coding}\r\n\r\n")
                .as_bytes(),
        );
        let head = String::from_utf8(connection.read_until(b"\r\n\r\n").unwrap()).unwrap();
        assert!(head.contains(&format!("Content-Encoding: {coding}\r\n")), "{head}");
        let (mut body, mut expected) = (Vec::new(), String::new());
        for event in EVENTS {
            tell.send(event).unwrap();
            expected.push_str(event);
            // Reading ends with the test's patience: an event that sits in the encoder never comes.
            while String::from_utf8_lossy(&decode_so_far(coding, &body)) != expected {
                read_event(&mut connection, &mut body);
            }
        }
        tell.send("").unwrap();
        let mut last = Vec::new();
        while !last.ends_with(b"0\r\n\r\n") {
            last.extend(connection.read_exactly(1).unwrap());
        }
    }
}

#[test]
fn an_event_is_there_over_http2_too() {
    for coding in CODINGS {
        let (backend, tell) = events();
        let gate = gate(&backend);
        let mut http2 = Http2::connect(&gate.client(), WWW);
        let mut pending = http2.send("GET", "/small/events", &[("accept-encoding", coding)], true);
        let (head, mut stream) = http2.head(&mut pending).unwrap().into_parts();
        assert_eq!(head.headers["content-encoding"], coding);
        let (mut body, mut expected) = (Vec::new(), String::new());
        for event in EVENTS {
            tell.send(event).unwrap();
            expected.push_str(event);
            while String::from_utf8_lossy(&decode_so_far(coding, &body)) != expected {
                body.extend(http2.wait(stream.data()).unwrap().unwrap());
            }
        }
        tell.send("").unwrap();
        while let Some(data) = http2.wait(stream.data()) {
            body.extend(data.unwrap());
        }
        assert_eq!(String::from_utf8(decode(coding, &body).unwrap()).unwrap(), EVENTS.concat());
    }
}

#[test]
fn trailers_pass_but_for_digests_of_the_bytes_before() {
    let end = "0\r\nX-Sum: 1\r\nContent-Digest: sha-256=:AAAA:\r\nrepr-digest: sha-256=:AAAA:\r\nDigest: a\r\nX-End: 2\r\n\r\n";
    let backend = Backend::answering(move |_| chunked(&[&page(), b"end"], end));
    let gate = gate(&backend);
    let expected = [page(), b"end".to_vec()].concat();
    for coding in CODINGS {
        let mut http2 = Http2::connect(&gate.client(), WWW);
        let pending = http2.send("GET", "/small", &[("accept-encoding", coding)], true);
        let (response, trailers) = http2.finish(pending).unwrap();
        assert!(decode(coding, &response.body).unwrap() == expected, "{coding}");
        let names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-sum", "x-end"]);
        let mut connection = gate.client().connect(WWW).unwrap();
        let lines = format!("Accept-Encoding: {coding}\r\nConnection: close\r\n");
        connection.send(format!("GET /small HTTP/1.1\r\nHost: {WWW}\r\n{lines}\r\n").as_bytes());
        let bytes = connection.read_to_end();
        let end = b"\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n";
        assert!(bytes.ends_with(end), "{:?}", String::from_utf8_lossy(&bytes[bytes.len() - 80..]));
    }
    // Who gets the bytes as they came gets their digests, too.
    let mut http2 = Http2::connect(&gate.client(), WWW);
    let pending = http2.send("GET", "/small", &[], true);
    assert_eq!(http2.finish(pending).unwrap().1.len(), 5);
}

#[test]
fn a_body_that_breaks_is_never_ended() {
    let answers: [fn() -> Vec<u8>; 2] = [
        || chunked(&[&page()], ""),
        || {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 999999\r\n\r\n";
            [head.as_bytes(), &page()].concat()
        },
    ];
    for answer in answers {
        let backend = Backend::conversing(move |mut conversation| {
            conversation.receive();
            let _ = conversation.stream.write_all(&answer());
        });
        let gate = gate(&backend);
        for coding in CODINGS {
            let mut connection = gate.client().connect(WWW).unwrap();
            connection.send(
                format!("GET /small HTTP/1.1\r\nHost: {WWW}\r\nAccept-Encoding: {coding}\r\n\r\n").as_bytes(),
            );
            let head = String::from_utf8(connection.read_until(b"\r\n\r\n").unwrap()).unwrap();
            assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
            let rest = connection.read_to_end();
            assert!(!rest.ends_with(b"0\r\n\r\n"));
            let mut http2 = Http2::connect(&gate.client(), WWW);
            let broken = http2.ask("GET", "/small", &[("accept-encoding", coding)], b"").unwrap_err();
            assert!(broken.is_reset(), "{broken}");
        }
        gate.counts(r#"sekisho_failures_total{code="upstream_broken"}"#, 6.0);
    }
}

#[test]
fn a_routes_limit_is_for_what_the_backend_sends() {
    let routes = "
  - { path: /, require: nothing, upstream: banking, compression: {}, limits: { response_body: 100KiB } }";
    let backend = Backend::answering(|received: &Received| {
        let length = if received.line() == "GET /more" { 101 << 10 } else { 99 << 10 };
        chunked(&[&vec![b'a'; length]], "0\r\n\r\n")
    });
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    for coding in CODINGS {
        let mut http2 = Http2::connect(&gate.client(), WWW);
        let fields = [("accept-encoding", coding)];
        let response = http2.ask("GET", "/less", &fields, b"").unwrap();
        assert!(decode(coding, &response.body).unwrap() == vec![b'a'; 99 << 10]);
        assert!(http2.ask("GET", "/more", &fields, b"").is_err());
    }
}

#[test]
fn what_a_backend_sends_over_http2_is_compressed_as_well() {
    let backend = Http2Backend::serving(&h2::server::Builder::new(), |mut call| async move {
        call.read().await;
        let mut stream = call.begin(200, &[("content-type", "text/html"), ("etag", "\"a\"")], false);
        for part in page().chunks(3000) {
            http2_backend::send(&mut stream, part, false).await.unwrap();
        }
        stream.send_trailers(http2_backend::headers(&[("x-sum", "1"), ("digest", "a")])).unwrap();
    });
    let settings =
        Settings { routes: Some(super::ROUTES), upstream: "protocol: http2", ..Settings::default() };
    let gate = Gate::before(&[backend.address], Ca::new("Mihon Bank CA-G1"), settings);
    for coding in CODINGS {
        let fields = [("accept-encoding", coding)];
        for version in Version::BOTH {
            let response = version.ask(&gate.client(), WWW, ("GET", "/app"), &fields, b"");
            assert_eq!(
                (response.values("content-encoding"), response.values("etag")),
                (vec![coding.to_owned()], vec!["W/\"a\"".to_owned()])
            );
            assert!(decode(coding, &response.body).unwrap() == page());
        }
        let mut http2 = Http2::connect(&gate.client(), WWW);
        let pending = http2.send("GET", "/app", &fields, true);
        assert_eq!(http2.finish(pending).unwrap().1, http2_backend::headers(&[("x-sum", "1")]));
    }
}

#[test]
fn a_connection_goes_on_behind_a_compressed_answer() {
    let backend = Backend::answering(|_| chunked(&[&page()], "0\r\n\r\n"));
    let gate = gate(&backend);
    let mut connection = gate.client().connect(WWW).unwrap();
    for _ in 0..3 {
        for coding in CODINGS {
            connection.send(
                format!("GET /small HTTP/1.1\r\nHost: {WWW}\r\nAccept-Encoding: {coding}\r\n\r\n").as_bytes(),
            );
            assert!(decode(coding, &connection.response().unwrap().body).unwrap() == page());
        }
    }
    // The backend's connection as well.
    assert_eq!(backend.connections(), 1);
}

#[test]
fn more_than_may_be_compressed_at_once_go_out_as_they_came() {
    let (tell, told) = channel();
    let told = Mutex::new(told);
    let backend = Backend::conversing(move |mut conversation| {
        while let Some(received) = conversation.receive() {
            let whole = chunked(&[&page()], "0\r\n\r\n");
            let (begun, end) = whole.split_at(whole.len() - 5);
            conversation.stream.write_all(begun).unwrap();
            if received.line() == "GET /small/held" {
                let () = told.lock().unwrap().recv().unwrap();
            }
            conversation.stream.write_all(end).unwrap();
        }
    });
    let yaml = "limits: { compressed_responses: 1 }";
    let settings = Settings { routes: Some(super::ROUTES), yaml, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    let fields = [("accept-encoding", "gzip")];
    let mut http2 = Http2::connect(&gate.client(), WWW);
    let mut held = http2.send("GET", "/small/held", &fields, true);
    let (head, mut body) = http2.head(&mut held).unwrap().into_parts();
    assert_eq!(head.headers["content-encoding"], "gzip");
    for version in Version::BOTH {
        let response = version.ask(&gate.client(), WWW, ("GET", "/small"), &fields, b"");
        assert_eq!(
            (response.value("content-encoding"), response.values("vary")),
            (None, vec!["Accept-Encoding".to_owned()])
        );
        assert!(response.body == page());
    }
    // Who wants none takes no place, and isn't counted.
    assert_eq!(Version::Http1.get(&gate.client(), WWW, "/small").value("content-encoding"), None);
    gate.counts("sekisho_compressions_shed_total", 2.0);
    tell.send(()).unwrap();
    while http2.wait(body.data()).is_some() {}
    let response = Version::Http1.ask(&gate.client(), WWW, ("GET", "/small"), &fields, b"");
    assert_eq!(response.values("content-encoding"), ["gzip"]);
}
