//! The application behind: answers each request with 1 KiB; with 1 MiB for a path that begins with `/large`, with the request's
//! head for one that begins with `/echo`; and what is sent to it with a body, with nothing.

use std::cell::LazyCell;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Starts it in a thread of its own.
pub(crate) fn start() -> SocketAddr {
    let (announce, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            announce.send(listener.local_addr().expect("an address")).expect("somebody who asked");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(answer(stream));
            }
        });
    });
    address.recv().expect("an address")
}

async fn answer(mut stream: TcpStream) {
    let answer = |body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let (small, large) = (answer(&[b'x'; 1 << 10]), LazyCell::new(|| answer(&vec![b'x'; 1 << 20])));
    stream.set_nodelay(true).expect("a socket");
    let mut read = Vec::with_capacity(4096);
    loop {
        let (end, length) = loop {
            if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
                break (end + 4, declared(&read[..end]));
            }
            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
        };
        while read.len() < end + length {
            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
        }
        let head = &read[..end];
        let own;
        let answer = if head.starts_with(b"GET /large") {
            &*large
        } else if head.starts_with(b"GET /echo") || length > 0 {
            own = answer(if length > 0 { b"" } else { head });
            &own
        } else {
            &small
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        read.drain(..end + length);
    }
}

/// How many bytes follow a head.
fn declared(head: &[u8]) -> usize {
    if head.starts_with(b"GET ") {
        return 0;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.map_or(0, |length| length.trim().parse().expect("a length"))
}
