//! Suspension (利用中止): being locked out until somebody lifts it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a user is suspended. The code is the word in the directory, logs and the output of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspensionCause {
    /// Too many wrong PINs in a row, typed where no certificate was. It ends sign-in by PIN; a certificate goes on
    /// working, unless `sign_in.lockout.stops_certificates` says otherwise (T42).
    WrongPins,
    /// Too many wrong PINs in a row, typed behind the user's own certificate. It ends everything.
    WrongPinsWithCertificate,
    /// Bank staff said so. It ends everything.
    Staff,
    /// The contract's administrator said so. It ends everything.
    Administrator,
}

impl SuspensionCause {
    /// The code of the cause.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongPins => "wrong_pins",
            Self::WrongPinsWithCertificate => "wrong_pins_with_certificate",
            Self::Staff => "staff",
            Self::Administrator => "administrator",
        }
    }

    /// The cause of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::WrongPins, Self::WrongPinsWithCertificate, Self::Staff, Self::Administrator]
            .into_iter()
            .find(|cause| cause.code() == code)
    }
}

impl fmt::Display for SuspensionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
