//! A request's body, read off the client's connection when the exchange asks for it.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::edge::failure::Failure;
use crate::edge::forward::{BodySource, Part};
use crate::edge::framing::{Decoded, Decoder};

/// How much is read at once: a TLS record's worth.
const READ: usize = 16 << 10;

/// The connection, lent for one poll.
pub(super) struct RequestBody<'a, Io> {
    pub(super) io: &'a mut Io,
    pub(super) read: &'a mut BytesMut,
    pub(super) decoder: &'a mut Decoder,
}

impl<Io: AsyncRead + Unpin> BodySource for RequestBody<'_, Io> {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Failure>> {
        loop {
            match self.decoder.decode(self.read) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Ok(Part::Data(data))),
                Ok(Decoded::End(trailers)) => return Poll::Ready(Ok(Part::End(trailers))),
                Ok(Decoded::More) => {}
                Err(bad) => return Poll::Ready(Err(Failure::BadRequest(bad.0))),
            }
            self.read.reserve(READ);
            match pin!(self.io.read_buf(self.read)).poll(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Failure::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
