//! WebSockets: bytes both ways once the backend has switched, and the end of it. Over HTTP/2 they are streams (RFC 8441), and the
//! backend sees no difference.

use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::support::backend::{Backend, Conversation};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::people;
use crate::support::pki::Ca;
use crate::support::tunnel::{KEY, Tunnel, echo, send_back, switched};

/// Switches, says `hello` in the same breath, and echoes.
fn greet(mut conversation: Conversation) {
    let received = conversation.receive().unwrap();
    conversation.stream.write_all(&[&switched(&received, "")[..], b"hello"].concat()).unwrap();
    send_back(&mut conversation);
    conversation.note("gone");
}

fn open(gate: &Gate, version: Version) -> Tunnel {
    Tunnel::open(version, &gate.tanaka(), CERT, "/banking/ws")
}

fn is_gone(backend: &Backend) -> bool {
    backend.received().iter().any(|received| received.head == "gone")
}

#[test]
fn bytes_go_both_ways_also_those_right_behind_the_switch() {
    for version in Version::BOTH {
        let backend = Backend::conversing(greet);
        let gate = Gate::start(&backend);
        let mut tunnel = open(&gate, version);
        assert_eq!(tunnel.read_exactly(5).unwrap(), b"hello");
        let received = backend.only();
        assert_eq!(received.line(), "GET /banking/ws");
        assert_eq!(received.value("upgrade").as_deref(), Some("websocket"));
        assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
        let large = vec![b'x'; 300_000];
        for part in large.chunks(30_000) {
            tunnel.send(part);
            assert_eq!(tunnel.read_exactly(part.len()).unwrap(), part);
        }
        assert_eq!(gate.metric("sekisho_tunnels"), 1.0);
        drop(tunnel);
        eventually("the backend's side is closed", || is_gone(&backend));
        let line = gate.logged(|line| line["status"] == 101);
        assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(300_000), Some(300_005)));
        assert_eq!(
            (line.get("failure"), &line["method"], &line["path"]),
            (None, &"GET".into(), &"/banking/ws".into())
        );
        assert_eq!(line["protocol"], if version == Version::Http2 { "2" } else { "1.1" });
        gate.counts("sekisho_tunnels", 0.0);
    }
}

