//! How many frames a client sends that are no part of a request. HTTP/2 lets it send SETTINGS, PING, PRIORITY,
//! WINDOW_UPDATE, RST_STREAM and unknown frames without end, each of them work, some of them with an answer
//! (CVE-2019-9512, -9513, -9515, -9517, -9518). h2 keeps the memory for that bounded, but not the work.
//!
//! Such a frame costs one of a budget. What a well-behaved client sends them for gives some back: its requests, what
//! it is sent, and time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;

/// What a client says before its first frame (RFC 9113, section 3.4).
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// What a request gives back.
const PER_REQUEST: u32 = 4;
/// So many bytes to the client give one back.
const PER_FRAME: u64 = 1024;
/// The whole budget comes back in so many seconds.
const SECONDS: u32 = 20;

/// A connection to a client, with its frames counted as they are read.
pub(super) struct Metered<Io> {
    io: Io,
    meter: Meter,
    is_over: Arc<AtomicBool>,
}

impl<Io> Metered<Io> {
    /// Allows a budget of `most` frames. Once it is spent, `is_over` is set and nothing is read any more.
    pub(super) fn new(io: Io, most: u32, is_over: Arc<AtomicBool>) -> Self {
        Self { io, meter: Meter::new(most, clock::instant()), is_over }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Metered<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if !self.meter.take(&buffer.filled()[before..], clock::instant()) {
            self.is_over.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("too many frames that are no part of a request")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Metered<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.meter.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The counting itself: it follows the frames through the bytes, however they are cut.
struct Meter {
    most: u32,
    left: u32,
    refilled: Instant,
    /// Bytes to the client that have given nothing back yet.
    sent: u64,
    /// Bytes that are no head of a frame: what is left of a payload, or of the preface.
    skip: usize,
    head: [u8; FRAME_HEAD],
    filled: usize,
}

impl Meter {
    const fn new(most: u32, now: Instant) -> Self {
        Self { most, left: most, refilled: now, sent: 0, skip: PREFACE, head: [0; FRAME_HEAD], filled: 0 }
    }

    /// Takes what was read; `false` once the client has sent too much.
    fn take(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        self.refill(now);
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let wanted = FRAME_HEAD - self.filled;
            let (part, rest) = bytes[skipped..].split_at(wanted.min(bytes.len() - skipped));
            self.head[self.filled..self.filled + part.len()].copy_from_slice(part);
            self.filled += part.len();
            if self.filled < FRAME_HEAD {
                return true;
            }
            bytes = rest;
            self.filled = 0;
            let [high, middle, low, kind, ..] = self.head;
            self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
            match kind {
                // h2 bounds these: the parts of a head, and DATA that says nothing.
                DATA | CONTINUATION => {}
                HEADERS => self.give(PER_REQUEST),
                _ => match self.left.checked_sub(1) {
                    Some(left) => self.left = left,
                    None => return false,
                },
            }
        }
    }

    /// Gives back what time and the bytes to the client give.
    fn refill(&mut self, now: Instant) {
        let frames = self.sent / PER_FRAME;
        self.sent %= PER_FRAME;
        self.give(u32::try_from(frames).unwrap_or(u32::MAX));
        if self.left == self.most {
            self.refilled = now;
            return;
        }
        // Whole frames only, so that what is left of the time counts next time.
        let each = Duration::from_secs(1) * SECONDS / self.most;
        let passed = now.saturating_duration_since(self.refilled);
        let frames = u32::try_from(passed.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX);
        self.refilled += each.saturating_mul(frames).min(passed);
        self.give(frames);
    }

    fn give(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    }

    fn pings(count: usize) -> Vec<u8> {
        frame(6, b"12345678").repeat(count)
    }

    /// A meter that has seen the preface, and the time that it began at.
    fn meter(most: u32) -> (Meter, Instant) {
        let now = clock::instant();
        let mut meter = Meter::new(most, now);
        assert!(meter.take(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now));
        (meter, now)
    }

    #[test]
    fn every_frame_but_a_requests_costs_one() {
        for kind in (0..=255).filter(|kind| ![DATA, HEADERS, CONTINUATION].contains(kind)) {
            let (mut meter, now) = meter(10);
            assert!(meter.take(&frame(kind, b"payload").repeat(10), now), "{kind}");
            assert!(!meter.take(&frame(kind, b"payload"), now), "{kind}");
        }
        let (mut meter, now) = meter(10);
        for kind in [DATA, HEADERS, CONTINUATION] {
            assert!(meter.take(&frame(kind, b"payload").repeat(1000), now));
        }
        assert_eq!(meter.left, 10);
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let bytes = [pings(5), frame(DATA, &pings(100)), pings(6)].concat();
        for size in 1..60 {
            let (mut meter, now) = meter(10);
            let taken = bytes.chunks(size).take_while(|part| meter.take(part, now)).count();
            // The last one's head is what is too much.
            let too_much = bytes.len() - 17 + FRAME_HEAD;
            assert_eq!(taken, (too_much - 1) / size, "{size}");
        }
    }

    #[test]
    fn requests_and_bytes_to_the_client_and_time_give_back() {
        let (mut meter, now) = meter(40);
        assert!(meter.take(&pings(40), now));
        assert!(meter.take(&frame(HEADERS, b""), now));
        assert_eq!(meter.left, 4);
        meter.sent += 5 * PER_FRAME + 1000;
        assert!(meter.take(b"", now));
        assert_eq!(meter.left, 9);
        meter.sent += 24;
        assert!(meter.take(b"", now + Duration::from_millis(499)));
        assert_eq!(meter.left, 10);
        assert!(meter.take(b"", now + Duration::from_millis(1250)));
        assert_eq!(meter.left, 12);
        // What was left of the time before counts.
        assert!(meter.take(b"", now + Duration::from_millis(1500)));
        assert_eq!(meter.left, 13);
        assert!(meter.take(b"", now + Duration::from_secs(3600)));
        assert_eq!(meter.left, 40);
    }

    #[test]
    fn time_before_a_flood_saves_nothing_up() {
        let (mut meter, now) = meter(10);
        let later = now + Duration::from_secs(3600);
        assert!(meter.take(&pings(10), later));
        assert!(!meter.take(&pings(1), later + Duration::from_secs(1)));
    }
}
