//! Who is there: a contract and a user, as values that cannot hold anything else.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The longest contract or user ID, in characters.
const MAX_ID_LENGTH: usize = 30;

/// An ID that is empty, longer than 30 characters, or not half-width alphanumeric throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected 1 to {MAX_ID_LENGTH} half-width letters and digits")
    }
}

impl std::error::Error for InvalidId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes the bytes as they are: no trimming, no folding of case or width.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=MAX_ID_LENGTH).contains(&text.len());
                if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId)
                }
            }

            /// Reads what a person typed: full-width characters become half-width, space around it goes (T45). Case
            /// counts. Every look-up and every count goes by this one form.
            pub fn typed(text: &str) -> Result<Self, InvalidId> {
                Self::new(text.nfkc().collect::<String>().trim())
            }

            /// The ID as it stands in the certificate.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A contract: a company that banks online (契約法人ID).
    ContractId
}

id! {
    /// A user of a contract (利用者ID).
    UserId
}

/// Contract and user, as proven by a certificate or a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The contract that the user belongs to.
    pub contract: ContractId,
    /// The user within the contract.
    pub user: UserId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form_however_it_was_typed() {
        for typed in ["tanaka01", " tanaka01", "tanaka01\u{3000}", "ｔａｎａｋａ０１"] {
            assert_eq!(UserId::typed(typed).unwrap().as_str(), "tanaka01", "{typed}");
        }
        assert_ne!(UserId::typed("Tanaka01"), UserId::typed("tanaka01"));
        assert_eq!(UserId::typed("tana ka"), Err(InvalidId));
    }

    #[test]
    fn an_id_is_one_to_thirty_half_width_alphanumerics() {
        assert_eq!(ContractId::new("12345678901234").map(String::from), Ok("12345678901234".to_owned()));
        assert_eq!(UserId::new(&"a".repeat(30)).map(|id| id.as_str().len()), Ok(30));
        for bad in ["", " a", "a ", "a b", "a\r\nb", "a\0", "１２", "é", &"a".repeat(31)] {
            assert_eq!(UserId::new(bad), Err(InvalidId), "{bad:?}");
        }
    }
}
