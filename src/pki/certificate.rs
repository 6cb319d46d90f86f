//! A client's own certificate, looked at by itself: its shape, its key, its usages. No path, no trust, no time.

use std::fmt::Write;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS;
use x509_parser::prelude::FromDer;

use super::signature::Signed;
use super::validity::Validity;
use super::{der, strength};
use crate::domain::{Reason, Refusal};

/// The longest serial number (RFC 5280 4.1.2.2), sign byte aside. A stranger's serial is logged, too: it must not
/// fill the log.
const MAX_SERIAL_OCTETS: usize = 20;

/// What can be said of a client's certificate by reading it, whether it is good or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The serial number in lower-case hex, without a sign byte.
    pub serial: String,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
    /// notBefore.
    pub not_before: Timestamp,
    /// notAfter: the last second of its validity.
    pub not_after: Timestamp,
}

impl Leaf {
    /// The fingerprint in lower-case hex.
    pub fn fingerprint_hex(&self) -> String {
        hex(&self.fingerprint)
    }

    pub(super) fn validity(&self) -> Validity {
        Validity { from: self.not_before, until: self.not_after }
    }
}

/// A well-formed certificate with a strong key, not yet believed.
pub(super) struct Examined<'a> {
    pub(super) leaf: Leaf,
    pub(super) certificate: EndEntityCert<'a>,
    /// Whether its usages are those of a client. Told apart from the shape, because that somebody else's
    /// certificate is somebody else's says more than that it can't be used here.
    pub(super) usages: Result<(), Refusal>,
}

/// A certificate that no trust and no time could make good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unacceptable {
    pub(super) refusal: Refusal,
    pub(super) leaf: Option<Leaf>,
}

/// The first step of judging: reads the certificate, or refuses it as malformed or weak.
///
/// Footgun: the TLS verifier waives the proof of possession for whatever is refused *here* (a key that can't be read
/// can't prove anything, and the bearer shall still see a page that says so). That is sound only because the judge
/// calls this very function first, and because it depends on the bytes alone. Never let a caller go on past its
/// `Err`, and never hand it anything that changes: time, trust, configuration.
pub(super) fn examine<'a>(der: &'a CertificateDer<'a>) -> Result<Examined<'a>, Unacceptable> {
    let malformed = |refusal| Unacceptable { refusal, leaf: None };

    // webpki first: it is strict about structure where x509-parser is lenient.
    let certificate = EndEntityCert::try_from(der).map_err(|error| malformed(unreadable(&error)))?;
    let parsed = parse(der).ok_or_else(|| malformed(BROKEN))?;
    let signed = Signed::read(der).ok_or_else(|| malformed(BROKEN))?;
    let serial = serial(&parsed).map_err(malformed)?;
    let usages = usages(&parsed).map_err(|_| malformed(BROKEN_EXTENSION))?;
    let validity = Validity::of(parsed.validity());
    let leaf =
        Leaf { serial, fingerprint: fingerprint(der), not_before: validity.from, not_after: validity.until };

    let key = der::only(parsed.public_key().raw, der::SEQUENCE).unwrap_or_default();
    match strength::of_key(key).and_then(|()| strength::of_signature(&signed)) {
        Ok(()) => Ok(Examined { leaf, certificate, usages }),
        Err(refusal) => Err(Unacceptable { refusal, leaf: Some(leaf) }),
    }
}

/// SHA-256 of a certificate.
pub(super) fn fingerprint(der: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(der.as_ref()).into()
}

/// The certificate, if it is one to its last byte.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// `basicConstraints`: CA and path length. Unlike x509-parser's own accessor it doesn't take an extension that
/// can't be read for an absent one, which would turn a CA into a leaf.
pub(super) fn basic_constraints(certificate: &TbsCertificate<'_>) -> Result<(bool, Option<u32>), X509Error> {
    match certificate.get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS)?.map(|it| it.parsed_extension()) {
        None => Ok((false, None)),
        Some(ParsedExtension::BasicConstraints(constraints)) => {
            Ok((constraints.ca, constraints.path_len_constraint))
        }
        Some(_) => Err(X509Error::InvalidExtensions),
    }
}

const BROKEN: Refusal = Refusal::new(Reason::Malformed, "not a DER-encoded X.509 certificate");
const BROKEN_EXTENSION: Refusal =
    Refusal::new(Reason::Malformed, "an extension cannot be read or is there twice");

fn unreadable(error: &webpki::Error) -> Refusal {
    match error {
        webpki::Error::UnsupportedCertVersion => {
            Refusal::new(Reason::Malformed, "not an X.509 v3 certificate")
        }
        webpki::Error::UnsupportedCriticalExtension => {
            Refusal::new(Reason::Malformed, "a critical extension is not understood")
        }
        webpki::Error::SignatureAlgorithmMismatch => {
            Refusal::new(Reason::Malformed, "the two signature algorithms differ")
        }
        webpki::Error::ExtensionValueInvalid | webpki::Error::MalformedExtensions => BROKEN_EXTENSION,
        _ => BROKEN,
    }
}

fn serial(certificate: &TbsCertificate<'_>) -> Result<String, Refusal> {
    let octets = match certificate.raw_serial() {
        [0, rest @ ..] if !rest.is_empty() => rest,
        octets => octets,
    };
    if octets.len() > MAX_SERIAL_OCTETS {
        return Err(Refusal::new(Reason::Malformed, "the serial number is longer than 20 octets"));
    }
    Ok(hex(octets))
}

/// RFC 5280 lets a certificate without these extensions be used for anything; a bank's does not leave it open.
fn usages(certificate: &TbsCertificate<'_>) -> Result<Result<(), Refusal>, X509Error> {
    let (is_ca, _) = basic_constraints(certificate)?;
    let key_usage = certificate.key_usage()?.map(|extension| extension.value.digital_signature());
    let client_auth = certificate.extended_key_usage()?.map(|extension| extension.value.client_auth);

    let wrong = |detail| Err(Refusal::new(Reason::WrongUsage, detail));
    Ok(match (is_ca, key_usage, client_auth) {
        (true, _, _) => wrong("the certificate is a CA's"),
        (_, None, _) => wrong("keyUsage is absent"),
        (_, Some(false), _) => wrong("keyUsage lacks digitalSignature"),
        (_, _, None) => wrong("extendedKeyUsage is absent"),
        (_, _, Some(false)) => wrong("extendedKeyUsage lacks clientAuth"),
        (false, Some(true), Some(true)) => Ok(()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
