//! A client that speaks HTTP/2 frame by frame, for what no library would send.

use super::client::{Client, Connection};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// An open connection.
pub struct Frames {
    connection: Connection,
    name: String,
}

impl Frames {
    /// Connects to the host `name` with empty settings.
    pub fn connect(client: &Client, name: &str) -> Self {
        let mut connection = client.clone().offering(&["h2"]).connect(name).unwrap();
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.send(&frame(SETTINGS, 0, 0, b""));
        Self { connection, name: name.to_owned() }
    }

    /// Sends bytes as they are: frames that were put together before.
    pub fn send(&mut self, frames: &[u8]) {
        self.connection.send(frames);
    }

    /// A `GET` without a body.
    pub fn get(&self, stream: u32, path: &str, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &self.block("GET", path, fields))
    }

    /// The head of a `POST`; its body is still to come.
    pub fn post(&self, stream: u32, path: &str, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, &self.block("POST", path, fields))
    }

    /// The fields of a request, written out (RFC 7541, section 6.2.2).
    pub fn block(&self, method: &str, path: &str, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":method", method.as_bytes()),
            (b":scheme", b"https"),
            (b":authority", self.name.as_bytes()),
            (b":path", path.as_bytes()),
        ];
        pseudo.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
    }

    /// How the gate ends the connection: with the error code of a GOAWAY, or without one.
    pub fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(goaway) = self.next(&[GOAWAY]) {
            code = Some(u32::from_be_bytes(goaway.payload[4..8].try_into().unwrap()));
        }
        code
    }

    /// The next frame of one of these kinds; `None` at the end of the connection.
    pub fn next(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let head = self.connection.read_exactly(9)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let payload = self.connection.read_exactly(length)?;
            if kinds.contains(&head[3]) {
                return Some(Frame { kind: head[3], stream, payload });
            }
        }
    }
}

/// A reset that says CANCEL.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// One field, neither compressed nor remembered.
pub fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "longer lengths are written otherwise");
        block.push(u8::try_from(text.len()).unwrap());
        block.extend_from_slice(text);
    }
    block
}

/// Any frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
