//! From when until when something holds, to the second and both ends included, as RFC 5280 has it.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use x509_parser::time::ASN1Time;

/// A span of whole seconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: Timestamp,
    /// The last second.
    pub until: Timestamp,
}

impl Validity {
    /// Reads the dates of a certificate.
    pub(super) fn of(validity: &x509_parser::certificate::Validity) -> Self {
        Self { from: timestamp(validity.not_before), until: timestamp(validity.not_after) }
    }

    /// Whether `now` is inside. A second lasts until the next one begins: 23:59:59.9 is within 23:59:59.
    pub fn contains(&self, now: Timestamp) -> bool {
        (self.from.as_second()..=self.until.as_second()).contains(&now.as_second())
    }

    /// The span in which both hold.
    pub(super) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// An ASN.1 time. "No well-defined end" (9999-12-31T23:59:59Z, RFC 5280 4.1.2.5) lies beyond what jiff can
/// hold, so what is out of range becomes the nearest end of the range.
pub(super) fn timestamp(time: ASN1Time) -> Timestamp {
    let nearest = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(nearest)
}

/// The time as webpki wants it: whole seconds since 1970.
pub(super) fn unix_time(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0)))
}
