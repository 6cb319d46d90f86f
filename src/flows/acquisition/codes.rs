//! What people read and type in an acquisition: the helper's code, and the password of a file.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::stores::{CredentialRecord, Unavailable};

/// Letters and digits that nobody takes for one another (Crockford's Base32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of a code: 60 bits, good once and for a few minutes.
const CODE_LENGTH: usize = 12;
/// Of a password: 100 bits, because a file can be tried for years.
const PASSWORD_LENGTH: usize = 20;

/// A new code for the helper, in groups of four.
pub(super) fn new_code() -> Result<Zeroizing<String>, Unavailable> {
    let mut random = Zeroizing::new([0; CODE_LENGTH]);
    fill(&mut *random)?;
    Ok(grouped(&random[..]))
}

/// A code as it was typed, in its one form: without dashes and spaces, upper case, and what is read wrongly set right.
pub(super) fn typed_code(text: &str) -> Option<Zeroizing<String>> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(CODE_LENGTH));
    for byte in text.bytes().filter(|byte| !b"- \t\r\n".contains(byte)) {
        let byte = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            byte => byte,
        };
        if symbols.len() == CODE_LENGTH {
            return None;
        }
        symbols.push(u8::try_from(ALPHABET.iter().position(|symbol| *symbol == byte)?).ok()?);
    }
    (symbols.len() == CODE_LENGTH).then(|| grouped(&symbols))
}

/// Under what the state keeps a code: never the code itself.
pub(super) fn code_hash(code: &str) -> String {
    hex(&Sha256::new().chain_update("helper ").chain_update(code).finalize())
}

/// What ties a file to the browser that fetched it. The password is made from it and from the browser's secret, which
/// only the browser keeps; the directory keeps `mark`, which gives neither away.
pub(super) struct Browser {
    pub(super) password: Zeroizing<String>,
    pub(super) mark: String,
}

impl Browser {
    /// For a new file.
    pub(super) fn new(secret: &str) -> Result<Self, Unavailable> {
        let mut random = [0; 16];
        fill(&mut random)?;
        Ok(Self::from_parts(&hex(&random), secret))
    }

    /// Of the file that this browser has fetched; `None` if another one did, or the helper.
    pub(super) fn of(record: &CredentialRecord, secret: &str) -> Option<Self> {
        let kept = record.browser.as_deref()?;
        let (random, _) = kept.split_once('.')?;
        let browser = Self::from_parts(random, secret);
        bool::from(browser.mark.as_bytes().ct_eq(kept.as_bytes())).then_some(browser)
    }

    fn from_parts(random: &str, secret: &str) -> Self {
        let hash = |purpose: &str| {
            Zeroizing::new(<[u8; 32]>::from(
                Sha256::new()
                    .chain_update(purpose)
                    .chain_update(random)
                    .chain_update(" ")
                    .chain_update(secret)
                    .finalize(),
            ))
        };
        Self {
            password: grouped(&hash("file password ")[..PASSWORD_LENGTH]),
            mark: format!("{random}.{}", hex(&hash("file browser ")[..])),
        }
    }
}

fn grouped(symbols: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(symbols.len() * 2));
    for (index, symbol) in symbols.iter().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(symbol % 32)]));
    }
    text
}

fn fill(bytes: &mut [u8]) -> Result<(), Unavailable> {
    getrandom::fill(bytes).map_err(|error| Unavailable::new("state", error))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = new_code().unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (14, 2));
        assert_eq!(typed_code(&code).unwrap(), code);
        assert_eq!(typed_code(&code.to_lowercase().replace('-', " ")).unwrap(), code);
        assert_eq!(*typed_code("oil0 1o1l ABCD").unwrap(), "0110-1011-ABCD");
        for bad in ["", "ABCD-EFGH-JKM", "ABCD-EFGH-JKMNP", "ABCD-EFGU-JKMN", "ＡBCD-EFGH-JKMN"] {
            assert!(typed_code(bad).is_none(), "{bad}");
        }
        assert_ne!(*code, *new_code().unwrap());
    }

    #[test]
    fn the_password_is_found_again_by_the_browser_that_fetched_the_file_and_by_no_other() {
        let (one, other) = (Browser::new("secret").unwrap(), Browser::new("secret").unwrap());
        assert_ne!(one.password, other.password);
        assert_eq!(one.password.len(), 24);
        assert!(!one.mark.contains(&*one.password) && !one.mark.contains("secret"));
        let (random, _) = one.mark.split_once('.').unwrap();
        assert_eq!(Browser::from_parts(random, "secret").mark, one.mark);
        assert_eq!(Browser::from_parts(random, "secret").password, one.password);
        assert_ne!(Browser::from_parts(random, "another").mark, one.mark);
    }
}
