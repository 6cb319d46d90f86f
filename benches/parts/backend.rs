//! The application behind: answers each request with 1 KiB; with 1 MiB for a path that begins with `/large`, with the request's
//! head for one that begins with `/echo`.

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
    let mut head = Vec::with_capacity(4096);
    // A head has no body behind it here.
    while matches!(stream.read_buf(&mut head).await, Ok(1..)) {
        if head.ends_with(b"\r\n\r\n") {
            let echo;
            let answer = if head.starts_with(b"GET /large") {
                &*large
            } else if head.starts_with(b"GET /echo") {
                echo = answer(&head);
                &echo
            } else {
                &small
            };
            if stream.write_all(answer).await.is_err() {
                return;
            }
            head.clear();
        }
    }
}
