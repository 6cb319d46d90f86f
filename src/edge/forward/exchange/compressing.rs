//! Compressing a response's body on its way to the client: whatever comes is encoded in pieces, and what the encoder holds back
//! goes out whenever the upstream pauses, so that nobody waits for an event that is already here.

mod encoder;

use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use prometheus::IntCounter;

use self::encoder::{Encoder, Then};
use super::Part;
use crate::config::Coding;
use crate::edge::failure::Failure;
use crate::ops::Metrics;

/// So much is encoded at once.
const PIECE: usize = 8 << 10;
/// So much is encoded before other requests of the worker get their turn: a millisecond's work, about.
const TURN: usize = 32 << 10;
/// So much goes out at once, if the upstream doesn't pause.
const WORTHWHILE: usize = 16 << 10;

/// A body that is being compressed.
pub(super) struct Compressing {
    encoder: Encoder,
    /// What came, and wasn't encoded yet.
    ahead: Bytes,
    /// What was encoded, and isn't on its way yet.
    encoded: Vec<u8>,
    /// Whether the encoder may hold something back.
    holds_back: bool,
    /// Bytes that may still be encoded in this turn.
    turn: usize,
    stage: Stage,
    tally: Tally,
}

enum Stage {
    /// The body comes.
    Body,
    /// It is encoded to its end, and its trailer section waits for its turn.
    Ended(Bytes),
    /// Everything is on its way.
    Over,
}

impl Compressing {
    /// Begins a body in this coding.
    pub(super) fn new(coding: Coding, metrics: &Metrics) -> Self {
        Self {
            encoder: Encoder::new(coding),
            ahead: Bytes::new(),
            encoded: Vec::new(),
            holds_back: false,
            turn: TURN,
            stage: Stage::Body,
            tally: Tally::new(coding, metrics),
        }
    }

    /// Whether everything is on its way.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// The next part, of what `poll_source` gives. A body that breaks is never ended: then nobody takes it for a whole one.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        mut poll_source: impl FnMut(&mut Context<'_>) -> Poll<Result<Part, Failure>>,
    ) -> Poll<Result<Part, Failure>> {
        loop {
            let is_ended = !matches!(self.stage, Stage::Body);
            if self.encoded.len() >= WORTHWHILE || is_ended && !self.encoded.is_empty() {
                return Poll::Ready(Ok(self.take()));
            }
            if is_ended {
                let Stage::Ended(trailers) = std::mem::replace(&mut self.stage, Stage::Over) else {
                    return Poll::Ready(Ok(Part::End(Bytes::new())));
                };
                return Poll::Ready(Ok(Part::End(trailers)));
            }
            if !self.ahead.is_empty() {
                if self.turn == 0 {
                    self.turn = TURN;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.encode_piece()?;
                continue;
            }
            match poll_source(cx) {
                Poll::Ready(Ok(Part::Data(data))) => self.ahead = data,
                Poll::Ready(Ok(Part::End(trailers))) => {
                    self.encoder.encode(&[], Then::End, &mut self.encoded).map_err(Failure::UpstreamBroken)?;
                    self.stage = Stage::Ended(trailers);
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {
                    self.turn = TURN;
                    if std::mem::take(&mut self.holds_back) {
                        self.encoder.encode(&[], Then::Flush, &mut self.encoded).map_err(Failure::UpstreamBroken)?;
                    }
                    return if self.encoded.is_empty() { Poll::Pending } else { Poll::Ready(Ok(self.take())) };
                }
            }
        }
    }

    fn encode_piece(&mut self) -> Result<(), Failure> {
        let piece = &self.ahead[..self.ahead.len().min(PIECE)];
        self.encoder.encode(piece, Then::More, &mut self.encoded).map_err(Failure::UpstreamBroken)?;
        let length = piece.len();
        self.turn = self.turn.saturating_sub(length);
        self.tally.came.inc_by(length as u64);
        self.holds_back = true;
        self.ahead.advance(length);
        Ok(())
    }

    /// Takes what was encoded: never nothing, which as a chunk would be the last one.
    fn take(&mut self) -> Part {
        self.tally.went.inc_by(self.encoded.len() as u64);
        Part::Data(std::mem::take(&mut self.encoded).into())
    }
}

/// What is counted.
struct Tally {
    came: IntCounter,
    went: IntCounter,
}

impl Tally {
    fn new(coding: Coding, metrics: &Metrics) -> Self {
        Self {
            came: metrics.compressed_in.with_label_values(&[coding.name()]),
            went: metrics.compressed_out.with_label_values(&[coding.name()]),
        }
    }
}
