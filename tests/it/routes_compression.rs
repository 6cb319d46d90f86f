//! Which answers are compressed, in which coding, and what their heads say of it. Decoded by decoders that others wrote.

mod streams;

use crate::support::backend::Backend;
use crate::support::client::Response;
use crate::support::decoder::decode;
use crate::support::gate::{CERT, Gate, Settings, WWW};
use crate::support::http2::Version;
use crate::support::pki::Ca;
use crate::support::process::run;

const ROUTES: &str = "
  - { path: /, require: nothing, upstream: banking }
  - { path: /small, require: nothing, upstream: banking, compression: {} }
  - path: /app
    require: nothing
    upstream: banking
    compression: { types: [text/*, application/*, image/svg+xml] }
  - path: /private
    require: certificate
    upstream: banking
    compression: { codings: [gzip], despite_secrets: true }
    cors: { origins: ['https://app.mihonbank.example'] }
    response_headers: { set: { X-Set: here }, remove: [Server] }";

fn gate(backend: &Backend) -> Gate {
    let settings = Settings { routes: Some(ROUTES), ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// A page that gets much smaller.
fn page() -> Vec<u8> {
    (0..4000)
        .map(|line| format!("<tr><td>{line}<td>みほん銀行<td>{}円\n", line * 7919 % 100_000))
        .collect::<String>()
        .into()
}

/// An answer with these lines, its length among them.
fn answer(status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ask(gate: &Gate, version: Version, (method, path): (&str, &str), fields: &[(&str, &str)]) -> Response {
    version.ask(&gate.client(), WWW, (method, path), fields, b"")
}

#[test]
fn a_client_gets_what_it_can_decode_and_no_word_of_the_bytes_before() {
    let lines = "Content-Type: text/html; charset=utf-8\r\nETag: \"a-1\"\r\nAccept-Ranges: bytes\r\nVary: Cookie, Origin\r\n\
                 vary: X-Version\r\nContent-Digest: sha-256=:AAAA:\r\nRepr-Digest: sha-256=:AAAA:\r\nDigest: md5=AA\r\n\
                 Content-MD5: AA\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\nContent-Encoding: identity\r\n";
    let backend = Backend::answering(move |_| answer("200 OK", lines, &page()));
    let gate = gate(&backend);
    let mut number = 0;
    for version in Version::BOTH {
        for coding in ["zstd", "br", "gzip"] {
            let response = ask(&gate, version, ("GET", "/app/a"), &[("accept-encoding", coding)]);
            assert_eq!(
                (response.status, response.values("content-encoding")),
                (200, vec![coding.to_owned()])
            );
            assert_eq!(response.values("vary"), ["Cookie, Origin, X-Version, Accept-Encoding"]);
            assert_eq!(response.values("etag"), ["W/\"a-1\""]);
            assert_eq!(response.values("last-modified"), ["Sat, 28 Nov 2026 00:00:00 GMT"]);
            for gone in
                ["content-length", "accept-ranges", "content-digest", "repr-digest", "digest", "content-md5"]
            {
                assert_eq!(response.values(gone), [""; 0], "{version:?} {coding} {gone}");
            }
            assert!(decode(coding, &response.body).unwrap() == page(), "{version:?} {coding}");
            assert!(response.body.len() < page().len() / 3, "{coding}: {}", response.body.len());
            // The log has what the client got.
            number += 1;
            assert_eq!(gate.log_line(number)["bytes_out"], response.body.len());
        }
        // Who doesn't take it so gets it as it came, and caches know that others do.
        for fields in [&[][..], &[("accept-encoding", "gzip;q=0")]] {
            let response = ask(&gate, version, ("GET", "/app/a"), fields);
            assert!(response.body == page());
            assert_eq!(response.values("vary"), ["Cookie, Origin, X-Version, Accept-Encoding"]);
            assert_eq!(response.values("etag"), ["\"a-1\""]);
            assert_eq!(response.values("content-length"), [page().len().to_string()]);
            assert_eq!(response.values("accept-ranges"), ["bytes"]);
            assert_eq!(response.values("content-digest"), ["sha-256=:AAAA:"]);
            number += 1;
        }
        // The gate's other routes don't know of it.
        let response = ask(&gate, version, ("GET", "/a"), &[("accept-encoding", "gzip")]);
        assert_eq!(response.values("vary"), ["Cookie, Origin", "X-Version"]);
        assert!(response.body == page());
        number += 1;
    }
    for coding in ["zstd", "br", "gzip"] {
        let name = |side| format!("sekisho_compression_{side}_bytes_total{{coding=\"{coding}\"}}");
        gate.counts(&name("input"), (2 * page().len()) as f64);
        assert!(
            gate.metric(&name("output")) > 0.0
                && gate.metric(&name("output")) < gate.metric(&name("input")) / 3.0
        );
    }
}

#[test]
fn the_client_says_which_coding_and_the_operator_which_of_equals() {
    let backend = Backend::answering(|_| answer("200 OK", "Content-Type: text/css\r\n", &page()));
    let gate = gate(&backend);
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("*;q=0.1, zstd;q=0", "br"),
        ("identity;q=0.5, gzip;q=0.4", ""),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("x-gzip", "gzip"),
    ] {
        for version in Version::BOTH {
            let response = ask(&gate, version, ("GET", "/app/a"), &[("accept-encoding", accept)]);
            assert_eq!(
                response.value("content-encoding").unwrap_or_default(),
                expected,
                "{version:?} {accept}"
            );
        }
    }
}

/// What a backend says and what a client says, and what becomes of that: the coding, and what is said of `Vary`.
struct Case {
    status: &'static str,
    lines: &'static str,
    body: Vec<u8>,
    fields: &'static [(&'static str, &'static str)],
    coding: &'static str,
    vary: &'static str,
}

const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];
const RANGE: &[(&str, &str)] = &[("accept-encoding", "gzip"), ("range", "bytes=0-9")];

impl Case {
    /// A page that is left alone.
    fn alone(lines: &'static str) -> Self {
        Self { status: "200 OK", lines, body: page(), fields: GZIP, coding: "", vary: "" }
    }

    /// One that is compressed.
    fn compressed(lines: &'static str) -> Self {
        Self { coding: "gzip", vary: "Accept-Encoding", ..Self::alone(lines) }
    }
}

#[test]
fn only_what_may_be_and_gains_by_it_is_compressed() {
    let html = "Content-Type: text/html\r\n";
    let untransformed = &[("accept-encoding", "gzip"), ("cache-control", "no-transform")];
    for case in [
        Case::compressed(html),
        Case { status: "404 Not Found", ..Case::compressed(html) },
        Case { status: "500 Internal Server Error", ..Case::compressed(html) },
        Case { fields: RANGE, ..Case::compressed(html) },
        Case { vary: "*", ..Case::compressed("Content-Type: text/html\r\nVary: *\r\n") },
        Case {
            vary: "accept-encoding, A",
            ..Case::compressed("Content-Type: text/html\r\nVary: accept-encoding, A\r\n")
        },
        Case::compressed("Content-Type: text/html\r\nCache-Control: no-cache\r\n"),
        Case::compressed("Content-Type: Image/SVG+XML; charset=utf-8\r\n"),
        // The client's own wish: others get it otherwise.
        Case { fields: untransformed, vary: "Accept-Encoding", ..Case::alone(html) },
        // The backend's.
        Case::alone("Content-Type: text/html\r\nCache-Control: private, No-Transform\r\n"),
        Case { coding: "br", ..Case::alone("Content-Type: text/html\r\nContent-Encoding: br\r\n") },
        Case {
            coding: "identity, br",
            ..Case::alone("Content-Type: text/html\r\nContent-Encoding: identity, br\r\n")
        },
        Case {
            status: "206 Partial Content",
            fields: RANGE,
            ..Case::alone("Content-Type: text/html\r\nContent-Range: bytes 0-9/99\r\n")
        },
        Case { status: "206 Partial Content", fields: RANGE, ..Case::alone("Content-Type: text/html\r\n") },
        Case {
            status: "416 Range Not Satisfiable",
            fields: RANGE,
            ..Case::alone("Content-Type: text/html\r\nContent-Range: bytes */99\r\n")
        },
        // Nothing gained.
        Case { body: vec![b'a'; 1023], ..Case::alone(html) },
        Case { body: vec![b'a'; 1024], ..Case::compressed(html) },
        Case::alone("Content-Type: image/png\r\n"),
        Case::alone("Content-Type: text/html\r\nContent-Type: text/css\r\n"),
        Case::alone(""),
        Case::alone("Content-Type: application/grpc+proto\r\n"),
        Case::alone("Content-Type: Application/gRPC-Web\r\n"),
    ] {
        let sent = answer(case.status, &format!("{}ETag: \"a\"\r\n", case.lines), &case.body);
        let backend = Backend::answering(move |_| sent.clone());
        let gate = gate(&backend);
        for version in Version::BOTH {
            let response = ask(&gate, version, ("GET", "/app/a"), case.fields);
            let what = format!("{version:?} {} {}", case.status, case.lines);
            assert_eq!(response.value("content-encoding").unwrap_or_default(), case.coding, "{what}");
            assert_eq!(response.value("vary").unwrap_or_default(), case.vary, "{what}");
            let is_compressed = case.coding == "gzip";
            assert_eq!(response.values("etag"), [if is_compressed { "W/\"a\"" } else { "\"a\"" }], "{what}");
            let received =
                if is_compressed { decode("gzip", &response.body).unwrap() } else { response.body };
            assert!(received == case.body, "{what}");
        }
    }
}

