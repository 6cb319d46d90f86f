//! Connections that many requests share: how many there are, when another one is made, and when they end.

use std::sync::Arc;

use h2::Reason;
use h2::server::Builder;

use super::{Peer, ask, before, data, head, held, problem, with};
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::frames::{END_STREAM, GOAWAY, RST_STREAM, frame};
use crate::support::fronted::{Fronted, at_socket};
use crate::support::gate::{CERT, Gate, Settings, lay_out};
use crate::support::http2::{Http2, Version};
use crate::support::http2_backend::Http2Backend;
use crate::support::pki::Ca;

const NAME: &str = "app.mihon.test";

#[test]
fn many_requests_at_once_share_a_connection() {
    let (backend, turns) = held(&Builder::new());
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending: Vec<_> = (0..90).map(|_| client.send("GET", "/banking/a", &[], true)).collect();
    eventually("all are there at once", || backend.received().len() == 90);
    turns.add_permits(90);
    for pending in pending {
        assert_eq!(client.finish(pending).unwrap().0.status, 200);
    }
    assert_eq!(backend.connections(), 1);
    gate.counts("sekisho_upstream_connects_total{upstream=\"banking\"}", 1.0);
}

#[test]
fn more_than_an_endpoint_takes_at_once_go_over_other_connections() {
    let (backend, turns) = held(Builder::new().max_concurrent_streams(2));
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending: Vec<_> = (0..5).map(|_| client.send("GET", "/banking/a", &[], true)).collect();
    eventually("all are there at once", || backend.received().len() == 5);
    let mut carried = [0; 3];
    backend.received().iter().for_each(|seen| carried[seen.connection - 1] += 1);
    carried.sort_unstable();
    assert_eq!(carried, [1, 2, 2]);
    turns.add_permits(5);
    for pending in pending {
        assert_eq!(client.finish(pending).unwrap().0.status, 200);
    }
}

