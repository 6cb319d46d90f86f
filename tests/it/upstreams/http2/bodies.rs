//! Bodies to and from backends that speak HTTP/2: byte for byte, at once, and none ahead of who takes it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use h2::server::Builder;
use sha2::{Digest, Sha256};

use super::{before, problem, with};
use crate::support::eventually;
use crate::support::gate::{CERT, Settings};
use crate::support::http2::{Http2, Version};
use crate::support::http2_backend::{Http2Backend, headers, send, values};

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends back what it gets while it gets it.
fn echo(builder: &Builder) -> Http2Backend {
    Http2Backend::serving(builder, |mut call| async move {
        let mut stream = call.begin(200, &[], false);
        while let Some(Ok(data)) = call.body.data().await {
            let _ = call.body.flow_control().release_capacity(data.len());
            if send(&mut stream, &data, false).await.is_err() {
                return;
            }
        }
        let trailers = call.body.trailers().await.ok().flatten().unwrap_or_default();
        let _ = stream.send_trailers(trailers);
    })
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let seen = call.read().await.unwrap();
        call.answer(200, &[], &seen.body).await;
    });
    let gate = before(&[backend.address], "");
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &body);
        assert_eq!(response.status, 200);
        assert_eq!(sum(&response.body), sum(&body), "{version:?}: {} bytes came back", response.body.len());
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn chunks_and_trailers_pass_in_both_directions_less_what_no_trailer_may_say() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let seen = call.read().await.unwrap();
        let mut stream = call.begin(200, &[("trailer", "a")], false);
        stream.send_data("body".into(), false).unwrap();
        let mut trailers =
            headers(&[("x-contract-id", "9"), ("set-cookie", "a=b"), ("x-sum", "1"), ("x-sum", "2")]);
        trailers.extend(seen.trailers.clone());
        stream.send_trailers(trailers).unwrap();
    });
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let chunked = "Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE";
    let chunks = "4\r\nbody\r\n0\r\nX-Contract-Id: 1\r\nHost: a\r\nX-Mine: here\r\n\r\n";
    connection
        .send(format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{chunked}\r\n\r\n{chunks}").as_bytes());
    let head = String::from_utf8(connection.read_until(b"\r\n\r\n").unwrap()).unwrap().to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    assert!(!head.contains("\r\ntrailer:"), "{head}");
    let body = String::from_utf8(connection.read_until(b"\r\n\r\n").unwrap()).unwrap();
    assert_eq!(body, "4\r\nbody\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\nx-mine: here\r\n\r\n");
    let seen = backend.only();
    assert_eq!((seen.body.as_slice(), seen.values("te")), (b"body".as_slice(), vec!["trailers".to_owned()]));
    assert_eq!(seen.trailers, headers(&[("x-mine", "here")]));
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = client.send("POST", "/banking/a", &[("te", "trailers")], false);
    client.send_data(&mut pending, b"body", false).unwrap();
    pending.body.send_trailers(headers(&[("x-mine", "here"), ("x-user-id", "a")])).unwrap();
    let (response, trailers) = client.finish(pending).unwrap();
    assert_eq!(backend.received()[1].values("te"), ["trailers"]);
    assert_eq!(backend.received()[1].trailers, headers(&[("x-mine", "here")]));
    assert_eq!(
        (response.text().as_str(), values(&trailers, "x-sum")),
        ("body", vec!["1".into(), "2".into()])
    );
    assert_eq!((trailers.len(), values(&trailers, "x-mine")), (3, vec!["here".into()]));
}

#[test]
fn a_backend_of_others_make_gets_and_gives_whole_bodies_and_trailers() {
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/http2_backend.js"));
    let mut backend = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(backend.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let gate = before(&[format!("127.0.0.1:{}", port.trim()).parse().unwrap()], "");
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let response = Version::Http1.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &body);
    assert_eq!((response.value("x-user").as_deref(), sum(&response.body)), (Some("tanaka"), sum(&body)));
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    for _ in 0..20 {
        let pending = client.send("GET", "/banking/a", &[], true);
        let (response, trailers) = client.finish(pending).unwrap();
        assert_eq!((response.status, values(&trailers, "x-length")), (200, vec!["0".to_owned()]));
    }
    gate.counts("sekisho_upstream_connects_total{upstream=\"banking\"}", 1.0);
    // Its input ends with us, and it with its input.
    drop(backend.stdin.take());
    backend.wait().unwrap();
}