#[test]
fn an_etag_is_weak_once_and_what_is_unchanged_goes_by_the_same() {
    let backend = Backend::answering(|received| match received.value("if-none-match").as_deref() {
        Some("W/\"a\"" | "\"a\"") => {
            b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nVary: Origin\r\n\r\n".to_vec()
        }
        _ => answer("200 OK", "Content-Type: text/html\r\nETag: W/\"a\"\r\n", &page()),
    });
    let gate = gate(&backend);
    for version in Version::BOTH {
        let gzip = ("accept-encoding", "gzip");
        assert_eq!(ask(&gate, version, ("GET", "/app/a"), &[gzip]).values("etag"), ["W/\"a\""]);
        let unchanged = ask(&gate, version, ("GET", "/app/a"), &[gzip, ("if-none-match", "W/\"a\"")]);
        assert_eq!((unchanged.status, unchanged.values("etag")), (304, vec!["W/\"a\"".to_owned()]));
        assert_eq!(unchanged.values("vary"), ["Origin, Accept-Encoding"]);
        assert_eq!(unchanged.values("content-encoding"), [""; 0]);
        let unchanged = ask(&gate, version, ("GET", "/app/a"), &[("if-none-match", "\"a\"")]);
        assert_eq!(unchanged.values("etag"), ["\"a\""]);
        assert_eq!(unchanged.values("vary"), ["Origin, Accept-Encoding"]);
    }
}

