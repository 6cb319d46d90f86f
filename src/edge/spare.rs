//! Buffers that nobody uses just now, some for each thread. Whoever waits holds none, and whoever goes on finds one that was in
//! use a moment ago: the allocator would look for room of that size each time.

use std::cell::RefCell;

use bytes::BytesMut;

/// Buffers that a thread keeps at most, and how much room each may show.
const MOST: usize = 16;
const LARGEST: usize = 64 << 10;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, which may have room already.
pub(super) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a buffer back. What was in it is gone.
pub(super) fn give(mut buffer: BytesMut) {
    buffer.clear();
    if !(1..=LARGEST).contains(&buffer.capacity()) {
        return;
    }
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MOST {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_what_was_split_off_it_stays_what_it_was() {
        let mut buffer = BytesMut::with_capacity(4096);
        buffer.extend_from_slice(b"somebody's secret");
        let taken = buffer.split_to(9).freeze();
        give(buffer);
        let mut again = take();
        assert!(again.is_empty());
        // As long as somebody has a part of it, that part isn't written over.
        again.reserve(4096);
        again.extend_from_slice(&[b'x'; 4096]);
        assert_eq!(taken, b"somebody'"[..]);
        drop(taken);
        drop(again);
        // Then all of it is there to be used again.
        let mut buffer = BytesMut::with_capacity(4096);
        buffer.extend_from_slice(b"somebody's secret");
        let at_first = buffer.as_ptr() as usize;
        drop(buffer.split_to(9));
        give(buffer);
        let mut again = take();
        again.reserve(4096);
        assert_eq!(again.as_ptr() as usize, at_first);
    }

    #[test]
    fn no_more_are_kept_than_may_be_and_none_that_is_too_large() {
        for _ in 0..MOST + 3 {
            give(BytesMut::with_capacity(100));
        }
        give(BytesMut::with_capacity(LARGEST + 1));
        give(BytesMut::new());
        let kept = std::iter::from_fn(|| Some(take()).filter(|buffer| buffer.capacity() > 0));
        assert_eq!(kept.map(|buffer| buffer.capacity()).collect::<Vec<_>>(), [100; MOST]);
    }
}