#[test]
fn what_the_two_ends_agree_on_passes_and_the_key_is_of_each_connection() {
    for (version, key) in Version::BOTH.into_iter().zip([Some(KEY), None]) {
        let backend = Backend::conversing(|mut conversation| {
            let received = conversation.receive().unwrap();
            let lines = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                Set-Cookie: a=b\r\nX-Hop: 1\r\nConnection: x-hop\r\n";
            conversation.stream.write_all(&switched(&received, lines)).unwrap();
            send_back(&mut conversation);
        });
        let gate = Gate::start(&backend);
        let mut fields = vec![
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate; a=1"),
        ];
        if version == Version::Http2 {
            // A client's own has no meaning there, and must not be beside ours.
            fields.push(("sec-websocket-key", KEY));
        }
        let (response, mut tunnel) =
            Tunnel::ask(version, &gate.tanaka(), (CERT, "/banking/ws"), &fields).unwrap_or_else(|_| panic!());
        tunnel.echoes();
        let received = backend.only();
        let asked = received.value("sec-websocket-key").unwrap();
        assert_eq!(asked.len(), KEY.len());
        assert!(key.is_none_or(|key| key == asked) && (key.is_some() || asked != KEY), "{asked}");
        for (name, value) in
            [("protocol", "chat, superchat"), ("extensions", "permessage-deflate; a=1"), ("version", "13")]
        {
            assert_eq!(received.value(&format!("sec-websocket-{name}")).as_deref(), Some(value));
        }
        assert_eq!(received.values("sec-fetch-mode"), [""; 0]);
        assert_eq!(response.value("sec-websocket-protocol").as_deref(), Some("chat"));
        assert_eq!(response.value("sec-websocket-extensions").as_deref(), Some("permessage-deflate"));
        assert_eq!((response.value("set-cookie").as_deref(), response.value("x-hop")), (Some("a=b"), None));
        let accept = response.value("sec-websocket-accept");
        let expected = key.map(|_| "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept.as_deref(), expected);
    }
}

#[test]
fn a_backend_that_closes_closes_the_tunnel() {
    for version in Version::BOTH {
        let backend = Backend::conversing(|mut conversation| {
            let received = conversation.receive().unwrap();
            conversation.stream.write_all(&[&switched(&received, "")[..], b"bye"].concat()).unwrap();
        });
        let gate = Gate::start(&backend);
        assert_eq!(open(&gate, version).read_to_end(), b"bye");
    }
}

/// Chromium ends its stream together with its close frame, and then waits for the backend's.
#[test]
fn who_has_nothing_more_to_say_still_hears_the_backends_last_words() {
    for version in Version::BOTH {
        let backend = Backend::conversing(|mut conversation| {
            let received = conversation.receive().unwrap();
            conversation.stream.write_all(&switched(&received, "")).unwrap();
            if conversation.read_exactly(7).as_deref() == Some(b"goodbye") {
                conversation.stream.write_all(b"so long").unwrap();
            }
        });
        let gate = Gate::start(&backend);
        let mut tunnel = open(&gate, version);
        tunnel.send_last(b"goodbye");
        assert_eq!(tunnel.read_to_end(), b"so long");
    }
}

#[test]
fn a_backend_does_not_keep_a_tunnel_open_that_its_client_has_ended() {
    for version in Version::BOTH {
        let backend = Backend::conversing(greet);
        let gate = Gate::start(&backend);
        let mut tunnel = open(&gate, version);
        tunnel.send_last(b" goodbye");
        assert_eq!(tunnel.read_to_end(), b"hello goodbye");
        eventually("the backend's side is closed", || is_gone(&backend));
    }
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    for version in Version::BOTH {
        let backend = Backend::conversing(greet);
        let gate = Gate::configured(&backend, "timeouts: { tunnel_idle: 300ms }");
        let mut tunnel = open(&gate, version);
        assert_eq!(tunnel.read_to_end(), b"hello");
        eventually("the backend's side is closed", || is_gone(&backend));
    }
}

#[test]
fn a_tunnel_is_closed_when_it_is_as_old_as_it_may_be_however_busy() {
    for version in Version::BOTH {
        let backend = echo();
        let settings = Settings {
            clock: sekisho::clock::Clock::manual(sekisho::clock::Clock::System.now()),
            ..Settings::default()
        };
        let yaml = "timeouts: { tunnel_age: 1h }";
        let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), Settings { yaml, ..settings });
        let mut tunnel = open(&gate, version);
        tunnel.echoes();
        let begun = gate.clock.now();
        gate.clock.set(begun + jiff::SignedDuration::from_mins(59));
        tunnel.echoes();
        gate.clock.set(begun + jiff::SignedDuration::from_mins(60));
        assert_eq!(tunnel.read_to_end(), b"");
        gate.counts("sekisho_tunnels", 0.0);
        let line = gate.logged(|line| line["status"] == 101);
        assert_eq!((line.get("failure"), line["bytes_in"].as_u64()), (None, Some(10)));
    }
}

#[test]
fn a_tunnel_that_is_left_when_the_gate_has_to_go_is_cut_off_and_logged() {
    for version in Version::BOTH {
        let backend = echo();
        let mut gate = Gate::configured(&backend, "timeouts: { drain: 300ms }");
        let mut tunnel = open(&gate, version);
        tunnel.echoes();
        let drained = gate.drain();
        assert_eq!(tunnel.read_to_end(), b"");
        drained.join().unwrap();
        assert_eq!(gate.access_log().len(), 1);
    }
}

/// What somebody doesn't read waits with whoever sends it: the gate holds a bounded part, and the buffers of the machine's
/// sockets some more.
#[test]
fn a_client_that_does_not_read_holds_up_its_backend() {
    for version in Version::BOTH {
        let backend = Backend::conversing(|mut conversation| {
            let received = conversation.receive().unwrap();
            conversation.stream.write_all(&switched(&received, "")).unwrap();
            conversation.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let flood = vec![0; 1 << 20];
            let mut sent = 0;
            while sent < 256 << 20
                && let Ok(length @ 1..) = conversation.stream.write(&flood)
            {
                sent += length;
            }
            conversation.note(&format!("{sent}"));
            let _ = conversation.stream.read(&mut [0]);
        });
        let gate = Gate::start(&backend);
        let mut tunnel = open(&gate, version);
        let mut sent = None;
        eventually("the backend is held up", || {
            sent = backend.received().get(1).and_then(|received| received.head.parse().ok());
            sent.is_some()
        });
        let sent: usize = sent.unwrap();
        assert!((1..64 << 20).contains(&sent), "{version:?}: {sent} bytes went nowhere");
        assert_eq!(tunnel.read_exactly(sent).map(|bytes| bytes.len()), Some(sent));
    }
}