#[test]
fn head_says_what_get_would() {
    let backend = Backend::answering(|received| {
        let lines =
            "Content-Type: text/html\r\nETag: \"a\"\r\nContent-Length: 50000\r\nAccept-Ranges: bytes\r\n";
        let body = if received.line().starts_with("HEAD") { Vec::new() } else { vec![b'a'; 50_000] };
        [format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes(), &body].concat()
    });
    let gate = gate(&backend);
    for version in Version::BOTH {
        let [head, get] = ["HEAD", "GET"]
            .map(|method| ask(&gate, version, (method, "/app/a"), &[("accept-encoding", "br")]));
        for name in ["content-encoding", "vary", "etag", "content-length", "accept-ranges", "content-type"] {
            assert_eq!(head.values(name), get.values(name), "{version:?} {name}");
        }
        assert_eq!(
            (head.values("content-encoding"), head.values("content-length")),
            (vec!["br".to_owned()], vec![])
        );
        let head = ask(&gate, version, ("HEAD", "/app/a"), &[]);
        assert_eq!(
            (head.value("content-encoding"), head.values("content-length")),
            (None, vec!["50000".to_owned()])
        );
    }
    // Another request follows on the same connection: nothing of a body was sent.
    let mut connection = gate.client().connect(WWW).unwrap();
    for _ in 0..2 {
        connection
            .send(format!("HEAD /app/a HTTP/1.1\r\nHost: {WWW}\r\nAccept-Encoding: gzip\r\n\r\n").as_bytes());
        assert_eq!(connection.response_to("HEAD").unwrap().values("content-encoding"), ["gzip"]);
    }
}