#[test]
fn no_more_connections_than_allowed_are_made_and_requests_wait_for_a_stream_instead() {
    let (backend, turns) = held(Builder::new().max_concurrent_streams(2));
    let gate = before(&[backend.address], "limits: { connections: 1, queued: 2, wait: 10s }");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let mut pending: Vec<_> = (0..4).map(|_| client.send("GET", "/banking/a", &[], true)).collect();
    gate.counts("sekisho_upstream_requests_queued{upstream=\"banking\"}", 2.0);
    assert_eq!(problem(&gate, "GET"), (503, "upstream_busy".to_owned()), "the queue is full");
    assert_eq!(backend.received().len(), 2);
    turns.add_permits(1);
    eventually("one that waited has its turn", || backend.received().len() == 3);
    // Who goes gives its place up, and its stream.
    let gone = pending.remove(0);
    drop(gone);
    turns.add_permits(3);
    for pending in pending {
        assert_eq!(client.finish(pending).unwrap().0.status, 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn who_waits_for_a_stream_in_vain_gets_503() {
    let (backend, _turns) = held(Builder::new().max_concurrent_streams(1));
    let gate = before(&[backend.address], "limits: { connections: 1, wait: 100ms }");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let _pending = client.send("GET", "/banking/a", &[], true);
    eventually("the first has it", || backend.received().len() == 1);
    assert_eq!(problem(&gate, "GET"), (503, "upstream_busy".to_owned()));
}

#[test]
fn workers_share_the_connections_that_are_allowed() {
    let (backend, ca) = (Http2Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let upstream = "protocol: http2, limits: { connections: 1, wait: 10s }";
    let folder = lay_out(&[backend.address], &ca, &Settings { upstream, ..Settings::default() });
    let file = folder.path().join("sekisho.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("workers: 1", "workers: 2")).unwrap();
    let gate = Gate::in_folder(folder, ca);
    // The kernel spreads them over the workers.
    let mut clients: Vec<_> = (0..12).map(|_| Http2::connect(&gate.tanaka(), CERT)).collect();
    for client in &mut clients {
        assert_eq!(ask(client, "/banking/a"), 200);
    }
    assert!((2..=12).contains(&backend.connections()), "{}", backend.connections());
    eventually("one is left", || backend.open() == 1);
}

#[test]
fn no_idle_connection_is_kept_where_none_is_wanted() {
    let backend = Http2Backend::start();
    let settings = Settings { yaml: "limits: { upstream_idle_connections: 0 }", ..Settings::default() };
    let gate = with(&[backend.address], "", settings);
    assert_eq!(ask(&mut Http2::connect(&gate.tanaka(), CERT), "/banking/a"), 200);
    eventually("it is closed", || backend.open() == 0);
}

#[test]
fn a_connection_that_carries_nothing_for_long_is_closed() {
    let backend = Http2Backend::start();
    let settings = Settings { yaml: "timeouts: { upstream_idle: 200ms }", ..Settings::default() };
    let gate = with(&[backend.address], "", settings);
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    assert_eq!(ask(&mut client, "/banking/a"), 200);
    eventually("it is closed", || backend.open() == 0);
    assert_eq!(ask(&mut client, "/banking/a"), 200);
    assert_eq!(backend.connections(), 2);
}

#[test]
fn an_endpoint_that_is_taken_out_keeps_its_requests_and_then_loses_its_connections() {
    let (held, turns) = held(&Builder::new());
    let other = Http2Backend::start();
    let gate = before(&[held.address], "");
    gate.follow();
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending = client.send("GET", "/banking/a", &[], true);
    eventually("it has it", || held.received().len() == 1);
    let (from, to) = (held.address.to_string(), other.address.to_string());
    gate.write("sekisho.yaml", &gate.file("sekisho.yaml").replace(&from, &to));
    gate.reload().unwrap();
    assert_eq!(ask(&mut client, "/banking/a"), 200);
    assert_eq!((held.received().len(), other.received().len()), (1, 1));
    turns.add_permits(1);
    assert_eq!(client.finish(pending).unwrap().0.text(), "ok");
    eventually("its connection is closed", || held.open() == 0);
}

#[test]
fn what_an_earlier_configuration_left_idle_is_closed_although_a_request_goes_by_it_still() {
    let (held, turns) = held(&Builder::new());
    let other = Http2Backend::start();
    let gate = before(&[held.address, other.address], "");
    gate.follow();
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending: Vec<_> = (0..2).map(|_| client.send("GET", "/banking/a", &[], true)).collect();
    eventually("each has one", || (held.received().len(), other.received().len()) == (1, 1));
    let yaml = gate.file("sekisho.yaml");
    gate.write("sekisho.yaml", &yaml.replace("protocol: http2,", "protocol: http2, slow_start: 1s,"));
    gate.reload().unwrap();
    eventually("the idle one is closed", || other.open() == 0);
    assert_eq!(held.open(), 1);
    turns.add_permits(1);
    for pending in pending {
        assert_eq!(client.finish(pending).unwrap().0.text(), "ok");
    }
    eventually("the other one, too", || held.open() == 0);
}

#[test]
fn a_request_that_a_goaway_leaves_out_goes_over_another_connection_whatever_its_method() {
    let backend = Peer::backend(|mut peer, number| {
        let Some(stream) = peer.request() else { return };
        if number == 0 {
            peer.send(&frame(GOAWAY, 0, 0, &[0; 8]));
        } else {
            peer.send(&head(stream, END_STREAM, &[(b":status", b"201")]));
        }
        peer.drain();
    });
    let gate = before(&[backend.address], "ejection: { failures: 1 }");
    let response = Version::Http1.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], b"");
    assert_eq!(response.status, 201);
    assert_eq!(backend.connections(), 2);
    assert_eq!(gate.log_line(1)["tries"], 2);
}

#[test]
fn a_request_that_a_goaway_leaves_to_the_endpoint_is_answered_and_the_next_goes_over_another_connection() {
    let backend = Peer::backend(|mut peer, _| {
        let Some(stream) = peer.request() else { return };
        let last = [stream.to_be_bytes(), [0; 4]].concat();
        peer.send(&frame(GOAWAY, 0, 0, &last));
        peer.send(&head(stream, 0, &[(b":status", b"200")]));
        peer.send(&data(stream, END_STREAM, b"ok"));
        peer.drain();
    });
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    for _ in 0..3 {
        assert_eq!(client.get(CERT, "/banking/a").text(), "ok");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn a_request_whose_stream_is_refused_is_tried_once_more_and_one_with_a_body_is_not() {
    let refusals = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let left = refusals.clone();
    let backend = Http2Backend::serving(&Builder::new(), move |mut call| {
        let left = left.clone();
        async move {
            call.note("came");
            let less = |left: usize| left.checked_sub(1);
            if left
                .fetch_update(std::sync::atomic::Ordering::SeqCst, std::sync::atomic::Ordering::SeqCst, less)
                .is_ok()
            {
                return call.respond.send_reset(Reason::REFUSED_STREAM);
            }
            call.answer(200, &[], b"ok").await;
        }
    });
    let gate = before(&[backend.address], "");
    assert_eq!(Version::Http1.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], b"").status, 200);
    assert_eq!((backend.notes().len(), backend.connections()), (2, 2));
    // Once is not for ever.
    refusals.store(100, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(problem(&gate, "POST"), (502, "upstream_broken".to_owned()));
    assert_eq!(backend.notes().len(), 4);
    assert_eq!(gate.log_line(2)["detail"], "it refused the request's stream");
}

#[test]
fn a_stream_that_is_reset_takes_nobody_with_it() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gone = go.clone();
    let backend = Http2Backend::serving(&Builder::new(), move |mut call| {
        let go = gone.clone();
        async move {
            call.note("came");
            match call.head.uri.path() {
                "/banking/reset" => call.respond.send_reset(Reason::INTERNAL_ERROR),
                "/banking/later" => {
                    let mut stream = call.begin(200, &[], false);
                    stream.send_data("half".into(), false).unwrap();
                    go.notified().await;
                    stream.send_reset(Reason::INTERNAL_ERROR);
                }
                _ => call.answer(200, &[], b"ok").await,
            }
        }
    });
    let gate = before(&[backend.address], "retries: { most: 1 }, ejection: { failures: 0 }");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let pending = client.send("POST", "/banking/reset", &[("accept", "application/json")], true);
    let (response, _) = client.finish(pending).unwrap();
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_broken"));
    assert_eq!(backend.notes().len(), 1, "it may have been done");
    assert_eq!(ask(&mut client, "/banking/reset"), 502);
    assert_eq!(backend.notes().len(), 3, "and GET is tried again");
    let mut pending = client.send("GET", "/banking/later", &[], true);
    let (_, mut body) = client.head(&mut pending).unwrap().into_parts();
    assert_eq!(client.wait(body.data()).unwrap().unwrap(), "half");
    go.notify_one();
    assert!(client.wait(body.data()).unwrap().unwrap_err().is_reset());
    assert_eq!(ask(&mut client, "/banking/a"), 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_that_was_closed_while_it_was_kept_costs_no_request() {
    let backend = Peer::backend(|mut peer, _| {
        let Some(stream) = peer.request() else { return };
        peer.send(&head(stream, END_STREAM, &[(b":status", b"200")]));
    });
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    for count in 1..4 {
        assert_eq!(ask(&mut client, "/banking/a"), 200);
        assert_eq!(backend.connections(), count);
    }
}

#[test]
fn who_goes_away_resets_its_stream_and_leaves_the_connection() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        match call.head.uri.path() {
            "/banking/never" => {
                call.note("came");
                let reason = std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await;
                call.note(format!("{:?}", reason.unwrap()));
            }
            "/banking/endless" => {
                let mut stream = call.begin(200, &[], false);
                call.note("came");
                while crate::support::http2_backend::send(&mut stream, &[b'x'; 100_000], false).await.is_ok()
                {
                }
                let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
                call.note(format!("{:?}", reason.unwrap()));
            }
            _ => call.answer(200, &[], b"ok").await,
        }
    });
    let gate = before(&[backend.address], "");
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    let mut count = 0;
    let mut comes = |what: &str| {
        count += 1;
        eventually(what, || backend.notes().len() == count);
        assert_eq!(backend.notes().pop().unwrap(), what);
    };
    for path in ["/banking/never", "/banking/endless"] {
        let pending = client.send("GET", path, &[], true);
        comes("came");
        drop(pending);
        comes("CANCEL");
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        comes("came");
        drop(connection);
        comes("CANCEL");
    }
    assert_eq!(ask(&mut client, "/banking/a"), 200);
    assert_eq!((backend.connections(), backend.open()), (1, 1));
    gate.counts("sekisho_upstream_failures_total{cause=\"upstream_broken\",upstream=\"banking\"}", 0.0);
}

#[test]
fn who_cancels_again_and_again_does_not_end_the_others_connection() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        if call.head.uri.path() != "/banking/endless" {
            return call.answer(200, &[], b"ok").await;
        }
        let mut stream = call.begin(200, &[], false);
        while crate::support::http2_backend::send(&mut stream, &[b'x'; 1000], false).await.is_ok() {}
    });
    let gate = before(&[backend.address], "");
    // The client's own library counts the same.
    let mut patient = h2::client::Builder::new();
    patient.max_concurrent_reset_streams(10_000).max_local_error_reset_streams(None);
    let mut client = Http2::connect_with(&gate.tanaka(), CERT, &patient);
    let mut other = Http2::connect(&gate.tanaka(), CERT);
    for _ in 0..1500 {
        let mut pending = client.send("GET", "/banking/endless", &[], true);
        assert_eq!(client.head(&mut pending).unwrap().status(), 200);
    }
    assert_eq!(ask(&mut other, "/banking/a"), 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_slow_endpoint_keeps_its_connection_and_a_dead_one_does_not() {
    let settings = || Settings { yaml: "timeouts: { upstream_first_byte: 200ms }", ..Settings::default() };
    let (slow, turns) = held(&Builder::new());
    let gate = with(&[slow.address], "", settings());
    assert_eq!(problem(&gate, "GET"), (504, "upstream_timeout".to_owned()));
    turns.add_permits(100);
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    eventually("the PING was answered", || {
        assert_eq!(ask(&mut client, "/banking/a"), 200);
        slow.connections() == slow.received().last().unwrap().connection
    });
    let dead = Peer::backend(|mut peer, number| {
        while let Some(stream) = peer.request() {
            if number == 0 {
                // Neither reads nor writes any more.
                std::thread::park_timeout(crate::support::PATIENCE);
                return;
            }
            peer.send(&head(stream, END_STREAM, &[(b":status", b"200")]));
        }
    });
    let gate = with(&[dead.address], "", settings());
    assert_eq!(problem(&gate, "GET"), (504, "upstream_timeout".to_owned()));
    assert_eq!(ask(&mut Http2::connect(&gate.tanaka(), CERT), "/banking/a"), 200);
    assert_eq!(dead.connections(), 2);
}

#[test]
fn who_speaks_no_http2_gets_nothing_and_the_next_endpoint_everything() {
    let (old, backend) = (Backend::start(), Http2Backend::start());
    let gate = before(&[old.address], "");
    assert_eq!(problem(&gate, "POST"), (502, "upstream_unreachable".to_owned()));
    let gate = before(&[old.address, backend.address], "ejection: { failures: 0 }");
    for _ in 0..4 {
        assert_eq!(Version::Http2.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], b"a").status, 200);
    }
    assert!(old.received().iter().all(|received| !received.head.contains("banking")), "no request");
}

