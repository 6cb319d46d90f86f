//! How a ticket secret lies in the state: what all may know of it in plain, and the secret itself sealed under a key that
//! comes from a file and never is in the state.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::SharedTicketSecret;
use crate::stores::StoredTicketSecret;

/// What the key is for. A secret file that serves something else as well makes other keys there.
const SALT: &[u8] = b"sekisho ticket secrets in the state";
/// What a record begins with. Another form of it has another number, and is passed over by those who don't know it.
const FORM: &str = "1";
/// Bytes of a ticket secret.
pub(super) const SECRET: usize = 32;
/// Bytes that tell one secret file's key from another's.
const NAME: usize = 16;

/// The key that ticket secrets are sealed with in the state. Cloning shares it.
#[derive(Clone)]
pub struct TicketSecretKey(Arc<Key>);

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl TicketSecretKey {
    /// The key that these bytes make. `None` if the library refuses.
    pub fn new(secret_file: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; NAME + 32]);
        let extracted = Salt::new(HKDF_SHA256, SALT).extract(secret_file);
        extracted.expand(&[FORM.as_bytes()], Length(NAME + 32)).ok()?.fill(&mut bytes[..]).ok()?;
        let (name, key) = bytes.split_first_chunk::<NAME>()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?);
        Some(Self(Arc::new(Key { name: *name, key })))
    }

    /// Whether both come from the same bytes.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }

    /// The form for the state: `1 FROM UNTIL LIFETIME BASE64`.
    pub(super) fn seal(&self, secret: &SharedTicketSecret) -> Option<StoredTicketSecret> {
        let said = said(secret);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = secret.bytes.to_vec();
        let once = Nonce::assume_unique_for_key(nonce);
        // In place: the plain bytes are gone afterwards.
        self.0.key.seal_in_place_append_tag(once, Aad::from(bound(&secret.id, &said)), &mut sealed).ok()?;
        let sealed = BASE64_STANDARD.encode([&nonce[..], &sealed].concat());
        Some(StoredTicketSecret { id: secret.id.clone(), sealed: format!("{FORM} {said} {sealed}") })
    }

    /// The secret, if it was sealed with this key as it is, under its ID and for its times.
    pub(super) fn open(&self, stored: &StoredTicketSecret) -> Option<SharedTicketSecret> {
        let words: Vec<&str> = stored.sealed.split(' ').collect();
        let [FORM, seals_from, seals_until, lifetime, sealed] = words[..] else { return None };
        let mut secret = SharedTicketSecret {
            id: stored.id.clone(),
            bytes: Arc::default(),
            seals_from: seals_from.parse().ok()?,
            seals_until: seals_until.parse().ok()?,
            lifetime: lifetime.parse().ok()?,
        };
        let sealed = BASE64_STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        // With room from the start, and wiped with everything that it held.
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(bound(&secret.id, &said(&secret)));
        let once = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.key.open_in_place(once, aad, &mut bytes).ok()?;
        (plain.len() == SECRET).then_some(())?;
        bytes.truncate(SECRET);
        secret.bytes = Arc::new(bytes);
        Some(secret)
    }
}

/// The times in plain.
fn said(secret: &SharedTicketSecret) -> String {
    format!("{} {} {}", secret.seals_from, secret.seals_until, secret.lifetime)
}

/// What the seal holds together with the secret.
fn bound(id: &str, said: &str) -> Vec<u8> {
    format!("{FORM} {id} {said}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TicketSecretKey {
        TicketSecretKey::new(&[byte; 32]).unwrap()
    }

    fn secret() -> SharedTicketSecret {
        SharedTicketSecret {
            id: "0a1b".to_owned(),
            bytes: Arc::new(Zeroizing::new(vec![7; SECRET])),
            seals_from: 1_800_000_000,
            seals_until: 1_800_057_600,
            lifetime: 43_200,
        }
    }

    #[test]
    fn a_secret_is_opened_as_it_was_sealed_and_by_nobody_without_the_file() {
        let stored = key(1).seal(&secret()).unwrap();
        assert!(stored.sealed.starts_with("1 1800000000 1800057600 43200 "), "{stored:?}");
        assert_eq!(key(1).open(&stored), Some(secret()));
        assert_eq!(key(2).open(&stored), None);
        assert!(key(1).is(&key(1)) && !key(1).is(&key(2)));
        assert_ne!(key(1).seal(&secret()), Some(stored), "each time with another nonce");
        assert!(!format!("{:?}", secret()).contains("bytes"));
    }

    #[test]
    fn no_part_of_a_record_can_be_changed() {
        let stored = key(1).seal(&secret()).unwrap();
        for at in 0..stored.sealed.len() {
            let mut sealed = stored.sealed.clone().into_bytes();
            sealed[at] = if sealed[at] == b'1' { b'2' } else { b'1' };
            let tampered =
                StoredTicketSecret { sealed: String::from_utf8(sealed).unwrap(), ..stored.clone() };
            assert_eq!(key(1).open(&tampered), None, "{tampered:?}");
            let cut = StoredTicketSecret { sealed: stored.sealed[..at].to_owned(), ..stored.clone() };
            assert_eq!(key(1).open(&cut), None, "{cut:?}");
        }
        let renamed = StoredTicketSecret { id: "0a1c".to_owned(), ..stored };
        assert_eq!(key(1).open(&renamed), None);
    }
}