#[test]
fn http_1_0_keeps_the_length_that_tells_it_what_is_whole() {
    let backend = Backend::answering(|_| answer("200 OK", "Content-Type: text/html\r\n", &page()));
    let gate = gate(&backend);
    let mut connection = gate.client().connect(WWW).unwrap();
    connection
        .send(format!("GET /app/a HTTP/1.0\r\nHost: {WWW}\r\nAccept-Encoding: gzip\r\n\r\n").as_bytes());
    let response = connection.response().unwrap();
    assert!(response.body == page());
    assert_eq!(response.values("content-length"), [page().len().to_string()]);
    assert_eq!(
        (response.values("vary"), response.values("content-encoding")),
        (vec!["Accept-Encoding".to_owned()], vec![])
    );
}

#[test]
fn what_a_route_says_beside_it_holds_too() {
    let backend = Backend::answering(|_| {
        answer("200 OK", "Content-Type: text/html\r\nServer: a\r\nVary: Accept\r\n", &page())
    });
    let gate = gate(&backend);
    for version in Version::BOTH {
        let fields = [("accept-encoding", "gzip, br"), ("origin", "https://app.mihonbank.example")];
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/private"), &fields, b"");
        assert_eq!(response.values("content-encoding"), ["gzip"]);
        assert_eq!(response.values("x-set"), ["here"]);
        assert_eq!(response.values("server"), [""; 0]);
        assert_eq!(response.values("vary"), ["Accept, Origin, Accept-Encoding"]);
        assert_eq!(response.values("access-control-allow-origin"), ["https://app.mihonbank.example"]);
        assert_eq!(response.values("cache-control"), ["no-store"]);
        assert!(decode("gzip", &response.body).unwrap() == page());
        // The gate's own pages are as they were.
        let refused = ask(&gate, version, ("GET", "/private"), &fields);
        assert_eq!((refused.status, refused.value("content-encoding")), (403, None));
        assert!(refused.text().contains("<html"), "{}", refused.text());
    }
}

#[test]
fn curl_reads_it_over_both_versions() {
    let backend = Backend::answering(|_| answer("200 OK", "Content-Type: text/html\r\n", &page()));
    let gate = gate(&backend);
    let authority = gate.folder.path().join("ca.pem");
    let (port, authority) = (gate.address.port(), authority.to_str().unwrap());
    for version in ["--http1.1", "--http2"] {
        for coding in ["", "gzip", "br", "zstd"] {
            let accept = format!("Accept-Encoding: {coding}");
            let own: &[&str] = if coding.is_empty() { &[] } else { &["-H", &accept] };
            let resolve = format!("{WWW}:{port}:127.0.0.1");
            let url = format!("https://{WWW}:{port}/app/a");
            let words = [
                "-q",
                "-sS",
                "--noproxy",
                "*",
                "--compressed",
                version,
                "--cacert",
                authority,
                "--resolve",
                &resolve,
            ];
            let words: Vec<_> = words.iter().chain(own).copied().chain([url.as_str()]).collect();
            assert!(run("curl", &words).good().as_bytes() == page(), "{version} {coding}");
        }
    }
    gate.log_line(8);
    assert!(
        gate.access_log().iter().all(|line| line["bytes_out"].as_u64().unwrap() < page().len() as u64 / 3)
    );
}
