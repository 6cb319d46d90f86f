//! The encoders of the codings, each with a level and a window that keep one response's work and memory small.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use crate::config::Coding;

/// Room that an encoder is given at once.
const ROOM: usize = 4 << 10;
/// What an encoder that fails has to say. None ever does: they are given memory and bytes.
const FAILED: &str = "its body can't be compressed";

/// gzip: 0.4 MiB, with the window that every decoder has.
const GZIP_LEVEL: Compression = Compression::new(4);
const GZIP_WINDOW: u8 = 15;
/// Brotli: up to 1.9 MiB with this window, 64 KiB. The next quality is three times the work.
const BROTLI_QUALITY: i32 = 4;
const BROTLI_WINDOW: i32 = 16;
/// Zstandard: 0.7 MiB with the same window, and small tables. Decoders have 8 MiB for a window (RFC 9659).
const ZSTD: [CParameter; 4] = [
    CParameter::CompressionLevel(3),
    CParameter::WindowLog(16),
    CParameter::HashLog(15),
    CParameter::ChainLog(14),
];

/// An encoder of one body.
pub(super) enum Encoder {
    Gzip(Compress),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstd(CCtx<'static>),
}

/// What follows what an encoder is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// More of it, soon: the encoder may hold back what it likes.
    More,
    /// Nothing for now: the decoder has to get all that there is.
    Flush,
    /// Nothing.
    End,
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Compress::new_gzip(GZIP_LEVEL, GZIP_WINDOW)),
            Coding::Br => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                (state.params.quality, state.params.lgwin) = (BROTLI_QUALITY, BROTLI_WINDOW);
                Self::Brotli(Box::new(state))
            }
            Coding::Zstd => {
                let mut context = CCtx::create();
                for parameter in ZSTD {
                    // They are within zstd's bounds; with others it would still compress.
                    let _ = context.set_parameter(parameter);
                }
                Self::Zstd(context)
            }
        }
    }

    /// Takes all of `input`, and adds to `output` what comes of it.
    pub(super) fn encode(
        &mut self,
        input: &[u8],
        then: Then,
        output: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        match self {
            Self::Gzip(state) => gzip(state, input, then, output),
            Self::Brotli(state) => brotli(state, input, then, output),
            Self::Zstd(context) => zstd(context, input, then, output),
        }
    }
}

fn gzip(
    state: &mut Compress,
    mut input: &[u8],
    then: Then,
    output: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let flush = match then {
        Then::More => FlushCompress::None,
        Then::Flush => FlushCompress::Sync,
        Then::End => FlushCompress::Finish,
    };
    loop {
        output.reserve(ROOM);
        let before = state.total_in();
        let status = state.compress_vec(input, output, flush).map_err(|_| FAILED)?;
        let taken = usize::try_from(state.total_in() - before).map_err(|_| FAILED)?;
        input = &input[taken..];
        let has_room = output.len() < output.capacity();
        match then {
            Then::End if status == Status::StreamEnd => return Ok(()),
            Then::More | Then::Flush if input.is_empty() && has_room => return Ok(()),
            _ => {}
        }
    }
}

fn brotli(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    input: &[u8],
    then: Then,
    output: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let operation = match then {
        Then::More => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Then::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Then::End => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut taken) = (input.len(), 0);
    let mut room = [0; ROOM];
    loop {
        let (mut free, mut written) = (ROOM, 0);
        let is_fine = state.compress_stream(
            operation,
            &mut left,
            input,
            &mut taken,
            &mut free,
            &mut room,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !is_fine {
            return Err(FAILED);
        }
        output.extend_from_slice(&room[..written]);
        if left == 0 && !state.has_more_output() && (then != Then::End || state.is_finished()) {
            return Ok(());
        }
    }
}

fn zstd(context: &mut CCtx<'_>, input: &[u8], then: Then, output: &mut Vec<u8>) -> Result<(), &'static str> {
    let directive = match then {
        Then::More => ZSTD_EndDirective::ZSTD_e_continue,
        Then::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        Then::End => ZSTD_EndDirective::ZSTD_e_end,
    };
    let mut input = InBuffer::around(input);
    loop {
        output.reserve(ROOM);
        let begun = output.len();
        let held = context
            .compress_stream2(&mut OutBuffer::around_pos(output, begun), &mut input, directive)
            .map_err(|_| FAILED)?;
        if input.pos() == input.src.len() && (held == 0 || then == Then::More) {
            return Ok(());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use super::*;

    /// What a decoder makes of it, as far as it goes.
    pub(in super::super) fn decoded(coding: Coding, encoded: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match coding {
            Coding::Gzip => drop(flate2::read::GzDecoder::new(encoded).read_to_end(&mut text)),
            Coding::Br => drop(brotli::Decompressor::new(encoded, 4096).read_to_end(&mut text)),
            Coding::Zstd => {
                let mut context = zstd_safe::DCtx::create();
                let mut input = InBuffer::around(encoded);
                loop {
                    text.reserve(64 << 10);
                    let begun = text.len();
                    context
                        .decompress_stream(&mut OutBuffer::around_pos(&mut text, begun), &mut input)
                        .unwrap();
                    // A few bytes may be very many.
                    if input.pos() == encoded.len() && text.len() < text.capacity() {
                        break;
                    }
                }
            }
        }
        text
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    #[test]
    fn every_coding_gives_back_what_it_was_given() {
        let text = "口座番号 0123456 残高 1,000,000円\n".repeat(20_000).into_bytes();
        for coding in Coding::ALL {
            for body in [b"".to_vec(), b"a".to_vec(), noise(300_000), text.clone()] {
                for piece in [1 + body.len() / 3, 7777, 100_000] {
                    let (mut encoder, mut encoded) = (Encoder::new(coding), Vec::new());
                    for piece in body.chunks(piece) {
                        encoder.encode(piece, Then::More, &mut encoded).unwrap();
                    }
                    encoder.encode(&[], Then::End, &mut encoded).unwrap();
                    assert!(decoded(coding, &encoded) == body, "{coding:?} {}", body.len());
                    assert!(
                        body.len() < 400_000 || encoded.len() < body.len() / 100,
                        "{coding:?} {}",
                        encoded.len()
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_flushed_can_be_read_at_once() {
        for coding in Coding::ALL {
            let (mut encoder, mut encoded, mut expected) = (Encoder::new(coding), Vec::new(), Vec::new());
            for event in [b"data: 1\n\n".to_vec(), b"data: 2\n\n".to_vec(), noise(50_000), b"\n\n".to_vec()] {
                encoder.encode(&event, Then::More, &mut encoded).unwrap();
                encoder.encode(&[], Then::Flush, &mut encoded).unwrap();
                expected.extend(event);
                assert!(decoded(coding, &encoded) == expected, "{coding:?} {}", expected.len());
            }
        }
    }
}