/// A gate before an endpoint that is behind TLS.
fn behind_tls(front: &Fronted, internal: &Ca) -> Gate {
    let ca = Ca::new("Mihon Bank CA-G1");
    let upstream = format!("protocol: http2, tls: {{ authorities: internal.pem, server_name: {NAME} }}");
    let folder = lay_out(&[front.address], &ca, &Settings { upstream: &upstream, ..Settings::default() });
    std::fs::write(folder.path().join("internal.pem"), internal.pem()).unwrap();
    Gate::in_folder(folder, ca)
}

#[test]
fn behind_tls_an_endpoint_must_agree_on_http2() {
    let (backend, internal) = (Http2Backend::start(), Ca::new("Internal CA"));
    let credential = internal.server(&[NAME]);
    let front = Fronted::offering(&["h2", "http/1.1"], backend.address, &credential);
    let gate = behind_tls(&front, &internal);
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &[b'x'; 300_000]);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
    let seen = backend.received().pop().unwrap();
    assert_eq!(seen.head.uri.to_string(), format!("https://{CERT}/banking/a"));
    assert_eq!(backend.connections(), 1);
    for alpn in [&["http/1.1"][..], &[]] {
        let front = Fronted::offering(alpn, backend.address, &credential);
        let gate = behind_tls(&front, &internal);
        assert_eq!(problem(&gate, "GET"), (502, "upstream_unreachable".to_owned()), "{alpn:?}");
    }
    assert_eq!(backend.received().len(), 2);
}

