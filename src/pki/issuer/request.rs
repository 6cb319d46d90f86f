//! A request for a certificate (PKCS#10, RFC 2986): the public key in it, once it is proven and strong enough. Nothing
//! else is taken from it.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::super::signature::Signed;
use super::super::{der, strength};

/// The fewest bits of an RSA key.
const RSA_BITS: usize = 3072;
/// The bits of a point on P-256 and P-384, as x509-parser counts them.
const CURVES: [usize; 2] = [256, 384];

/// The key of a request, or what is wrong with it.
pub(super) fn key_of(request: &[u8]) -> Result<SubjectPublicKeyInfo, &'static str> {
    const BROKEN: &str = "it is no PKCS#10 request";
    let Ok(([], parsed)) = X509CertificationRequest::from_der(request) else { return Err(BROKEN) };
    let public_key = &parsed.certification_request_info.subject_pki;
    let content = der::only(public_key.raw, der::SEQUENCE).ok_or(BROKEN)?;
    let strong = match public_key.parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() >= RSA_BITS,
        Ok(PublicKey::EC(point)) => CURVES.contains(&point.key_size()),
        _ => false,
    };
    if !strong || strength::of_key(content).is_err() {
        return Err("its key is neither ECDSA on P-256 or P-384 nor RSA of 3072 bits or more");
    }
    if !Signed::read(request).is_some_and(|signed| signed.is_by(content)) {
        return Err("its signature is not that of its key");
    }
    SubjectPublicKeyInfo::from_der(public_key.raw).map_err(|_| BROKEN)
}
