//! What the judge says of a connection's certificate, and why.

use std::fmt;

use super::Identity;

/// Why a certificate does not let its bearer through. The code is the word in YAML, logs, metrics and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No certificate was sent.
    Absent,
    /// No path leads to one of the configured authorities.
    UnknownAuthority,
    /// A certificate of the path is past its notAfter.
    Expired,
    /// A certificate of the path is before its notBefore.
    NotYetValid,
    /// A CRL names a certificate of the path.
    Revoked,
    /// No CRL in force speaks for a certificate of the path: none of its issuer, or a stale one.
    RevocationUnknown,
    /// Not a client certificate: usages, basic constraints, path length or name constraints forbid it.
    WrongUsage,
    /// A key or a signature algorithm below what is accepted.
    WeakKey,
    /// The subject does not hold exactly one common name of the configured form.
    BadSubject,
    /// Not a well-formed X.509 v3 certificate.
    Malformed,
    /// The certificate holds, but its user or contract is suspended.
    Suspended,
    /// A newer credential of the same user took this one's place.
    Retired,
    /// The authority's signature holds, but the directory has no such credential, or nobody has taken it yet.
    Unregistered,
}

impl Reason {
    /// Every reason, for tables of metrics and texts.
    pub const ALL: [Self; 13] = [
        Self::Absent,
        Self::UnknownAuthority,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::WrongUsage,
        Self::WeakKey,
        Self::BadSubject,
        Self::Malformed,
        Self::Suspended,
        Self::Retired,
        Self::Unregistered,
    ];

    /// The code of the reason.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::UnknownAuthority => "unknown_authority",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::WrongUsage => "wrong_usage",
            Self::WeakKey => "weak_key",
            Self::BadSubject => "bad_subject",
            Self::Malformed => "malformed",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
            Self::Unregistered => "unregistered",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A certificate that was judged and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Which of the reasons, for the person and for metrics.
    pub reason: Reason,
    /// What exactly, for the log: a fixed phrase, never text of the certificate.
    pub detail: &'static str,
}

impl Refusal {
    /// A refusal for `reason`, with the exact finding for the log.
    pub const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail }
    }
}

/// What the judge says of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No certificate was sent.
    Absent,
    /// The certificate holds, and this is whose it is.
    Good(Identity),
    /// The certificate does not hold.
    Refused(Refusal),
}

impl Standing {
    /// `absent`, `good` or the code of the refusal, for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Good(_) => "good",
            Self::Refused(refusal) => refusal.reason.code(),
        }
    }
}
