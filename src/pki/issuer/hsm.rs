//! A key in an HSM, through PKCS#11. It is asked one thing at a time: a CA signs seldom.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};
use sha2::{Digest, Sha256, Sha384};
use zeroize::Zeroizing;

/// A key in an HSM.
pub(super) struct Hsm {
    module: PathBuf,
    token: String,
    label: String,
    pin: Zeroizing<String>,
    /// The public key of the CA's certificate: the HSM need not give out its own.
    public_key: SubjectPublicKeyInfo,
    open: Mutex<Option<Open>>,
    trouble: Mutex<Option<String>>,
    /// Whether the token has refused the PIN.
    is_locked_out: AtomicBool,
}

/// A session in which somebody has signed in, with the key that was found.
struct Open {
    session: Session,
    key: ObjectHandle,
    // Unloads the library when it is dropped; after the session.
    _library: Pkcs11,
}

impl Hsm {
    pub(super) fn open(
        module: &Path,
        token: &str,
        label: &str,
        pin: Zeroizing<String>,
        public_key: &[u8],
    ) -> Result<Self, String> {
        let public_key = SubjectPublicKeyInfo::from_der(public_key)
            .map_err(|_| "the CA's public key is neither RSA nor ECDSA on P-256 or P-384".to_owned())?;
        let hsm = Self {
            module: module.to_owned(),
            token: token.to_owned(),
            label: label.to_owned(),
            pin,
            public_key,
            open: Mutex::default(),
            trouble: Mutex::default(),
            is_locked_out: AtomicBool::new(false),
        };
        let open = hsm.connect()?;
        *hsm.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(hsm)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connect(&self) -> Result<Open, String> {
        if self.is_locked_out.load(Ordering::Relaxed) {
            return Err(format!(
                "the PIN for the token `{}` was refused; a reload reads it anew",
                self.token
            ));
        }
        let library = Pkcs11::new(&self.module).map_err(|error| describe(&error))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another issuer of this process has the library open.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(describe(&error)),
        }
        let slots = library.get_slots_with_token().map_err(|error| describe(&error))?;
        let slot = slots.into_iter().find(|slot| {
            library.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == self.token)
        });
        let slot = slot.ok_or_else(|| format!("there is no token `{}`", self.token))?;
        let session = library.open_ro_session(slot).map_err(|error| describe(&error))?;
        let pin = AuthPin::new(self.pin.as_str().into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLocked | RvError::PinExpired, _)) => {
                // Every further try counts, and in the end the token locks itself: none before the PIN is read anew.
                self.is_locked_out.store(true, Ordering::Relaxed);
                return Err(format!("the PIN for the token `{}` is wrong", self.token));
            }
            Err(error) => return Err(describe(&error)),
        }
        let wanted =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(self.label.as_bytes().to_vec())];
        let found = session.find_objects(&wanted).map_err(|error| describe(&error))?;
        let key = match found[..] {
            [key] => key,
            [] => return Err(format!("the token `{}` has no private key `{}`", self.token, self.label)),
            _ => {
                return Err(format!("the token `{}` has several private keys `{}`", self.token, self.label));
            }
        };
        Ok(Open { session, key, _library: library })
    }

    /// Signs, and signs in once more if the session was lost.
    fn ask(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*open
            && let Ok(signature) = self.sign_in(open, message)
        {
            return Ok(signature);
        }
        *open = None;
        let anew = self.connect()?;
        let signature = self.sign_in(&anew, message).map_err(|error| describe(&error))?;
        *open = Some(anew);
        Ok(signature)
    }

    fn sign_in(&self, open: &Open, message: &[u8]) -> Result<Vec<u8>, Error> {
        let Open { session, key, .. } = open;
        let algorithm = self.public_key.algorithm();
        if *algorithm == rcgen::PKCS_RSA_SHA256 {
            session.sign(&Mechanism::Sha256RsaPkcs, *key, message)
        } else if *algorithm == rcgen::PKCS_ECDSA_P384_SHA384 {
            Ok(asn1(&session.sign(&Mechanism::Ecdsa, *key, &Sha384::digest(message))?))
        } else {
            Ok(asn1(&session.sign(&Mechanism::Ecdsa, *key, &Sha256::digest(message))?))
        }
    }
}

impl PublicKeyData for Hsm {
    fn der_bytes(&self) -> &[u8] {
        self.public_key.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public_key.algorithm()
    }
}

impl SigningKey for Hsm {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let asked = self.ask(message);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = asked.as_ref().err().cloned();
        asked.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn describe(error: &Error) -> String {
    format!("the HSM says: {error}")
}

/// From PKCS#11's two halves to the SEQUENCE of two INTEGERs that certificates hold (RFC 3279, section 2.2.3).
fn asn1(halves: &[u8]) -> Vec<u8> {
    let (r, s) = halves.split_at(halves.len() / 2);
    let content = [integer(r), integer(s)].concat();
    // At most 2 * (2 + 49) octets with P-384: one octet of length is enough.
    [&[0x30, u8::try_from(content.len()).unwrap_or(u8::MAX)][..], &content].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let digits = &bytes[start..];
    let sign: &[u8] = if digits.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    let length = u8::try_from(sign.len() + digits.len()).unwrap_or(u8::MAX);
    [&[0x02, length][..], sign, digits].concat()
}

#[cfg(test)]
mod tests {
    use super::asn1;

    #[test]
    fn halves_become_positive_integers_without_leading_zeros() {
        assert_eq!(asn1(&[0, 1, 0x80, 0]), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0]);
        assert_eq!(asn1(&[0, 0, 0x7f, 1]), [0x30, 7, 2, 1, 0, 2, 2, 0x7f, 1]);
    }
}
