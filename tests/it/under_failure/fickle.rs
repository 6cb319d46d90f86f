//! A backend that fails as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How large its downloads are.
pub const DOWNLOAD: usize = 1 << 20;

/// What it does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Answers them.
    Well,
    /// Closes the connection without an answer.
    Closes,
    /// Says nothing until its mood changes.
    Stalls,
    /// Answers what isn't HTTP.
    Babbles,
    /// Answers 503.
    Refuses,
    /// Breaks off in the middle of its answer.
    BreaksOff,
}

/// Every mood in which nothing has reached the client when it fails.
pub const BAD: [Mood; 4] = [Mood::Closes, Mood::Stalls, Mood::Babbles, Mood::Refuses];

type Shared = Arc<(Mutex<Mood>, Condvar)>;

pub struct Fickle {
    pub address: SocketAddr,
    mood: Shared,
}

impl Fickle {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood: Shared = Arc::new((Mutex::new(Mood::Well), Condvar::new()));
        let shared = mood.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mood = shared.clone();
                thread::spawn(move || drop(serve(stream, &mood)));
            }
        });
        Self { address, mood }
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.0.lock().unwrap() = mood;
        self.mood.1.notify_all();
    }
}

/// Serves until the other side is gone, which is an error like any other.
fn serve(mut stream: TcpStream, mood: &Shared) -> std::io::Result<()> {
    let mut read = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let length @ 1.. = stream.read(&mut part)? else { return Ok(()) };
            read.extend_from_slice(&part[..length]);
        };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        read.drain(..end);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut left = length.unwrap_or(0_usize);
        while left > 0 {
            if read.is_empty() {
                let length @ 1.. = stream.read(&mut part)? else { return Ok(()) };
                read.extend_from_slice(&part[..length]);
            }
            left -= read.drain(..left.min(read.len())).count();
        }
        let is_look = head.starts_with("get /health ");
        let now = *mood.0.lock().unwrap();
        match now {
            Mood::Well => {}
            Mood::Closes => return Ok(()),
            Mood::Stalls => {
                let guard = mood.0.lock().unwrap();
                drop(mood.1.wait_while(guard, |mood| *mood == Mood::Stalls).unwrap());
                return Ok(());
            }
            Mood::Babbles => return stream.write_all(b"ICY 200 OK\r\n\r\n"),
            Mood::BreaksOff if !is_look => {
                return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            }
            Mood::Refuses | Mood::BreaksOff => {
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
        }
        if head.contains("\r\nupgrade: ") {
            stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            )?;
            loop {
                let length @ 1.. = stream.read(&mut part)? else { return Ok(()) };
                stream.write_all(&part[..length])?;
            }
        }
        let length = if head.starts_with("get /banking/download ") { DOWNLOAD } else { 2 };
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
        stream.write_all(&vec![b'k'; length])?;
    }
}
