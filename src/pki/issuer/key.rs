//! The CA's private key: in a file, encrypted or not, or in an HSM.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode;
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::super::pem as files;
use super::hsm::Hsm;
use super::{IssuerError, IssuerKeySource, IssuerPart};

/// The CA's private key.
pub(super) enum IssuerKey {
    File(Box<KeyPair>),
    Hsm(Box<Hsm>),
}

impl IssuerKey {
    /// Opens it. `public_key` is the SubjectPublicKeyInfo of the CA's certificate, as far as that could be read.
    pub(super) fn open(source: &IssuerKeySource, public_key: Option<&[u8]>) -> Result<Self, IssuerError> {
        match source {
            IssuerKeySource::File { key, passphrase } => {
                read(key, passphrase.as_deref()).map(|key| Self::File(Box::new(key)))
            }
            IssuerKeySource::Pkcs11 { module, token, label, pin } => {
                let blame = |message| IssuerError { part: IssuerPart::Pkcs11, message };
                let pin = secret(pin).map_err(blame)?;
                let public_key = public_key.unwrap_or_default();
                Hsm::open(module, token, label, pin, public_key)
                    .map(|hsm| Self::Hsm(Box::new(hsm)))
                    .map_err(|problem| blame(format!("{}: {problem}", module.display())))
            }
        }
    }

    /// What went wrong when it was last asked to sign.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Hsm(hsm) => hsm.trouble(),
        }
    }
}

impl PublicKeyData for IssuerKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::File(key) => key.der_bytes(),
            Self::Hsm(hsm) => hsm.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::File(key) => key.algorithm(),
            Self::Hsm(hsm) => hsm.algorithm(),
        }
    }
}

impl SigningKey for IssuerKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::File(key) => key.sign(message),
            Self::Hsm(hsm) => hsm.sign(message),
        }
    }
}

fn read(file: &Path, passphrase: Option<&Path>) -> Result<KeyPair, IssuerError> {
    let blame = |problem: String| IssuerError {
        part: IssuerPart::Key,
        message: format!("{}: {problem}", file.display()),
    };
    let text = files::secret(file)
        .map_err(|error| IssuerError { part: IssuerPart::Key, message: error.to_string() })?;
    let parsed = pem::parse(text.as_bytes()).map_err(|_| blame("it is not in PEM".to_owned()))?;
    let tag = parsed.tag().to_owned();
    let der = Zeroizing::new(parsed.into_contents());
    let der = match (tag.as_str(), passphrase) {
        ("PRIVATE KEY", None) => der,
        ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => {
            let wrong = |problem: String| IssuerError { part: IssuerPart::Passphrase, message: problem };
            let passphrase_text = secret(passphrase).map_err(wrong)?;
            let key = EncryptedPrivateKeyInfoRef::from_der(&der)
                .map_err(|_| blame("it is broken, or not encrypted with PBES2".to_owned()))?;
            let key = key.decrypt(passphrase_text.as_bytes()).map_err(|_| {
                wrong(format!("{}: it does not open {}", passphrase.display(), file.display()))
            })?;
            Zeroizing::new(key.as_bytes().to_vec())
        }
        ("PRIVATE KEY", Some(_)) => {
            return Err(blame("it is not encrypted, so it needs no `passphrase_file`".to_owned()));
        }
        ("ENCRYPTED PRIVATE KEY", None) => {
            return Err(blame("it is encrypted: `passphrase_file` is missing".to_owned()));
        }
        _ => return Err(blame(format!("it holds `{tag}`, expected a private key as PKCS#8"))),
    };
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_slice()))
        .map_err(|_| blame("the key is broken, or of a kind that isn't used for signing here".to_owned()))
}

/// A secret by itself in a file; the line end that editors leave behind isn't part of it.
fn secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = files::secret(file).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
