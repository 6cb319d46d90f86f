//! Who signed what: the one list of signature algorithms that are accepted in certificates and CRLs.

use rustls::pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;

use super::der;

/// Every pair of key and digest that a signature in a path or on a CRL may use. No SHA-1 and no MD5: webpki has
/// neither. The RSA ones ask for 2048 to 8192 bits themselves.
pub(super) static ACCEPTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// A certificate or CRL, seen as something that was signed.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes the outermost SEQUENCE apart.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let [message, algorithm, signature] = der::all(der::only(der, der::SEQUENCE)?)?[..] else {
            return None;
        };
        let tags = [message.tag, algorithm.tag, signature.tag];
        if tags != [der::SEQUENCE, der::SEQUENCE, der::BIT_STRING] {
            return None;
        }
        let signature = der::whole_bytes(signature.content)?;
        Some(Self { message: message.whole, algorithm: algorithm.content, signature })
    }

    /// What stands with its signature among other things.
    pub(super) fn of(message: &'a [u8], algorithm: &'a [u8], signature: &'a [u8]) -> Self {
        Self { message, algorithm, signature }
    }

    /// Whether the signature's algorithm is one of the accepted ones.
    pub(super) fn is_accepted(&self) -> bool {
        ACCEPTED.iter().any(|accepted| accepted.signature_alg_id().as_ref() == self.algorithm)
    }

    /// Whether `key` made the signature. The key is the content of a SubjectPublicKeyInfo.
    pub(super) fn is_by(&self, key: &[u8]) -> bool {
        let Some([kind, bits]) = der::all(key).as_deref().and_then(|parts| parts.first_chunk().copied())
        else {
            return false;
        };
        let Some(key) = der::whole_bytes(bits.content) else { return false };
        ACCEPTED
            .iter()
            .filter(|accepted| accepted.signature_alg_id().as_ref() == self.algorithm)
            .filter(|accepted| accepted.public_key_alg_id().as_ref() == kind.content)
            .any(|accepted| accepted.verify_signature(key, self.message, self.signature).is_ok())
    }
}
