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
use crate::edge::load::CompressedResponse;
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
    _place: CompressedResponse,
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
    pub(super) fn new(coding: Coding, place: CompressedResponse, metrics: &Metrics) -> Self {
        Self {
            encoder: Encoder::new(coding),
            ahead: Bytes::new(),
            encoded: Vec::new(),
            holds_back: false,
            turn: TURN,
            stage: Stage::Body,
            tally: Tally::new(coding, metrics),
            _place: place,
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
                // With the last of it, all is said, unless trailers follow.
                if matches!(&self.stage, Stage::Ended(trailers) if trailers.is_empty()) {
                    self.stage = Stage::Over;
                }
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
                    self.encoder
                        .encode(&[], Then::End, &mut self.encoded)
                        .map_err(Failure::UpstreamBroken)?;
                    self.stage = Stage::Ended(trailers);
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {
                    self.turn = TURN;
                    if std::mem::take(&mut self.holds_back) {
                        self.encoder
                            .encode(&[], Then::Flush, &mut self.encoded)
                            .map_err(Failure::UpstreamBroken)?;
                    }
                    return if self.encoded.is_empty() {
                        Poll::Pending
                    } else {
                        Poll::Ready(Ok(self.take()))
                    };
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::encoder::tests::decoded;
    use super::*;
    use crate::config::Limits;
    use crate::edge::load::Load;

    /// Counts how often the task is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A source that gives these, one after the other; `None` is a pause.
    struct Source {
        parts: VecDeque<Option<Result<Part, Failure>>>,
        given: usize,
    }

    impl Source {
        fn new(parts: impl IntoIterator<Item = Option<Result<Part, Failure>>>) -> Self {
            Self { parts: parts.into_iter().collect(), given: 0 }
        }

        fn poll(&mut self) -> Poll<Result<Part, Failure>> {
            let Some(part) = self.parts.pop_front().expect("a source is asked no more at its end") else {
                return Poll::Pending;
            };
            if let Ok(Part::Data(data)) = &part {
                self.given += data.len();
            }
            Poll::Ready(part)
        }
    }

    fn data(length: usize) -> Option<Result<Part, Failure>> {
        Some(Ok(Part::Data(vec![b'a'; length].into())))
    }

    fn compressing(coding: Coding) -> Compressing {
        let place = Arc::new(Load::default()).begin_compression(&Limits::default()).unwrap();
        Compressing::new(coding, place, &Metrics::new().unwrap())
    }

    #[test]
    fn others_have_their_turn_however_much_there_is() {
        for coding in Coding::ALL {
            let wakes = Arc::new(Wakes::default());
            let waker = wakes.clone().into();
            let mut cx = Context::from_waker(&waker);
            let mut source =
                Source::new((0..4).map(|_| data(64 << 10)).chain([Some(Ok(Part::End(Bytes::new())))]));
            let (mut compressing, mut turns, mut began_with) = (compressing(coding), 0, 0);
            loop {
                let polled = compressing.poll_part(&mut cx, |_| source.poll());
                let done = source.given - compressing.ahead.len();
                assert!(done - began_with <= TURN, "{coding:?}: {} bytes in one turn", done - began_with);
                match polled {
                    Poll::Pending => (turns, began_with) = (turns + 1, done),
                    Poll::Ready(Ok(Part::Data(data))) => assert!(!data.is_empty()),
                    Poll::Ready(Ok(Part::End(_))) => break,
                    Poll::Ready(Err(failure)) => panic!("{failure:?}"),
                }
            }
            // 256 KiB in turns of 32, and it asked for each next one itself.
            assert_eq!((turns, wakes.0.load(Ordering::Relaxed)), (7, 7), "{coding:?}");
            assert!(compressing.is_over());
        }
    }

    #[test]
    fn a_pause_is_passed_on_only_when_nothing_is_held_back() {
        for coding in Coding::ALL {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut source = Source::new([None, data(10), None, None, data(1), None]);
            let mut compressing = compressing(coding);
            let mut kinds = String::new();
            while !source.parts.is_empty() {
                kinds.push(match compressing.poll_part(&mut cx, |_| source.poll()) {
                    Poll::Pending => 'p',
                    Poll::Ready(Ok(Part::Data(_))) => 'd',
                    _ => '?',
                });
            }
            assert_eq!(kinds, "pdpd", "{coding:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever comes, and whenever the source pauses: a decoder has all of it then, and at the end.
        #[test]
        fn nothing_is_lost_and_nothing_waits(
            parts in prop::collection::vec(prop_oneof![
                2 => Just(None),
                3 => prop::collection::vec(any::<u8>(), 1..50).prop_map(Some),
                1 => (1..150_000_usize, any::<u8>()).prop_map(|(length, byte)| Some(vec![byte; length])),
            ], 0..20),
            coding in prop::sample::select(&Coding::ALL[..]),
        ) {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let end = Some(Ok(Part::End(Bytes::from_static(b"A: b\r\n"))));
            let given = parts.iter().map(|part| part.clone().map(|part| Ok(Part::Data(part.into()))));
            let mut source = Source::new(given.chain([end]));
            let (mut compressing, mut came) = (compressing(coding), Vec::new());
            let expected = parts.iter().flatten().flatten().copied().collect::<Vec<u8>>();
            loop {
                let pauses = source.parts.len();
                match compressing.poll_part(&mut cx, |_| source.poll()) {
                    Poll::Ready(Ok(Part::Data(data))) => {
                        prop_assert!(!data.is_empty());
                        came.extend_from_slice(&data);
                    }
                    Poll::Ready(Ok(Part::End(trailers))) => {
                        prop_assert_eq!(&trailers[..], b"A: b\r\n");
                        break;
                    }
                    Poll::Ready(Err(failure)) => panic!("{failure:?}"),
                    // The turn is over, or the source has paused: then it was asked, and gave nothing.
                    Poll::Pending if compressing.ahead.is_empty() && source.parts.len() < pauses => {
                        prop_assert!(decoded(coding, &came) == expected[..source.given]);
                    }
                    Poll::Pending => {}
                }
            }
            prop_assert!(decoded(coding, &came) == expected);
        }
    }

    #[test]
    fn what_breaks_is_not_ended() {
        for coding in Coding::ALL {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut source = Source::new([data(10), Some(Err(Failure::UpstreamBroken("cut")))]);
            let mut compressing = compressing(coding);
            let polled = compressing.poll_part(&mut cx, |_| source.poll());
            assert!(matches!(polled, Poll::Ready(Err(Failure::UpstreamBroken("cut")))), "{polled:?}");
            assert!(!compressing.is_over());
        }
    }
}
