//! What webpki finds wrong with a path → our reason, with a fixed phrase. One table.

use jiff::Timestamp;
use webpki::Error;

use super::certificate::Leaf;
use crate::domain::{Reason, Refusal};

/// The refusal that an error of the path search stands for.
pub(super) fn of_path_error(error: &Error, leaf: &Leaf, now: Timestamp) -> Refusal {
    let itself = !leaf.validity().contains(now);
    let (reason, detail) = match error {
        Error::CertExpired { .. } if itself => (Reason::Expired, "the certificate is past its notAfter"),
        Error::CertExpired { .. } => (Reason::Expired, "a CA's certificate of the path is past its notAfter"),
        Error::CertNotValidYet { .. } if itself => {
            (Reason::NotYetValid, "the certificate is before its notBefore")
        }
        Error::CertNotValidYet { .. } => {
            (Reason::NotYetValid, "a CA's certificate of the path is before its notBefore")
        }
        Error::CertRevoked => (Reason::Revoked, "a CRL names a certificate of the path"),
        Error::UnknownRevocationStatus => {
            (Reason::RevocationUnknown, "there is no CRL of an issuer in the path")
        }
        Error::CrlExpired { .. } => {
            (Reason::RevocationUnknown, "the CRL of an issuer in the path is past its nextUpdate")
        }

        Error::CaUsedAsEndEntity => (Reason::WrongUsage, "the certificate is a CA's"),
        Error::EndEntityUsedAsCa => {
            (Reason::WrongUsage, "an issuer in the path is no CA, or its keyUsage lacks keyCertSign")
        }
        Error::PathLenConstraintViolated => {
            (Reason::WrongUsage, "the path is longer than a CA's path length allows")
        }
        Error::NameConstraintViolation => {
            (Reason::WrongUsage, "a CA's name constraints do not allow the name")
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            (Reason::WrongUsage, "the extendedKeyUsage of a certificate of the path lacks clientAuth")
        }

        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            (Reason::WeakKey, "a certificate of the path is signed with an algorithm that is not accepted")
        }

        Error::UnknownIssuer | Error::CertDistrusted => {
            (Reason::UnknownAuthority, "no path leads to one of the authorities")
        }
        Error::InvalidSignatureForPublicKey => {
            (Reason::UnknownAuthority, "a certificate of the path does not bear its issuer's signature")
        }

        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => {
            (Reason::Malformed, "the chain is too intricate to be checked")
        }
        Error::InvalidCertValidity => (Reason::Malformed, "a certificate's notAfter is before its notBefore"),
        Error::UnsupportedCriticalExtension => {
            (Reason::Malformed, "a critical extension of a certificate of the path is not understood")
        }
        // webpki's errors are not exhaustive. Whatever else there is is about bytes that it could not make sense of.
        _ => (Reason::Malformed, "a certificate of the path cannot be read"),
    };
    Refusal::new(reason, detail)
}
