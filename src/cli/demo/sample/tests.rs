//! The application over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use futures_util::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite;

use super::*;

fn start() -> SampleApplication {
    SampleApplication::start(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
}

/// Sends a head, has `body` send the rest, and reads the answer: its head and its content.
fn exchange(
    application: &SampleApplication,
    head: &str,
    body: impl FnOnce(&mut TcpStream) + Send,
) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(application.address()).unwrap();
    write!(stream, "{head}\r\nHost: bank.example\r\nConnection: close\r\n\r\n").unwrap();
    body(&mut stream);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let content = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), content)
}

fn get(application: &SampleApplication, head: &str) -> (String, Vec<u8>) {
    exchange(application, head, |_| {})
}

fn json_of(content: &[u8]) -> Value {
    serde_json::from_slice(content).unwrap()
}

#[test]
fn headers_are_shown_as_one_flat_object() {
    let application = start();
    for prefix in ["banking", "public"] {
        let request = format!(
            "GET /{prefix}/headers HTTP/1.1\r\nX-Contract-Id: 10000000000001\r\nA: 1\r\nB: x\r\na: 2"
        );
        let (head, content) = get(&application, &request);
        assert!(
            head.starts_with("http/1.1 200 ok") && head.contains("content-type: application/json"),
            "{head}"
        );
        assert_eq!(
            json_of(&content),
            json!({
                "x-contract-id": "10000000000001", "a": "1, 2", "b": "x",
                "host": "bank.example", "connection": "close",
            })
        );
    }
}

#[test]
fn the_page_shows_the_identity_and_escapes_everything() {
    let application = start();
    let request = "GET /banking/?q='x' HTTP/1.1\r\nX-Contract-Id: 10000000000001\r\nX-User-Id: tanaka\r\nX-Evil: <script>alert(1)</script>";
    let (head, content) = get(&application, request);
    let text = String::from_utf8(content).unwrap();
    assert!(head.contains("content-type: text/html; charset=utf-8") && head.contains("no-store"), "{head}");
    assert!(text.contains(r#"<td id="contract">10000000000001</td>"#), "{text}");
    assert!(text.contains(r#"<td id="user">tanaka</td>"#));
    assert!(!text.contains("<script") && !text.contains("q='x'"));
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing is loaded from elsewhere");

    let (_, content) = get(&application, "GET /public/ HTTP/1.1");
    assert!(String::from_utf8(content).unwrap().contains(r#"id="nobody""#));
    let (head, _) = get(&application, "GET /banking HTTP/1.1");
    assert!(head.starts_with("http/1.1 308") && head.contains("location: /banking/"), "{head}");
}

#[test]
fn an_upload_is_counted_and_hashed() {
    let application = start();
    let part = vec![7_u8; 1 << 20];
    // Larger than any limit that axum sets by itself.
    let whole = 48 * part.len();
    let expected = json!({
        "length": whole,
        "sha256": Sha256::digest(part.repeat(48)).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    });
    for method in ["POST", "PUT"] {
        let head = format!("{method} /banking/upload HTTP/1.1\r\nContent-Length: {whole}");
        let (_, content) = exchange(&application, &head, |stream| {
            (0..48).for_each(|_| stream.write_all(&part).unwrap());
        });
        assert_eq!(json_of(&content), expected, "{method}");
    }
    let head = "PUT /public/upload HTTP/1.1\r\nTransfer-Encoding: chunked";
    let (_, content) = exchange(&application, head, |stream| {
        stream.write_all(b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n").unwrap();
    });
    assert_eq!(
        json_of(&content),
        json!({ "length": 11, "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" })
    );
}

#[test]
fn a_download_has_its_exact_length_and_known_content() {
    let application = start();
    for bytes in [0_usize, 1, 251 * 1024, 251 * 1024 + 1, 20_000_000] {
        let (head, content) = get(&application, &format!("GET /banking/download?bytes={bytes} HTTP/1.1"));
        assert!(head.contains(&format!("content-length: {bytes}\r\n")), "{head}");
        assert_eq!(content.len(), bytes);
        assert!(content.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251), "{bytes}");
    }
    let (head, content) = get(&application, "HEAD /banking/download?bytes=1099511627776 HTTP/1.1");
    assert!(head.contains("content-length: 1099511627776\r\n") && content.is_empty(), "{head}");
    let (head, content) = get(&application, "GET /banking/download?bytes=1099511627777 HTTP/1.1");
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert_eq!(json_of(&content), json!({ "error": "bytes is at most 1099511627776" }));
    let (head, _) = get(&application, "GET /banking/download HTTP/1.1");
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[test]
fn a_slow_answer_waits_as_long_as_it_is_told() {
    let application = start();
    let begin = crate::clock::instant();
    let (_, content) = get(&application, "GET /banking/slow?ms=30 HTTP/1.1");
    assert_eq!(json_of(&content), json!({ "waited_ms": 30 }));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    let (head, _) = get(&application, "GET /banking/slow?ms=600001 HTTP/1.1");
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

#[tokio::test]
async fn a_websocket_echoes_text_and_bytes() {
    let application = start();
    let stream = tokio::net::TcpStream::connect(application.address()).await.unwrap();
    let url = "ws://bank.example/banking/ws";
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for message in [
        tungstenite::Message::text("みほん銀行"),
        tungstenite::Message::binary(vec![0_u8; 1 << 20]),
        tungstenite::Message::text(""),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(tungstenite::Message::Close(None)).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(tungstenite::Message::Close(_)))));
    application.stop();
}
