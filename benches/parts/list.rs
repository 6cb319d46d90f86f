//! A revocation list of many entries.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevokedCertParams, SerialNumber, SigningKey,
};
use time::OffsetDateTime;

/// 16 bytes, scattered as random ones are.
pub(crate) fn serial(nth: u64) -> Vec<u8> {
    let high = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut serial = [high.to_be_bytes(), nth.to_be_bytes()].concat();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

/// A list of the first so many serial numbers, as DER.
pub(crate) fn make(issuer: &Issuer<'_, impl SigningKey>, entries: u64) -> Vec<u8> {
    let now = OffsetDateTime::now_utc();
    let revoked = |nth| RevokedCertParams {
        serial_number: SerialNumber::from(serial(nth)),
        revocation_time: now - time::Duration::days(1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: now - time::Duration::days(1),
        next_update: now + time::Duration::days(1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: (0..entries).map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).expect("a list").der().to_vec()
}
