//! Serial numbers of certificates.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most octets that RFC 5280 gives a serial number.
const MAX_LENGTH: usize = 20;

/// A positive serial number of at most 20 octets, without leading zeros. Shown as `openssl x509 -serial` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial {
    // Big-endian, at the end of the array.
    octets: [u8; MAX_LENGTH],
    length: u8,
}

impl Serial {
    /// A new one: 20 octets, 158 bits of which are the system's randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut octets = [0; MAX_LENGTH];
        getrandom::fill(&mut octets)?;
        // The highest bit would make it negative; the next one keeps its length at 20 octets.
        octets[0] = octets[0] & 0x3f | 0x40;
        Ok(Self { octets, length: 20 })
    }

    /// From the content of a DER integer. None if it is zero, negative or too long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return None;
        }
        Self::from_magnitude(bytes)
    }

    /// From hexadecimal digits, with or without colons between the octets, as `openssl` and browsers show it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b':')
            .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let (odd, pairs) = digits.split_at(digits.len() % 2);
        let bytes: Vec<u8> =
            odd.iter().copied().chain(pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1])).collect();
        Self::from_magnitude(&bytes)
    }

    /// Big-endian, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[MAX_LENGTH - usize::from(self.length)..]
    }

    fn from_magnitude(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let significant = &bytes[start..];
        let mut octets = [0; MAX_LENGTH];
        let from = MAX_LENGTH.checked_sub(significant.len())?;
        octets[from..].copy_from_slice(significant);
        Some(Self { octets, length: u8::try_from(significant.len()).ok()? })
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl TryFrom<String> for Serial {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("expected a serial number of 1 to 20 octets in hexadecimal")
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_read_as_openssl_and_browsers_show_it() {
        let serial = Serial::parse("0A1B2C").unwrap();
        assert_eq!(serial, Serial::parse("0a:1b:2c").unwrap());
        assert_eq!(serial, Serial::parse("a1b2c").unwrap());
        assert_eq!(serial, Serial::from_bytes(&[0, 0x0a, 0x1b, 0x2c]).unwrap());
        assert_eq!(serial.to_string(), "0A1B2C");
        for bad in ["", "0", "00:00", "xyz", "0a 1b", &"11".repeat(21)] {
            assert_eq!(Serial::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Serial::from_bytes(&[0x80]), None, "negative");
    }

    #[test]
    fn a_new_serial_is_positive_and_has_twenty_octets() {
        for _ in 0..100 {
            let serial = Serial::random().unwrap();
            assert_eq!(serial.as_bytes().len(), 20);
            assert_eq!(Serial::from_bytes(serial.as_bytes()), Some(serial));
        }
    }
}
