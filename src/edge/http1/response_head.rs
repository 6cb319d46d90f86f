//! Heads of responses, as an HTTP/1.1 client gets them.

use bytes::{BufMut, BytesMut};

use super::SMALL;
use crate::edge::forward::ResponseHead;
use crate::edge::framing::Framing;
use crate::edge::respond::{Reply, phrase};

/// How the client can tell where a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiting {
    /// After so many bytes, or at once; `None` where no length is declared because there is no body.
    Length {
        /// What `Content-Length` says.
        declared: Option<u64>,
        /// Whether the connection goes on.
        keeps_alive: bool,
    },
    /// At the last chunk.
    Chunked {
        /// Whether the connection goes on.
        keeps_alive: bool,
    },
    /// At the end of the connection, for HTTP/1.0.
    Close,
    /// Never: the connection becomes a tunnel.
    Upgrade,
}

impl Delimiting {
    /// How to delimit the response to a client of HTTP/1.`minor`.
    pub(super) const fn of(head: &ResponseHead, is_head: bool, minor: u8, keeps_alive: bool) -> Self {
        let has_no_body = is_head || matches!(head.status, 204 | 304);
        match head.framing {
            Framing::Length(_) => Self::Length { declared: head.declared_length, keeps_alive },
            Framing::Chunked | Framing::UntilClose if has_no_body => {
                Self::Length { declared: None, keeps_alive }
            }
            Framing::Chunked | Framing::UntilClose if minor == 0 => Self::Close,
            Framing::Chunked | Framing::UntilClose => Self::Chunked { keeps_alive },
        }
    }

    /// Whether the body is written in chunks.
    pub(super) const fn is_chunked(self) -> bool {
        matches!(self, Self::Chunked { .. })
    }

    /// Whether another request may follow.
    pub(super) const fn keeps_alive(self) -> bool {
        matches!(self, Self::Length { keeps_alive: true, .. } | Self::Chunked { keeps_alive: true })
    }
}

/// Writes the head of an upstream's response.
pub(super) fn write(out: &mut BytesMut, head: &ResponseHead, delimiting: Delimiting) {
    // With room for a body that is sent together with it.
    let body = match head.framing {
        Framing::Length(length) if length <= SMALL as u64 => usize::try_from(length).unwrap_or(0),
        _ => 0,
    };
    out.reserve(512 + body);
    status_line(out, head.status);
    for field in head.fields() {
        line(out, field.name, field.value);
    }
    match delimiting {
        Delimiting::Length { declared: Some(length), .. } => {
            line(out, b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        Delimiting::Chunked { .. } => line(out, b"Transfer-Encoding", b"chunked"),
        Delimiting::Length { declared: None, .. } | Delimiting::Close => {}
        Delimiting::Upgrade => {
            line(out, b"Connection", b"Upgrade");
            line(out, b"Upgrade", b"websocket");
        }
    }
    if !delimiting.keeps_alive() && delimiting != Delimiting::Upgrade {
        line(out, b"Connection", b"close");
    }
    out.put_slice(b"\r\n");
}

/// Writes an interim response.
pub(super) fn write_interim(out: &mut BytesMut, head: &ResponseHead) {
    status_line(out, head.status);
    for field in head.fields() {
        line(out, field.name, field.value);
    }
    out.put_slice(b"\r\n");
}

/// Writes the head of an answer of our own.
pub(super) fn write_own(out: &mut BytesMut, reply: &Reply, keeps_alive: bool) {
    status_line(out, reply.status);
    for (name, value) in &reply.fields {
        line(out, name.as_bytes(), value.as_bytes());
    }
    if !keeps_alive {
        line(out, b"connection", b"close");
    }
    out.put_slice(b"\r\n");
}

fn status_line(out: &mut BytesMut, status: u16) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(itoa::Buffer::new().format(status).as_bytes());
    out.put_slice(b" ");
    out.put_slice(phrase(status).as_bytes());
    out.put_slice(b"\r\n");
}

fn line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}
