//! What a request goes by, in logs and towards the backend.

use std::ops::Deref;

/// 32 hexadecimal digits, without a place on the heap: every request has one.
#[derive(Clone, Copy)]
pub(super) struct RequestId([u8; 32]);

impl RequestId {
    /// The worker's own number, then a counter. Unique, and nothing to guess with.
    pub(super) fn new(worker: u64, count: u64) -> Self {
        Self(digits(u128::from(worker) << 64 | u128::from(count)))
    }
}

/// A number's last digits in hexadecimal.
pub(super) fn digits<const N: usize>(number: u128) -> [u8; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (mut rest, mut digits) = (number, [0; N]);
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest & 0xf) as usize];
        rest >>= 4;
    }
    digits
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_workers_number_and_the_count_in_hexadecimal() {
        assert_eq!(&*RequestId::new(0x12, 0xabc), "00000000000000120000000000000abc");
        assert_eq!(&*RequestId::new(u64::MAX, 0), "ffffffffffffffff0000000000000000");
    }
}
