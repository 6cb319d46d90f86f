//! PINs that nobody chose: random, and easily read over the telephone.

use crate::domain::Pin;

/// No `0` and `o`, no `1`, `i` and `l`.
const SIGNS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
const LENGTH: usize = 8;

/// A random PIN of nearly 40 bits.
pub fn random_pin() -> Result<Pin, getrandom::Error> {
    let mut text = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let index = getrandom::u32()? as usize % SIGNS.len();
        text.push(char::from(SIGNS[index]));
    }
    // Eight letters and digits are always a PIN.
    Pin::typed(&text).map_err(|_| getrandom::Error::UNSUPPORTED)
}
