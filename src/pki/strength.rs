//! Which public keys and signatures of a client certificate are strong enough. One closed list; the rest is weak.

use rustls::pki_types::alg_id;

use super::der;
use super::signature::Signed;
use crate::domain::{Reason, Refusal};

/// The shortest RSA modulus in bits.
const RSA_MIN_BITS: usize = 2048;
/// The longest: beyond it aws-lc refuses to verify, and checking one signature becomes a denial of service.
const RSA_MAX_BITS: usize = 8192;
/// The smallest public exponent of RSA (FIPS 186-5).
const RSA_MIN_EXPONENT: u64 = 65_537;
/// aws-lc verifies with exponents of at most 33 bits.
const RSA_MAX_EXPONENT: u64 = (1 << 33) - 1;

const BROKEN_KEY: Refusal = Refusal::new(Reason::Malformed, "the public key cannot be read");

/// Judges the content of a SubjectPublicKeyInfo.
///
/// The algorithm is compared whole, parameters included, with what rustls verifies signatures for: whatever passes
/// here can also prove its possession in a handshake.
pub(super) fn of_key(key: &[u8]) -> Result<(), Refusal> {
    let [kind, bits] = der::all(key).ok_or(BROKEN_KEY)?[..] else { return Err(BROKEN_KEY) };
    if kind.tag != der::SEQUENCE || bits.tag != der::BIT_STRING {
        return Err(BROKEN_KEY);
    }
    let bits = der::whole_bytes(bits.content).ok_or(BROKEN_KEY)?;
    match kind.content {
        rsa if rsa == alg_id::RSA_ENCRYPTION.as_ref() => of_rsa(bits),
        p256 if p256 == alg_id::ECDSA_P256.as_ref() => uncompressed_point(bits, 32),
        p384 if p384 == alg_id::ECDSA_P384.as_ref() => uncompressed_point(bits, 48),
        p521 if p521 == alg_id::ECDSA_P521.as_ref() => uncompressed_point(bits, 66),
        ed25519 if ed25519 == alg_id::ED25519.as_ref() => match bits.len() {
            32 => Ok(()),
            _ => Err(BROKEN_KEY),
        },
        _ => Err(Refusal::new(
            Reason::WeakKey,
            "the public key is neither RSA, nor ECDSA on P-256, P-384 or P-521, nor Ed25519",
        )),
    }
}

/// Judges the algorithm that a certificate was signed with.
pub(super) fn of_signature(certificate: &Signed<'_>) -> Result<(), Refusal> {
    if certificate.is_accepted() {
        Ok(())
    } else {
        Err(Refusal::new(Reason::WeakKey, "the certificate is signed with an algorithm that is not accepted"))
    }
}

fn of_rsa(bits: &[u8]) -> Result<(), Refusal> {
    let numbers = der::only(bits, der::SEQUENCE).and_then(der::all).ok_or(BROKEN_KEY)?;
    let [modulus, exponent] = numbers[..] else { return Err(BROKEN_KEY) };
    if [modulus.tag, exponent.tag] != [der::INTEGER; 2] {
        return Err(BROKEN_KEY);
    }
    let modulus = der::unsigned(modulus.content).ok_or(BROKEN_KEY)?;
    let exponent = der::unsigned(exponent.content).ok_or(BROKEN_KEY)?;

    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let length = (modulus.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0));
    if length < RSA_MIN_BITS {
        return Err(Refusal::new(Reason::WeakKey, "the RSA key is shorter than 2048 bits"));
    }
    if length > RSA_MAX_BITS {
        return Err(Refusal::new(Reason::WeakKey, "the RSA key is longer than 8192 bits"));
    }
    let exponent = (exponent.len() <= 8)
        .then(|| exponent.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
        .filter(|value| (RSA_MIN_EXPONENT..=RSA_MAX_EXPONENT).contains(value) && value % 2 == 1);
    match exponent {
        Some(_) => Ok(()),
        None => Err(Refusal::new(
            Reason::WeakKey,
            "the RSA key's public exponent is too small, too large or even",
        )),
    }
}

fn uncompressed_point(bits: &[u8], coordinate: usize) -> Result<(), Refusal> {
    match bits {
        [4, point @ ..] if point.len() == 2 * coordinate => Ok(()),
        _ => Err(Refusal::new(Reason::Malformed, "the public key is not an uncompressed point of its curve")),
    }
}
