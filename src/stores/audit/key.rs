//! What signs the audit log, and what its signatures are checked with: Ed25519.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use rustls::pki_types::alg_id;
use zeroize::Zeroizing;

use super::chain::{Link, hex};

/// SubjectPublicKeyInfo of Ed25519, up to the key's 32 bytes (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What signs the log.
pub struct AuditKey(KeyPair);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey")
    }
}

impl AuditKey {
    /// A new key, as the text of its file.
    pub fn generate() -> Result<Zeroizing<String>, String> {
        let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| error.to_string())?;
        Ok(Zeroizing::new(pair.serialize_pem()))
    }

    /// Reads a key's file, which nobody else may read or write; its group may read it, as Kubernetes mounts secrets.
    pub fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{name}: there is no such file (`sekisho audit key` makes one)")
            }
            _ => format!("{name}: {error}"),
        })?;
        let mode = fs::metadata(file).map_err(|error| format!("{name}: {error}"))?.permissions().mode();
        if mode & 0o027 != 0 {
            return Err(format!("{name}: others may read or change it: chmod 600"));
        }
        match KeyPair::from_pem(&text) {
            Ok(pair) if pair.algorithm() == &PKCS_ED25519 => Ok(Self(pair)),
            // The error says nothing that the key holds, nor anything that helps.
            _ => Err(format!("{name}: this is no Ed25519 key in PEM (`sekisho audit key` makes one)")),
        }
    }

    /// The half that is no secret.
    pub fn public(&self) -> AuditPublicKey {
        AuditPublicKey(self.0.der_bytes().to_vec())
    }

    /// The half that is no secret, as the text of a file.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    pub(super) fn sign(&self, link: &Link) -> io::Result<String> {
        self.0.sign(message(link).as_bytes()).map(|signature| hex(&signature)).map_err(io::Error::other)
    }
}

/// What signatures are checked with.
#[derive(Debug, Clone)]
pub struct AuditPublicKey(Vec<u8>);

impl AuditPublicKey {
    /// Reads a file that `sekisho audit key --public` printed.
    pub fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text = fs::read(file).map_err(|error| format!("{name}: {error}"))?;
        let der =
            pem::parse(text).ok().filter(|pem| pem.tag() == "PUBLIC KEY").map(|pem| pem.into_contents());
        match der.as_deref().and_then(|der| der.strip_prefix(&SPKI)) {
            Some(key) if key.len() == 32 => Ok(Self(key.to_vec())),
            _ => Err(format!("{name}: this is no public Ed25519 key in PEM")),
        }
    }

    pub(super) fn has_signed(&self, link: &Link, signature: &str) -> bool {
        let algorithm = webpki::aws_lc_rs::ED25519;
        debug_assert_eq!(algorithm.signature_alg_id(), alg_id::ED25519);
        let Some(bytes) = unhex(signature) else { return false };
        algorithm.verify_signature(&self.0, message(link).as_bytes(), &bytes).is_ok()
    }
}

/// What is signed. It begins with what no other use of a key would.
fn message(link: &Link) -> String {
    format!("sekisho audit log\n{}\n{}\n", link.seq, link.hash)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) || !bytes.len().is_multiple_of(2) {
        return None;
    }
    (0..bytes.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}
