//! Commands to a browser over a WebSocket on this machine: Chromium's DevTools protocol and WebDriver BiDi speak alike.
//! Each command has a number, its answer carries it, and in between come events.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::PATIENCE;

/// One connection.
pub struct Remote {
    socket: WebSocket<TcpStream>,
    last: u64,
    events: VecDeque<Value>,
}

impl Remote {
    /// Connects to `ws://127.0.0.1:<port>/<path>`.
    pub fn connect(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Self { socket, last: 0, events: VecDeque::new() }
    }

    /// Sends a command, for one session if there are several, and waits for its answer.
    pub fn ask(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, String> {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let mut message = self.read(method);
            if message["id"] != self.last {
                self.events.push_back(message);
            } else if message["error"].is_null() {
                return Ok(message["result"].take());
            } else {
                return Err(format!("{method}: {} {}", message["error"], message["message"]));
            }
        }
    }

    /// Takes the events of one session that have arrived so far.
    pub fn events(&mut self, session: &str) -> Vec<Value> {
        let (ours, others) = self.events.drain(..).partition(|event| event["sessionId"] == session);
        self.events = others;
        Vec::from(ours)
    }

    #[expect(clippy::disallowed_methods, reason = "a bound on waiting, not a measurement")]
    fn read(&mut self, what: &str) -> Value {
        let begun = Instant::now();
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Ok(_) => {}
                Err(Error::Io(error)) if is_pause(&error) => {}
                Err(error) => panic!("{what}: {error}"),
            }
            assert!(begun.elapsed() < PATIENCE, "the browser never answered {what}");
        }
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