#[test]
fn a_unix_socket_speaks_http2_like_another() {
    let (backend, ca) = (Http2Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let settings = Settings { upstream: "protocol: http2", ..Settings::default() };
    let folder = lay_out(&[backend.address], &ca, &settings);
    let (socket, file) = (folder.path().join("app.sock"), folder.path().join("sekisho.yaml"));
    at_socket(&socket, backend.address);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&backend.address.to_string(), &format!("unix:{}", socket.display())))
        .unwrap();
    let gate = Gate::in_folder(folder, ca);
    assert_eq!(Version::Http1.get(&gate.tanaka(), CERT, "/banking/a").text(), "ok");
}

#[test]
fn looks_at_endpoints_speak_http2_as_well() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let is_look = call.head.uri.path() == "/health";
        if is_look {
            let agent = call.head.headers["user-agent"].to_str().unwrap();
            call.note(format!("{} {agent}", call.head.uri.authority().unwrap()));
        }
        call.answer(if is_look { 204 } else { 200 }, &[], b"").await;
    });
    let old = Backend::start();
    let upstream = "health: { path: /health, host: app.internal, every: 1s, timeout: 900ms }";
    let gate = before(&[backend.address, old.address], upstream);
    super::super::waits_until_usable(&gate, old.address, false);
    super::super::waits_until_usable(&gate, backend.address, true);
    assert_eq!(backend.notes()[0], "app.internal sekisho-health");
    assert_eq!(ask(&mut Http2::connect(&gate.tanaka(), CERT), "/banking/a"), 200);
    // Without a path, who says its first word in HTTP/2 is well.
    let gate = before(&[backend.address, old.address], "health: { every: 1s, timeout: 900ms }");
    super::super::waits_until_usable(&gate, old.address, false);
    super::super::waits_until_usable(&gate, backend.address, true);
}

#[test]
fn a_goaway_or_a_reset_that_nobody_expects_is_survived() {
    let backend = Peer::backend(|mut peer, _| {
        peer.send(&frame(RST_STREAM, 0, 99, &[0; 4]));
        peer.drain();
    });
    let gate = before(&[backend.address], "");
    assert_eq!(problem(&gate, "POST").0, 502);
}
