//! What certificates hold that are signed here: a client's of the issuer, and those of the development CA. Nothing here
//! touches a file.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, RsaKeySize, SanType, SerialNumber,
    date_time_ymd,
};
use x509_parser::certificate::X509Certificate;

use super::development::{AuthorityName, Error, KeyKind};
use super::serial::Serial;
use crate::domain::Identity;

/// From when to when a certificate is valid, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Validity {
    /// So many days from `now`.
    pub(super) fn days(now: Timestamp, days: u32) -> Self {
        let not_before = whole_seconds(now);
        let not_after = not_before
            .saturating_add(SignedDuration::from_hours(24 * i64::from(days)))
            .unwrap_or(Timestamp::MAX);
        Self { not_before, not_after }
    }

    /// As a certificate states it.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
        }
    }
}

/// The CA's own certificate. A path leads to it directly: it may sign no other CA.
pub(super) fn authority(name: &AuthorityName, validity: Validity, serial: &Serial) -> CertificateParams {
    let mut params = common(validity, serial);
    params.distinguished_name.push(DnType::OrganizationName, name.organization());
    params.distinguished_name.push(DnType::CommonName, name.generation());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A server's certificate. Without a CRL distribution point, so that clients which insist on reaching one still work.
pub(super) fn server(
    issuer: &AuthorityName,
    hosts: &[String],
    validity: Validity,
    serial: &Serial,
) -> Result<CertificateParams, Error> {
    let first =
        hosts.first().ok_or_else(|| Error::Invalid("a server certificate needs a host name".to_owned()))?;
    let mut params = common(validity, serial);
    params.distinguished_name.push(DnType::OrganizationName, issuer.organization());
    params.distinguished_name.push(DnType::CommonName, first);
    for host in hosts {
        let name =
            host.as_str().try_into().map_err(|_| Error::Invalid(format!("`{host}` is not a host name")))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// What a client's certificate says besides its identity and its key.
pub(super) struct ClientProfile<'a> {
    /// `O=`
    pub(super) organization: &'a str,
    /// `OU=`
    pub(super) unit: &'a str,
    /// The CRL distribution point.
    pub(super) crl_url: &'a str,
}

/// A client's certificate: `O=` the bank, `OU=` its CA, `CN=` contract, one space, user. `None` if the contract has not
/// the 14 digits of a certificate's.
pub(super) fn client(
    profile: &ClientProfile<'_>,
    identity: &Identity,
    validity: Validity,
    serial: &Serial,
) -> Option<CertificateParams> {
    let contract = identity.contract.as_str();
    if contract.len() != 14 || !contract.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut params = common(validity, serial);
    params.distinguished_name.push(DnType::OrganizationName, profile.organization);
    params.distinguished_name.push(DnType::OrganizationalUnitName, profile.unit);
    params.distinguished_name.push(DnType::CommonName, format!("{contract} {}", identity.user));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![profile.crl_url.to_owned()] }];
    Some(params)
}

/// A new key.
pub(super) fn key(kind: KeyKind) -> Result<KeyPair, Error> {
    Ok(match kind {
        KeyKind::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
        KeyKind::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072)?,
    })
}

/// Certificates know no fractions of a second; the index must not either, or the two would disagree.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The time since 1970, to be added to rcgen's 1970: its type of dates is of a crate that we do not name.
pub(super) fn since_1970(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
}

fn common(validity: Validity, serial: &Serial) -> CertificateParams {
    let mut params = CertificateParams::default();
    // The default has a common name of its own, and a certificate must have exactly one.
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(validity.not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(validity.not_after);
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params
}
