//! PKCS#12 (RFC 7292): a key with its chain in a file, under a password.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain,
};
use sha2::{Digest, Sha256};

/// Iterations of the key derivation for a password of the file's own. The passwords here are random; more of them would
/// only slow importers down.
const ITERATIONS: u32 = 10_000;

/// Packs a key (PKCS#8, DER) and its chain (DER, the key's own certificate first) under a password: PBES2 with
/// AES-256-CBC and a MAC with SHA-256, which Windows 10 1709 and later, macOS, OpenSSL, NSS, GnuTLS and Java read; or with
/// `legacy` Triple DES and SHA-1, for systems before that.
pub(crate) fn pack(
    key: &[u8],
    chain: &[&[u8]],
    label: &str,
    password: &str,
    legacy: bool,
) -> Result<Vec<u8>, String> {
    let failed = |error: p12_keystore::error::Error| format!("PKCS#12: {error}");
    let key = PrivateKey::from_der(key).map_err(failed)?;
    // Any bytes that say which certificate is the key's; readers show them as a fingerprint of 20 octets.
    let id = Sha256::digest(chain.first().copied().unwrap_or_default())[..20].to_vec();
    let chain = chain
        .iter()
        .map(|certificate| Certificate::from_der(certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let mut store = KeyStore::new();
    store.add_entry(label, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id, key, chain)));
    let (encryption, mac) = if legacy {
        (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1)
    } else {
        (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256)
    };
    store
        .writer(password)
        .encryption_algorithm(encryption)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(mac)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(failed)
}
