//! The PIN (利用者暗証番号): a value that can't be printed, and the rules for a new one.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::Identity;

/// The shortest and the longest PIN that any rule may allow, in characters.
pub const PIN_LENGTH: std::ops::RangeInclusive<usize> = 4..=12;

/// A PIN in its one canonical form: 4 to 12 half-width letters and digits. Can't be printed; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// A text that can be nobody's PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPin;

impl Pin {
    /// Reads what a person typed: full-width characters become half-width, space around it goes (T45). Case counts.
    pub fn typed(text: &str) -> Result<Self, InvalidPin> {
        let folded = Zeroizing::new(text.nfkc().collect::<String>());
        let pin = folded.trim();
        let fits = PIN_LENGTH.contains(&pin.len()) && pin.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fits { Ok(Self(Zeroizing::new(pin.to_owned()))) } else { Err(InvalidPin) }
    }

    /// The characters, for hashing and for a bank's own verifier. Never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What a new PIN must be like.
#[derive(Debug, Clone)]
pub struct PinRules {
    /// Fewest and most characters.
    pub length: std::ops::RangeInclusive<usize>,
    /// PINs that are too easily guessed, in lower case.
    pub denied: std::collections::HashSet<Box<str>>,
}

/// Why a PIN can't become somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeakPin {
    /// Too short or too long.
    Length,
    /// It is, or is contained in, the contract ID or the user ID, or contains the user ID.
    LikeId,
    /// One character throughout.
    OneCharacter,
    /// On the deny-list.
    Denied,
    /// The same as the one that it replaces.
    Unchanged,
}

impl WeakPin {
    /// The code of the weakness, for commands and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::LikeId => "like_id",
            Self::OneCharacter => "one_character",
            Self::Denied => "denied",
            Self::Unchanged => "unchanged",
        }
    }
}

impl PinRules {
    /// Whether `pin` may become the PIN of `identity`.
    pub fn check(&self, pin: &Pin, identity: &Identity) -> Result<(), WeakPin> {
        let text = Zeroizing::new(pin.expose().to_ascii_lowercase());
        if !self.length.contains(&text.len()) {
            return Err(WeakPin::Length);
        }
        let (contract, user) =
            (identity.contract.as_str().to_ascii_lowercase(), identity.user.as_str().to_ascii_lowercase());
        if contract.contains(&**text) || user.contains(&**text) || (user.len() >= 4 && text.contains(&*user))
        {
            return Err(WeakPin::LikeId);
        }
        if text.bytes().all(|byte| byte == text.as_bytes()[0]) {
            return Err(WeakPin::OneCharacter);
        }
        if self.denied.contains(&**text) {
            return Err(WeakPin::Denied);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContractId, UserId};

    fn verdict(pin: &str) -> Result<(), WeakPin> {
        let rules = PinRules { length: 6..=10, denied: ["abc123".into()].into() };
        let identity = Identity {
            contract: ContractId::new("10000000000001").unwrap(),
            user: UserId::new("tanaka").unwrap(),
        };
        rules.check(&Pin::typed(pin).unwrap(), &identity)
    }

    #[test]
    fn a_pin_has_one_form_however_it_was_typed() {
        for typed in ["Ab12cd", " Ab12cd\u{3000}", "Ａｂ１２ｃｄ"] {
            assert_eq!(Pin::typed(typed).unwrap().expose(), "Ab12cd", "{typed}");
        }
        assert_ne!(Pin::typed("ab12cd"), Pin::typed("Ab12cd"));
        for bad in ["", "123", "1234567890123", "12 34", "12-34", "暗証番号", "1234\0"] {
            assert_eq!(Pin::typed(bad), Err(InvalidPin), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Pin::typed("secret1").unwrap()), "Pin(…)");
    }

    #[test]
    fn a_new_pin_is_not_easily_guessed() {
        assert_eq!(verdict("k7m2x9"), Ok(()));
        assert_eq!(verdict("k7m2x"), Err(WeakPin::Length));
        assert_eq!(verdict("k7m2x9k7m2x"), Err(WeakPin::Length));
        assert_eq!(verdict("000000"), Err(WeakPin::LikeId));
        assert_eq!(verdict("TANAKA"), Err(WeakPin::LikeId));
        assert_eq!(verdict("tanaka01"), Err(WeakPin::LikeId));
        assert_eq!(verdict("777777"), Err(WeakPin::OneCharacter));
        assert_eq!(verdict("ABC123"), Err(WeakPin::Denied));
    }
}
