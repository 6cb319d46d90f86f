//! Certificates that may sign certificates: the operator's authorities, and what connects a client to one of them.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::{basic_constraints, parse};
use super::signature::Signed;
use super::subject::CommonNameForm;
use super::validity::Validity;
use super::{der, strength};

/// A CA's certificate, checked for what webpki does not check: keyUsage, and everything about an anchor.
#[derive(Debug, Clone)]
pub struct Authority {
    der: Arc<CertificateDer<'static>>,
    name: Vec<u8>,
    issuer: Vec<u8>,
    key: Vec<u8>,
    subject: String,
    signs_crls: bool,
    path_length: Option<u32>,
    validity: Validity,
    common_name: Option<Arc<CommonNameForm>>,
}

impl Authority {
    /// Reads a certificate that has to be a CA's. The error is a phrase that follows "the certificate".
    pub(super) fn read(der: CertificateDer<'static>) -> Result<Self, &'static str> {
        const BROKEN: &str = "is not a well-formed X.509 certificate";
        const BROKEN_EXTENSION: &str = "has an extension that cannot be read";

        // webpki is the strict parser of the two; what it makes of the certificate is made again when needed.
        anchor_from_trusted_cert(&der).map_err(|_| BROKEN)?;
        let certificate = parse(&der).ok_or(BROKEN)?;
        let (is_ca, path_length) = basic_constraints(&certificate).map_err(|_| BROKEN_EXTENSION)?;
        if !is_ca {
            return Err("is not a CA's: basicConstraints lacks CA:TRUE");
        }
        let usage = certificate.key_usage().map_err(|_| BROKEN_EXTENSION)?;
        let usage = usage.ok_or("may not sign certificates: keyUsage is absent")?.value;
        if !usage.key_cert_sign() {
            return Err("may not sign certificates: keyUsage lacks keyCertSign");
        }
        let content = |whole| der::only(whole, der::SEQUENCE).map(<[u8]>::to_vec).ok_or(BROKEN);
        let key = content(certificate.public_key().raw)?;
        strength::of_key(&key).map_err(|_| "has a public key that is too weak, or of a kind not accepted")?;

        let (name, issuer) =
            (content(certificate.subject().as_raw())?, content(certificate.issuer().as_raw())?);
        let subject = certificate.subject().to_string();
        let (signs_crls, validity) = (usage.crl_sign(), Validity::of(certificate.validity()));
        let (common_name, der) = (None, Arc::new(der));
        Ok(Self { der, name, issuer, key, subject, signs_crls, path_length, validity, common_name })
    }

    /// With a form of its own for the common names below it.
    pub(super) fn with_common_name(self, common_name: Option<Arc<CommonNameForm>>) -> Self {
        Self { common_name, ..self }
    }

    /// Whether both are of the same CA, but ask for different forms.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        let is_same_form = match (&self.common_name, &other.common_name) {
            (Some(one), Some(another)) => one.is_same_as(another),
            (one, another) => one.is_none() && another.is_none(),
        };
        self.name == other.name && self.key == other.key && !is_same_form
    }

    /// The certificate.
    pub(super) fn der(&self) -> &Arc<CertificateDer<'static>> {
        &self.der
    }

    /// The subject, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether a revocation list (DER) bears its name and its signature.
    pub(super) fn has_signed(&self, list: &[u8]) -> bool {
        let named = CertificateRevocationList::from_der(list)
            .is_ok_and(|(_, list)| der::only(list.issuer().as_raw(), der::SEQUENCE) == Some(&self.name[..]));
        named && Signed::read(list).is_some_and(|signed| signed.is_by(&self.key))
    }

    /// From when until when it can vouch for anybody.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The content of the subject's Name.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The content of the SubjectPublicKeyInfo.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// SHA-256 of the whole SubjectPublicKeyInfo, in lower-case hexadecimal.
    pub(super) fn key_id(&self) -> String {
        // It was read before.
        parse(&self.der)
            .map(|certificate| super::issuer::key_id(certificate.public_key().raw))
            .unwrap_or_default()
    }

    pub(super) fn signs_crls(&self) -> bool {
        self.signs_crls
    }

    /// Whether so many further CAs may stand between this one and a leaf.
    pub(super) fn allows_below(&self, intermediates: usize) -> bool {
        self.path_length.is_none_or(|limit| u32::try_from(intermediates).is_ok_and(|count| count <= limit))
    }

    fn is_issuer_of(&self, other: &Self) -> bool {
        self.name == other.issuer && Signed::read(&other.der).is_some_and(|signed| signed.is_by(&self.key))
    }
}

/// The operator's authorities: never none.
///
/// An authority whose issuer is listed as well is an *intermediate*: it has to be vouched for by that issuer, so
/// its revocation, and its issuer's path length and name constraints, count. Any other authority is an *anchor*:
/// RFC 5280 6.1.1 lets any CA be one, self-signed or not, and nothing stands above it that could limit or revoke
/// it. An anchor is never looked up in a CRL; who no longer trusts it takes it out of the file.
#[derive(Debug)]
pub(super) struct Authorities {
    all: Vec<Authority>,
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Tells anchors from intermediates. `None` if there would be no anchor: no trust at all is never a trust.
    pub(super) fn new(mut all: Vec<Authority>) -> Option<Self> {
        let mut seen = Vec::new();
        all.retain(|authority| {
            let first = !seen.contains(&authority.der);
            seen.push(authority.der.clone());
            first
        });

        let mut anchors = Vec::new();
        let mut intermediates = Vec::new();
        for authority in &all {
            // One that bears its own key's signature is a root, even if a renewal of it (same name, same key)
            // stands beside it and could pass for its issuer.
            let vouched_for =
                all.iter().any(|other| other.key != authority.key && other.is_issuer_of(authority));
            if vouched_for && !authority.is_issuer_of(authority) {
                intermediates.push(CertificateDer::clone(&authority.der));
            } else if let Ok(anchor) = anchor_from_trusted_cert(&authority.der) {
                anchors.push(anchor.to_owned());
            }
        }
        (!anchors.is_empty()).then_some(Self { all, anchors, intermediates })
    }

    pub(super) fn all(&self) -> &[Authority] {
        &self.all
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    pub(super) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    /// The authorities of this name.
    pub(super) fn named<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a Authority> {
        self.all.iter().filter(move |authority| authority.name == name)
    }

    /// The form that the CA of this name and key has of its own.
    pub(super) fn common_name(&self, name: &[u8], key: &[u8]) -> Option<&CommonNameForm> {
        let mut same = self.named(name).filter(|authority| authority.key == key);
        same.find_map(|authority| authority.common_name.as_deref())
    }

    /// The authorities that are this anchor: several, if a root was renewed with the key it had.
    pub(super) fn behind<'a>(&'a self, anchor: &TrustAnchor<'_>) -> impl Iterator<Item = &'a Authority> {
        let key = anchor.subject_public_key_info.as_ref();
        self.named(anchor.subject.as_ref()).filter(move |authority| authority.key == key)
    }

    /// Whether any of them can vouch for somebody at `now`.
    pub(super) fn any_in_force(&self, now: Timestamp) -> bool {
        self.all.iter().any(|authority| authority.validity.contains(now))
    }
}
