//! Floods over HTTP/2 (T25): whoever sends too much of something loses the connection after a known number, and
//! nobody else notices. Streams that a client resets itself are in `limits`.

use std::io::Write;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, PADDED,
    PING, PRIORITY, SETTINGS, WINDOW_UPDATE, field, frame, reset,
};
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;

/// The head of a response with status 200: the first byte is the index of `:status: 200`.
const OK: u8 = 0x88;
/// The same with status 431, in Huffman's code.
const TOO_LARGE: [u8; 5] = [0x48, 0x83, 0x69, 0x90, 0xff];
const ONE: [u8; 4] = 1_u32.to_be_bytes();
const MOST: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

/// A gate, and somebody on it who must not notice anything.
struct Scene {
    backend: Backend,
    gate: Gate,
    other: Http2,
}

impl Scene {
    fn new() -> Self {
        Self::before(Backend::start())
    }

    fn before(backend: Backend) -> Self {
        let gate = Gate::configured(&backend, "limits: { h2_frames: 20, h2_resets: 10 }");
        let other = Http2::connect(&gate.tanaka(), CERT);
        let mut scene = Self { backend, gate, other };
        scene.is_unharmed();
        scene
    }

    fn is_unharmed(&mut self) {
        assert_eq!(self.other.ask("GET", "/banking/other", &[], b"").unwrap().status, 200);
    }

    fn connect(&self) -> Frames {
        Frames::connect(&self.gate.tanaka(), CERT)
    }

    /// How a connection ends on which this is sent.
    fn end_of(&mut self, flood: impl FnOnce(&Frames) -> Vec<u8>) -> Option<u32> {
        let mut frames = self.connect();
        let flood = flood(&frames);
        frames.send(&flood);
        let end = frames.end();
        self.is_unharmed();
        end
    }

    /// Whether a connection on which this is sent serves requests afterwards.
    fn serves_after(&self, flood: impl FnOnce(&Frames) -> Vec<u8>) -> bool {
        let mut frames = self.connect();
        let flood = [flood(&frames), frames.get(99, "/banking/after", &[])].concat();
        frames.send(&flood);
        loop {
            match frames.next(&[HEADERS, GOAWAY]) {
                Some(answer) if answer.kind == GOAWAY => return false,
                Some(answer) if answer.stream == 99 => return answer.payload[0] == OK,
                Some(_) => {}
                None => return false,
            }
        }
    }

    fn count(&self, cause: &str, floods: f64) {
        self.gate.counts(&format!("sekisho_h2_floods_total{{cause=\"{cause}\"}}"), floods);
    }
}

#[test]
fn so_many_frames_that_are_no_part_of_a_request_may_come() {
    let mut scene = Scene::new();
    let kinds = [
        frame(SETTINGS, 0, 0, b""),
        frame(SETTINGS, 0, 0, &[[0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 16, 0]].concat()),
        frame(PING, 0, 0, b"12345678"),
        frame(PING, ACK, 0, b"12345678"),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 5]),
        frame(WINDOW_UPDATE, 0, 0, &ONE),
        // PRIORITY_UPDATE (RFC 9218, section 7.1), and one that nobody knows.
        frame(16, 0, 0, b"\0\0\0\x01u=1"),
        frame(99, 0, 0, &[b'x'; 16 << 10]),
    ];
    for (index, kind) in kinds.iter().enumerate() {
        // The first settings are one of the twenty. One comes back each second.
        assert!(scene.serves_after(|_| kind.repeat(19)), "{kind:?}");
        assert_eq!(scene.end_of(|_| kind.repeat(25)), None, "{kind:?}");
        scene.count("frames", (index + 1) as f64);
    }
}

#[test]
fn frames_for_a_stream_cost_as_much() {
    let mut scene = Scene::new();
    let (window, reset) = (frame(WINDOW_UPDATE, 0, 1, &ONE), reset(1));
    for kind in [window, reset] {
        assert!(scene.serves_after(|frames| [frames.get(1, "/banking/a", &[]), kind.repeat(19)].concat()));
        assert_eq!(
            scene.end_of(|frames| [frames.get(1, "/banking/a", &[]), kind.repeat(25)].concat()),
            None,
            "{kind:?}"
        );
    }
}

#[test]
fn a_client_that_asks_is_given_frames_back() {
    let scene = Scene::new();
    let mut frames = scene.connect();
    for stream in (1..201).step_by(2) {
        let pings = frame(PING, 0, 0, b"12345678").repeat(4);
        let request = [frames.get(stream, "/banking/a", &[]), pings].concat();
        frames.send(&request);
        assert_eq!(frames.next(&[HEADERS]).unwrap().payload[0], OK, "{stream}");
    }
}