#[test]
fn an_endpoint_may_answer_before_it_has_read_the_body() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        call.answer(413, &[], b"no").await;
        // What is dropped here unread is reset, with NO_ERROR (RFC 9113, section 8.1).
    });
    let gate = before(&[backend.address], "");
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &[b'x'; 2_000_000]);
        assert_eq!((response.status, response.text().as_str()), (413, "no"), "{version:?}");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_client_that_does_not_read_holds_up_the_endpoint_and_nobody_else() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = sent.clone();
    let backend = Http2Backend::serving(&Builder::new(), move |mut call| {
        let sent = counting.clone();
        async move {
            if call.head.uri.path() != "/banking/endless" {
                return call.answer(200, &[], &[b'x'; 1_000_000]).await;
            }
            let mut stream = call.begin(200, &[], false);
            while send(&mut stream, &[b'x'; 10_000], false).await.is_ok() {
                sent.fetch_add(10_000, Ordering::Relaxed);
            }
        }
    });
    let gate = before(&[backend.address], "");
    // Many, so that together they would fill any window that they share.
    let mut readers: Vec<_> = (0..40).map(|_| Http2::connect(&gate.tanaka(), CERT)).collect();
    let pending: Vec<_> =
        readers.iter_mut().map(|client| client.send("GET", "/banking/endless", &[], true)).collect();
    let mut last = 0;
    eventually("the endpoint sends no more", || {
        std::thread::park_timeout(std::time::Duration::from_millis(300));
        std::mem::replace(&mut last, sent.load(Ordering::Relaxed)) == sent.load(Ordering::Relaxed) && last > 0
    });
    // The endpoint's own buffers, its window, the gate's buffers, and the client's window.
    assert!(last < 40 * (2 << 20), "{last}");
    let other = Version::Http1.get(&gate.tanaka(), CERT, "/banking/a");
    assert_eq!(other.body.len(), 1_000_000);
    assert_eq!(backend.connections(), 1);
    drop(pending);
}

#[test]
fn a_client_that_sends_nothing_holds_up_nobody_elses_body() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        call.note("came");
        if call.read().await.is_some() {
            call.answer(200, &[], b"ok").await;
        }
    });
    let gate = before(&[backend.address], "");
    let mut slow = Http2::connect(&gate.tanaka(), CERT);
    let mut pending: Vec<_> = (0..20)
        .map(|_| {
            let mut pending = slow.send("POST", "/banking/a", &[], false);
            slow.send_data(&mut pending, b"begun", false).unwrap();
            pending
        })
        .collect();
    eventually("they are there", || backend.notes().len() == 20);
    let response = Version::Http1.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &[b'x'; 1_000_000]);
    assert_eq!(response.text(), "ok");
    let mut last = pending.pop().unwrap();
    slow.send_data(&mut last, b", ended", true).unwrap();
    assert_eq!(slow.finish(last).unwrap().0.text(), "ok");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_body_over_the_cap_is_refused_on_its_way_and_a_response_over_it_is_cut() {
    let backend = echo(&Builder::new());
    let routes =
        "  - { path: /banking, require: certificate, upstream: banking, limits: { response_body: 1000 } }";
    let settings = Settings { yaml: "limits: { body: 2000 }", routes: Some(routes), ..Settings::default() };
    let gate = with(&[backend.address], "", settings);
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    assert_eq!(client.ask("POST", "/banking/a", &[], &[b'x'; 1000]).unwrap().body.len(), 1000);
    assert!(client.ask("POST", "/banking/a", &[], &[b'x'; 1001]).unwrap_err().is_reset());
    let mut pending = client.send("POST", "/banking/a", &[("accept", "application/json")], false);
    let _ = client.send_data(&mut pending, &[b'x'; 2001], true);
    assert!(client.finish(pending).map_or(true, |(response, _)| response.status == 413));
    let declared = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let _ = call.begin(200, &[("content-length", "1001")], false);
        let _ = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
    });
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = with(&[declared.address], "", settings);
    assert_eq!(problem(&gate, "GET"), (502, "upstream_broken".to_owned()));
    assert_eq!(gate.log_line(1)["detail"], "more bytes than the route's limits.response_body");
}

#[test]
fn an_endpoint_that_stalls_in_its_body_is_cut_off() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let mut stream = call.begin(200, &[], false);
        stream.send_data("half".into(), false).unwrap();
        let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
        call.note(format!("{:?}", reason.unwrap()));
    });
    let settings = Settings { yaml: "timeouts: { upstream_body_idle: 300ms }", ..Settings::default() };
    let gate = with(&[backend.address], "", settings);
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending = client.send("GET", "/banking/a", &[], true);
    assert!(client.finish(pending).unwrap_err().is_reset());
    eventually("its stream is reset", || backend.notes() == ["CANCEL"]);
    assert_eq!(gate.log_line(1)["failure"], "upstream_timeout");
}

#[test]
fn a_body_waits_until_the_endpoint_asks_for_it() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        assert_eq!(call.head.headers["expect"], "100-continue");
        if call.head.uri.path() == "/banking/no" {
            return call.answer(417, &[], b"no").await;
        }
        let mut interim = http::Response::new(());
        *interim.status_mut() = http::StatusCode::CONTINUE;
        call.respond.send_informational(interim).unwrap();
        call.read().await;
        call.answer(200, &[], b"ok").await;
    });
    let gate = before(&[backend.address], "");
    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: {CERT}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    };
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(head("/banking/a").as_bytes());
    assert_eq!(connection.response_to("HEAD").unwrap().status, 100);
    connection.send(b"body");
    assert_eq!(connection.response().unwrap().text(), "ok");
    assert_eq!(backend.only().body, b"body");
    connection.send(head("/banking/no").as_bytes());
    assert_eq!(connection.response().unwrap().status, 417);
}

#[test]
fn a_part_of_a_body_that_was_sent_is_never_sent_again() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let data = call.body.data().await.unwrap().unwrap();
        call.note(format!("{} bytes", data.len()));
        call.respond.send_reset(Reason::REFUSED_STREAM);
    });
    let gate = before(&[backend.address], "retries: { most: 1 }");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let fields = [("accept", "application/json")];
    assert_eq!(client.ask("PUT", "/banking/a", &fields, b"body").unwrap().code(), "upstream_broken");
    assert_eq!(backend.notes(), ["4 bytes"]);
}