#[test]
fn a_backend_that_does_not_read_holds_up_its_client() {
    for version in Version::BOTH {
        let (done, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let backend = Backend::conversing(move |mut conversation| {
            let received = conversation.receive().unwrap();
            conversation.stream.write_all(&switched(&received, "")).unwrap();
            let _ = waits.lock().unwrap().recv();
        });
        let gate = Gate::start(&backend);
        let sent = open(&gate, version).send_until_held_up(64 << 20);
        assert!((1..64 << 20).contains(&sent), "{version:?}: {sent} bytes went nowhere");
        drop(done);
    }
}

#[test]
fn only_a_backend_that_opens_a_websocket_opens_a_stream() {
    for (answer, detail) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "it answered a WebSocket's request with no WebSocket",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "it answered a WebSocket's request with no WebSocket"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "its Sec-WebSocket-Accept doesn't fit the key",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "it switched to no WebSocket",
        ),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "it switched to no WebSocket"),
    ] {
        let backend = Backend::answering(|_| answer.as_bytes().to_vec());
        let gate = Gate::start(&backend);
        let fields = [("accept", "application/json")];
        let refused = Tunnel::ask(Version::Http2, &gate.tanaka(), (CERT, "/banking/ws"), &fields)
            .err()
            .expect("no tunnel");
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_broken"), "{answer}");
        assert_eq!(gate.logged(|line| line["status"] == 502)["detail"], detail);
        gate.counts("sekisho_tunnels", 0.0);
    }
}

#[test]
fn a_backends_refusal_reaches_the_client_whole() {
    for version in Version::BOTH {
        let backend = Backend::answering(|_| {
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nX-A: b\r\n\r\nnone".to_vec()
        });
        let gate = Gate::start(&backend);
        let refused =
            Tunnel::ask(version, &gate.tanaka(), (CERT, "/banking/ws"), &[]).err().expect("no tunnel");
        assert_eq!((refused.status, refused.text()), (403, "none".to_owned()));
        assert_eq!(refused.value("x-a").as_deref(), Some("b"));
    }
}

#[test]
fn the_gate_decides_on_a_stream_as_on_any_request() {
    let backend = echo();
    let routes = "  - { path: /banking, require: certificate, upstream: banking, methods: [GET] }
  - { path: /posts, require: certificate, upstream: banking, methods: [POST] }
  - { path: /gone, require: nothing, answer: { body: 'here' } }";
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    let json = [("accept", "application/json")];
    let ask = |client: &Client, path| Tunnel::ask(Version::Http2, client, (CERT, path), &json).map(|_| ());
    assert!(ask(&gate.tanaka(), "/banking/ws").is_ok());
    for (path, status, code) in [
        ("/nowhere", 404, "no_route"),
        ("/posts", 405, "method_not_allowed"),
        ("/banking/%2fws", 400, "bad_request"),
        // An answer of ours that says 200 would be taken for an open tunnel.
        ("/gone", 400, "bad_request"),
    ] {
        let refused = ask(&gate.tanaka(), path).unwrap_err();
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{path}");
    }
    let refused = ask(&gate.client(), "/banking/ws").unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (403, "absent"));
    assert_eq!(backend.received().len(), 1);
    // Nor is there a WebSocket among the portal's pages.
    let gate = people::gate(&backend);
    let sign_in = Tunnel::ask(Version::Http2, &gate.client(), (WWW, "/sekisho/sign-in"), &json);
    let refused = sign_in.err().expect("no tunnel");
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
}

#[test]
fn other_protocols_and_plain_connect_are_no_methods_here() {
    let backend = echo();
    let gate = Gate::start(&backend);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    for protocol in ["connect-udp", "webtransport", "WebSocket", ""] {
        let pending = http2.ask_protocol(protocol, "/banking/ws", &[("accept", "application/json")]);
        let (refused, _) = http2.finish(pending).unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (405, "method_not_allowed"), "{protocol}");
    }
    let refused = http2.ask("CONNECT", "", &[], b"").unwrap();
    assert_eq!(refused.status, 405);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn streams_beside_a_tunnel_go_on_and_outlive_it() {
    let backend = Backend::conversing(|mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line() == "GET /banking/ws" {
                conversation.stream.write_all(&switched(&received, "")).unwrap();
                return send_back(&mut conversation);
            }
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gate = Gate::configured(&backend, "timeouts: { tunnel_idle: 1s }");
    let mut tunnel = open(&gate, Version::Http2);
    tunnel.echoes();
    let Tunnel::Http2(stream) = &mut tunnel else { panic!() };
    assert_eq!(stream.http2.ask("GET", "/banking/a", &[], b"").unwrap().text(), "ok");
    tunnel.echoes();
    assert_eq!(tunnel.read_to_end(), b"");
    let Tunnel::Http2(stream) = &mut tunnel else { panic!() };
    assert_eq!(stream.http2.ask("GET", "/banking/a", &[], b"").unwrap().text(), "ok");
}
