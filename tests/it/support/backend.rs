//! A backend that writes down every byte that reaches it and answers as it is told. It is strict on purpose in
//! nothing: what a test asks is what the gate sent, not what some HTTP library makes of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request as it came over the wire.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Request line and fields, with the empty line.
    pub head: String,
    /// The body, chunks and all.
    pub body: Vec<u8>,
}

impl Received {
    /// The values of all fields of this name (in lower case).
    pub fn values(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }

    /// The one value of a field; panics if there are several.
    pub fn value(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} is there {} times:\n{}", values.len(), self.head);
        values.into_iter().next()
    }

    /// `METHOD target`.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }
}

/// The values of all fields of this name (in lower case) in a head.
pub fn values(head: &str, name: &str) -> Vec<String> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// What a connection's handler is given.
pub struct Conversation {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    log: Arc<Mutex<Vec<Received>>>,
}

/// A backend on a port of its own.
pub struct Backend {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
}

impl Backend {
    /// Answers every request with 200 and `ok`.
    pub fn start() -> Self {
        Self::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    }

    /// Answers every request with the bytes that `answer` gives for it.
    pub fn answering(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::over(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// The same on this socket.
    pub fn over(
        listener: TcpListener,
        answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::conversing_over(listener, move |mut conversation| {
            while let Some(received) = conversation.receive() {
                if conversation.stream.write_all(&answer(&received)).is_err() {
                    return;
                }
            }
        })
    }

    /// Leaves each connection to `converse`, on a thread of its own.
    pub fn conversing(converse: impl Fn(Conversation) + Send + Sync + 'static) -> Self {
        Self::conversing_over(TcpListener::bind("127.0.0.1:0").unwrap(), converse)
    }

    fn conversing_over(
        listener: TcpListener,
        converse: impl Fn(Conversation) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (converse, shared, count) = (Arc::new(converse), log.clone(), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().unwrap() += 1;
                let conversation = Conversation { stream, buffer: Vec::new(), log: shared.clone() };
                let converse = converse.clone();
                std::thread::spawn(move || converse(conversation));
            }
        });
        Self { address, log, connections }
    }

    /// Every request so far, in the order in which their heads were complete.
    pub fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

impl Conversation {
    /// Reads a whole request and writes it down; `None` at the end of the connection.
    pub fn receive(&mut self) -> Option<Received> {
        let (index, received) = self.receive_head()?;
        let body = if values(&received.head, "transfer-encoding").iter().any(|coding| coding == "chunked") {
            self.read_until_after(b"0\r\n", true)?
        } else {
            let length =
                values(&received.head, "content-length").first().map_or(0, |length| length.parse().unwrap());
            self.read_exactly(length)?
        };
        let received = Received { body, ..received };
        self.log.lock().unwrap()[index] = received.clone();
        Some(received)
    }

    /// Reads a head and writes it down.
    pub fn receive_head(&mut self) -> Option<(usize, Received)> {
        let head = self.read_until_after(b"\r\n\r\n", false)?;
        let received = Received { head: String::from_utf8_lossy(&head).into_owned(), body: Vec::new() };
        let mut log = self.log.lock().unwrap();
        log.push(received.clone());
        Some((log.len() - 1, received))
    }

    /// Writes something down among the requests.
    pub fn note(&self, what: &str) {
        self.log.lock().unwrap().push(Received { head: what.to_owned(), body: Vec::new() });
    }

    /// Reads so many bytes.
    pub fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Reads until `mark`; with `section`, on to the empty line behind it.
    fn read_until_after(&mut self, mark: &[u8], section: bool) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(mark.len()).position(|window| window == mark);
            let end = found.map(|at| at + mark.len()).and_then(|end| {
                if !section || self.buffer[end..].starts_with(b"\r\n") {
                    return Some(end + if section { 2 } else { 0 });
                }
                self.buffer[end..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| end + at + 4)
            });
            if let Some(end) = end {
                return Some(self.buffer.drain(..end).collect());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut part = [0; 16 << 10];
        match self.stream.read(&mut part) {
            Ok(0) | Err(_) => None,
            Ok(length) => {
                self.buffer.extend_from_slice(&part[..length]);
                Some(())
            }
        }
    }
}
