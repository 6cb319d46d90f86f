//! The keys that sign what backends are told (ES256), and the set of their public halves (JWKS, RFC 7517).

use std::fmt;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::pem::{FileError, secret};

/// A P-256 key that signs.
pub struct AssertionKey {
    pair: EcdsaKeyPair,
    id: String,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AssertionKey {
    /// A new key, as the text of its file.
    pub fn generate() -> Result<Zeroizing<String>, String> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        Ok(Zeroizing::new(pair.serialize_pem()))
    }

    /// Reads a key's file, which nobody else may read or write; its group may read it.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let text = secret(file)?;
        let der = ::pem::parse(text.as_bytes()).ok().filter(|pem| pem.tag() == "PRIVATE KEY");
        let der = der.map(|pem| Zeroizing::new(pem.into_contents()));
        let pair = der.and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok());
        // The error says nothing that the key holds, nor anything that helps.
        let none = "this is no P-256 key as PKCS#8 in PEM (`sekisho assertion key` makes one)";
        pair.map(Self::new).ok_or_else(|| FileError::new(file, none))
    }

    fn new(pair: EcdsaKeyPair) -> Self {
        let [x, y] = coordinates(&pair);
        // RFC 7638: these members, in this order, without white space.
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Self { pair, id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(members)) }
    }

    /// What it is called in headers and in the set: its thumbprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature in the form that JWS has: two numbers of 32 bytes. `None` if the system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let signature = self.pair.sign(&SystemRandom::new(), message).ok()?;
        signature.as_ref().try_into().ok()
    }

    fn public(&self) -> Value {
        let [x, y] = coordinates(&self.pair);
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id, "alg": "ES256", "use": "sig" })
    }
}

/// The set of public keys, in JSON.
pub fn key_set<'a>(keys: impl IntoIterator<Item = &'a AssertionKey>) -> String {
    let keys: Vec<Value> = keys.into_iter().map(AssertionKey::public).collect();
    json!({ "keys": keys }).to_string()
}

/// The public point, which comes uncompressed: 4, x, y.
fn coordinates(pair: &EcdsaKeyPair) -> [String; 2] {
    let point = pair.public_key().as_ref();
    [1, 33].map(|start| BASE64_URL_SAFE_NO_PAD.encode(point.get(start..start + 32).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::pki::testing::Folder;

    fn read(text: &str, mode: u32) -> Result<AssertionKey, String> {
        let folder = Folder::new();
        let file = folder.file("key", text);
        set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        AssertionKey::read(&file).map_err(|error| error.problem)
    }

    /// The example of RFC 7517, appendix A.2, as PKCS#8.
    const KNOWN: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg870MB6gfuTJ4HtUn
UvYMyJpr5eUZNP4Bk43bVdj3eAGhRANCAAQwoEJM0hwpRIOKLXXJKzfnbqINnwCJ
OjtO7oo8Cq/sPuBLZekkVtmIi1Kzeb371R7oae8fD8ZbZllpW2zOCBcj
-----END PRIVATE KEY-----
";

    #[test]
    fn a_keys_name_is_its_thumbprint() {
        let key = read(KNOWN, 0o600).unwrap();
        let expected = json!({ "keys": [{
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "kid": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
            "alg": "ES256",
            "use": "sig",
        }] });
        assert_eq!(key_set([&key]), expected.to_string());
        assert_eq!(key.id(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }

    #[test]
    fn a_new_key_is_read_again_and_shows_itself_nowhere() {
        let text = AssertionKey::generate().unwrap();
        let key = read(&text, 0o640).unwrap();
        assert_eq!(format!("{key:?}"), format!("AssertionKey {{ id: \"{}\", .. }}", key.id()));
        assert_ne!(key.sign(b"a").unwrap(), key.sign(b"a").unwrap());
    }

    #[test]
    fn what_is_no_key_of_ours_or_anybodys_to_read_is_refused() {
        let none = "this is no P-256 key as PKCS#8 in PEM (`sekisho assertion key` makes one)";
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for text in [other.as_str(), "x", &KNOWN.replace("PRIVATE KEY", "EC PRIVATE KEY")] {
            assert_eq!(read(text, 0o600).unwrap_err(), none);
        }
        for mode in [0o604, 0o660, 0o644] {
            let told = format!("others may read or write it (mode {mode:o}): `chmod 600` ends that");
            assert_eq!(read(KNOWN, mode).unwrap_err(), told);
        }
    }
}
