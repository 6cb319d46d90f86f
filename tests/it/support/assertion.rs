//! What a backend makes of an assertion, and what a forger would like it to make of one.

use std::net::SocketAddr;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sekisho::pki::AssertionKey;
use serde_json::{Value, json};

use super::client::plain_get;

/// YAML of a gate that signs: with the key `now.pem` of its folder.
pub const YAML: &str = "assertion: { issuer: 'https://gate.example', keys: [now.pem] }";
/// An upstream that is told so.
pub const UPSTREAM: &str = "identity: { assertion: true }";
/// Who that gate says that it is.
pub const ISSUER: &str = "https://gate.example";

/// The set of keys that a gate publishes.
pub fn key_set(ops: SocketAddr) -> Value {
    let (status, body) = plain_get(ops, "/.well-known/jwks.json");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Header and claims of an assertion that some key of the set has signed.
#[track_caller]
pub fn opened(assertion: &str, key_set: &Value) -> (Value, Value) {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{assertion}") };
    let bytes = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).unwrap();
    let head = json(header);
    let keys = key_set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == head["kid"]).unwrap_or_else(|| panic!("{head} {key_set}"));
    let point = ["x", "y"].map(|name| bytes(key[name].as_str().unwrap())).concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], &point].concat())
        .verify(format!("{header}.{claims}").as_bytes(), &bytes(signature))
        .expect("a good signature");
    (head, json(claims))
}

/// Somebody who has a gate's key, or a key of their own.
pub struct Forger(AssertionKey);

impl Forger {
    /// With the key of this file.
    pub fn with(key: &Path) -> Self {
        Self(AssertionKey::read(key).unwrap())
    }

    /// The header that a gate writes.
    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "sekisho-assertion+jwt", "kid": self.0.id() })
    }

    /// Signs anything.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
