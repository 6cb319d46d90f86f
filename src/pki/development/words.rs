//! Small values that cannot hold a bad one: the CA's name, a file's stem, a PKCS#12 password.

use std::fmt;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::Error;

/// The longest organisation or common name (RFC 5280, appendix A.1).
const MAX_NAME_LENGTH: usize = 64;

/// Letters and digits of a generated password, without those that are mistaken for each other: 32 of them.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Whose CA it is: the bank's legal name, and the name and generation of its CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityName {
    organization: String,
    generation: String,
}

impl AuthorityName {
    /// `organization` is the bank, `generation` the CA: the common name of the CA and the OU of what it issues.
    pub fn new(organization: &str, generation: &str) -> Result<Self, String> {
        for text in [organization, generation] {
            let length = text.chars().count();
            if !(1..=MAX_NAME_LENGTH).contains(&length)
                || text.chars().any(char::is_control)
                || text.trim() != text
            {
                return Err(format!(
                    "expected a name of 1 to {MAX_NAME_LENGTH} characters without spaces around it, found `{}`",
                    text.escape_debug()
                ));
            }
        }
        Ok(Self { organization: organization.to_owned(), generation: generation.to_owned() })
    }

    /// The bank's legal name.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The name and generation of the CA.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// The name in a subject that has exactly the two parts.
    pub(super) fn of(subject: &X509Name<'_>) -> Option<Self> {
        let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned).ok();
        if subject.iter_attributes().count() != 2 {
            return None;
        }
        let organization = subject.iter_organization().next().and_then(text)?;
        let generation = subject.iter_common_name().next().and_then(text)?;
        Self::new(&organization, &generation).ok()
    }
}

impl Default for AuthorityName {
    fn default() -> Self {
        Self { organization: "Mihon Bank, Ltd.".to_owned(), generation: "Mihon Bank CA-G1".to_owned() }
    }
}

/// The name of a certificate's files without their endings. It cannot lead out of its folder or hide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStem(String);

impl FileStem {
    /// 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a file name of 1 to 64 letters, digits, `-`, `_` and `.` that begins with a letter or digit, found `{}`",
                text.escape_debug()
            ))
        }
    }

    /// The stem.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileStem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The password of a PKCS#12 file. It cannot be printed by accident.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Printable ASCII only: systems disagree on how anything else is encoded, and would say "wrong password".
    pub fn new(text: &str) -> Result<Self, String> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected a password of 1 to 128 printable ASCII characters".to_owned())
        }
    }

    /// A new one with 80 bits of the system's randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::Crypto(format!("no randomness from the system: {error}")))?;
        Ok(Self(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()))
    }

    /// The password, to be shown to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stem_cannot_lead_out_of_its_folder() {
        assert!(FileStem::new("cert.localhost").is_ok());
        for bad in ["", ".", "..", ".hidden", "-rf", "a/b", "../a", "a\\b", "a b", "é", &"a".repeat(65)] {
            assert!(FileStem::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_printable_ascii_and_is_not_shown() {
        for bad in ["", "パスワード", "a\nb", "a\0"] {
            assert!(Password::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Password::new("demo").unwrap()), "Password(…)");
        let (one, other) = (Password::generate().unwrap(), Password::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 16);
    }
}