#[test]
fn a_client_that_downloads_may_open_its_window_as_it_reads() {
    let body = "x".repeat(1 << 20);
    let scene = Scene::before(Backend::answering(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", 1 << 20).into_bytes()
    }));
    let mut frames = scene.connect();
    let request = frames.get(1, "/banking/a", &[]);
    frames.send(&request);
    let (mut length, mut taken) = (0, 0);
    while length < 1 << 20 {
        let data = frames.next(&[DATA]).unwrap();
        length += data.payload.len();
        taken += data.payload.len();
        // As clients do: once half of the window is taken, in however small parts that came.
        if taken >= 32 << 10 {
            let taken = u32::try_from(std::mem::take(&mut taken)).unwrap().to_be_bytes();
            let windows = [frame(WINDOW_UPDATE, 0, 0, &taken), frame(WINDOW_UPDATE, 0, 1, &taken)].concat();
            frames.send(&windows);
        }
    }
    assert_eq!(length, 1 << 20);
}

#[test]
fn a_head_comes_in_seven_frames_at_most() {
    let mut scene = Scene::new();
    let parts = |frames: &Frames, count: usize, end: u8| {
        let mut flood = frame(HEADERS, END_STREAM, 1, &frames.block("GET", "/banking/a", &[]));
        flood.extend(frame(CONTINUATION, 0, 1, b"").repeat(count));
        flood.extend(frame(CONTINUATION, end, 1, b""));
        flood
    };
    assert!(scene.serves_after(|frames| parts(frames, 5, END_HEADERS)));
    assert_eq!(scene.end_of(|frames| parts(frames, 6, END_HEADERS)), Some(ENHANCE_YOUR_CALM));
    assert_eq!(scene.end_of(|frames| parts(frames, 10_000, 0)), Some(ENHANCE_YOUR_CALM));
    scene.count("protocol", 2.0);
}

#[test]
fn a_body_may_have_a_hundred_empty_parts() {
    let mut scene = Scene::new();
    let padding = [[255].as_slice(), &[0; 255]].concat();
    for empty in [frame(DATA, 0, 1, b""), frame(DATA, PADDED, 1, &padding)] {
        let body = |frames: &Frames, count: usize| {
            [frames.post(1, "/banking/a", &[]), empty.repeat(count), frame(DATA, END_STREAM, 1, b"")].concat()
        };
        assert!(scene.serves_after(|frames| body(frames, 100)));
        assert_eq!(scene.end_of(|frames| body(frames, 101)), Some(ENHANCE_YOUR_CALM));
    }
    scene.count("protocol", 2.0);
}

/// CVE-2025-8671: the client has the gate reset the streams.
#[test]
fn a_client_that_has_streams_reset_loses_its_connection() {
    type Wrong = fn(&Frames, u32) -> Vec<u8>;
    let wrongs: [(&str, Wrong); 5] = [
        ("a window beyond 2^31-1", |frames, stream| {
            [frames.post(stream, "/banking/a", &[]), frame(WINDOW_UPDATE, 0, stream, &MOST)].concat()
        }),
        ("a stream that depends on itself", |frames, stream| {
            let depends = [stream.to_be_bytes().as_slice(), &[1]].concat();
            [frames.post(stream, "/banking/a", &[]), frame(PRIORITY, 0, stream, &depends)].concat()
        }),
        ("a length that isn't the body's", |frames, stream| {
            let head = frames.post(stream, "/banking/a", &[(b"content-length", b"1")]);
            [head, frame(DATA, END_STREAM, stream, b"xx")].concat()
        }),
        ("a field that HTTP/2 doesn't have", |frames, stream| {
            frames.get(stream, "/banking/a", &[(b"connection", b"close")])
        }),
        ("a head without a method", |_, stream| {
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &field(b":path", b"/banking/a"))
        }),
    ];
    let mut scene = Scene::new();
    let streams = |frames: &Frames, wrong: Wrong, count: u32| {
        (0..count).flat_map(|number| wrong(frames, 1 + 2 * number)).collect::<Vec<u8>>()
    };
    for (index, (name, wrong)) in wrongs.into_iter().enumerate() {
        assert!(scene.serves_after(|frames| streams(frames, wrong, 10)), "{name}");
        let end = scene.end_of(|frames| streams(frames, wrong, 11));
        assert_eq!(end, Some(ENHANCE_YOUR_CALM), "{name}");
        scene.count("protocol", (index + 1) as f64);
    }
}

/// The same with patience: each stream is reset only when a backend has begun to work for it.
#[test]
fn a_stream_that_the_gate_resets_ends_at_the_backend_too() {
    let backend = Backend::conversing(|mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line() == "GET /banking/other" {
                let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
        conversation.note("broken");
    });
    let mut scene = Scene::before(backend);
    let mut frames = scene.connect();
    for number in 1..=11 {
        let (stream, before) = (2 * number - 1, scene.backend.received().len());
        let request = frames.get(stream, "/banking/slow", &[]);
        frames.send(&request);
        let received = |wanted: usize| scene.backend.received().len() >= before + wanted;
        eventually("the backend has the request", || received(1));
        frames.send(&frame(WINDOW_UPDATE, 0, stream, &MOST));
        eventually("the backend's connection ends", || received(2));
        assert_eq!(scene.backend.received().last().unwrap().head, "broken");
    }
    assert_eq!(frames.end(), Some(ENHANCE_YOUR_CALM));
    scene.is_unharmed();
}

