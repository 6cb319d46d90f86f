//! Credentials: what can become of an issued client certificate, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)*
        }

        impl $name {
            /// Every one, for tables of metrics and texts.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code: the word in the directory, metrics, logs and the output of commands.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What has this code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

codes! {
    /// Where a credential stands in its life.
    CredentialState {
        /// Signed, but nobody has proven yet that they have it. It opens nothing.
        Issued = "issued",
        /// Its holder has it, and it opens what it should.
        Live = "live",
        /// A newer one took its place (更新).
        Retired = "retired",
        /// Taken back, or given up before anybody had it (失効).
        Revoked = "revoked",
        /// Past its notAfter.
        Expired = "expired",
    }
}

codes! {
    /// Why a credential was revoked.
    RevocationCause {
        /// Its holder gets another one: the PC was replaced, or the certificate was lost (再発行).
        Reissued = "reissued",
        /// The contract's administrator or bank staff took it back.
        Withdrawn = "withdrawn",
        /// Its acquisition was taken up again: it may have reached nobody.
        Superseded = "superseded",
    }
}

codes! {
    /// What a notice is about.
    NoticeKind {
        /// A credential expires in 30 days or less.
        ExpirySoon = "expiry_soon",
        /// A credential expires in 10 days or less.
        ExpiryVerySoon = "expiry_very_soon",
        /// A user was suspended.
        Suspension = "suspension",
        /// A user has acquired a credential.
        Acquired = "acquired",
        /// A user's credential was revoked.
        Revoked = "revoked",
        /// A user's mail address was changed; goes to the old and to the new one (T64).
        MailChanged = "mail_changed",
    }
}

/// What the helper signs: a fixed text, and the SHA-256 of the certificate in lower-case hexadecimal. It can't be taken
/// for anything that TLS has signed.
pub fn proof_message(fingerprint: &str) -> String {
    format!("sekisho proof of possession\n{fingerprint}\n")
}