#[test]
fn errors_of_the_connection_end_it_at_once() {
    let mut scene = Scene::new();
    let wrongs: [(&str, Vec<u8>, u32); 5] = [
        ("a window that opens by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), 1),
        ("a window of the connection beyond 2^31-1", frame(WINDOW_UPDATE, 0, 0, &MOST), 3),
        ("settings that nobody asked to be acknowledged", frame(SETTINGS, ACK, 0, b"").repeat(2), 1),
        ("a frame larger than allowed", frame(99, 0, 0, &[0; (16 << 10) + 1]), 6),
        ("a PING of another length", frame(PING, 0, 0, b"1234567"), 1),
    ];
    for (name, wrong, code) in wrongs {
        assert_eq!(scene.end_of(|_| wrong), Some(code), "{name}");
    }
    // On a stream that its client has ended.
    for more in [frame(DATA, 0, 1, b"x"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &field(b"a", b"b"))] {
        let end = scene.end_of(|frames| [frames.get(1, "/banking/a", &[]), more].concat());
        assert!(matches!(end, Some(1 | 5)), "{end:?}");
    }
}

/// CVE-2016-6581: a field in the table that is named again and again.
#[test]
fn a_small_head_that_unfolds_to_a_large_one_is_refused_before_it_does() {
    let mut scene = Scene::new();
    let before = scene.gate.metric("process_resident_memory_bytes");
    let bomb = |frames: &Frames, stream: u32, repeats: usize| {
        let mut block = frames.block("GET", "/banking/a", &[]);
        // Remembered, with a value of 3,800 bytes; from then on one byte says it.
        block.extend([0x40, 1, b'a', 0x7f, 0xd9, 0x1c]);
        block.extend([b'x'; 3800]);
        block.extend([0xbe].repeat(repeats));
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
    };
    assert!(scene.serves_after(|frames| bomb(frames, 1, 5)));
    // 431, and the connection goes on; and four times as much as is allowed, where it doesn't.
    let mut frames = scene.connect();
    let request = bomb(&frames, 1, 9);
    frames.send(&request);
    let answer = frames.next(&[HEADERS]).unwrap();
    assert_eq!(answer.payload, TOO_LARGE);
    assert_eq!(scene.end_of(|frames| bomb(frames, 1, 12_000)), Some(ENHANCE_YOUR_CALM));
    // Each of these is answered, and costs what it weighs.
    assert!(
        scene.serves_after(|frames| (0..45).flat_map(|number| bomb(frames, 1 + 2 * number, 9)).collect())
    );
    let after = scene.gate.metric("process_resident_memory_bytes");
    assert!(after - before < 16e6, "{before} → {after}");
    assert!(scene.backend.received().iter().all(|received| received.head.len() < 32 << 10));
}

#[test]
fn a_window_that_is_never_opened_is_no_place_to_wait() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
        while conversation.stream.write_all(&[b'x'; 0x10000]).is_ok() {}
        conversation.note("broken");
    });
    let gate = Gate::configured(&backend, "timeouts: { body_idle: 300ms }");
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    let mut requests = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    for stream in (1..41).step_by(2) {
        requests.extend(frames.get(stream, "/banking/a", &[]));
    }
    frames.send(&requests);
    assert_eq!(frames.next(&[HEADERS, DATA]).unwrap().payload[0], OK);
    assert!(frames.next(&[DATA]).is_none(), "nothing but the end");
    eventually("the upstream's connections break", || {
        backend.received().iter().filter(|received| received.head == "broken").count() == 20
    });
}

/// hyper ends the connection over such a CONNECT, in the very turn in which it took the request before it in.
#[test]
fn a_request_that_comes_with_the_end_of_its_connection_ends_with_it() {
    let mut scene = Scene::new();
    let end = scene.end_of(|frames| {
        let connect: [(&[u8], &[u8]); 3] =
            [(b":method", b"CONNECT"), (b":authority", CERT.as_bytes()), (b"content-length", b"5")];
        let block: Vec<u8> = connect.iter().flat_map(|(name, value)| field(name, value)).collect();
        [frames.get(1, "/banking/last", &[]), frame(HEADERS, END_HEADERS, 3, &block)].concat()
    });
    assert_eq!(end, None);
    let line = scene.gate.logged(|line| line["path"] == "/banking/last");
    assert_eq!(line["failure"], "client_gone");
}
