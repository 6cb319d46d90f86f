//! A certificate with its key: written as PEM and PKCS#12, and read back to see whether the files belong together.

use std::path::Path;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::pkcs12;

use super::{Error, FileStem, Issued, Password, Serial, files};

/// A certificate that was just issued, with the only copy of its key.
pub struct Credential {
    issued: Issued,
    certificate: rcgen::Certificate,
    key: KeyPair,
    authority: CertificateDer<'static>,
}

impl Credential {
    pub(super) const fn new(
        issued: Issued,
        certificate: rcgen::Certificate,
        key: KeyPair,
        authority: CertificateDer<'static>,
    ) -> Self {
        Self { issued, certificate, key, authority }
    }

    /// What the index remembers of it.
    pub const fn issued(&self) -> &Issued {
        &self.issued
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// Key, certificate and CA as a PKCS#12 file: PBES2 with AES-256-CBC, HMAC-SHA-256. Windows 10 1709 and later,
    /// macOS, OpenSSL, NSS and Java read it.
    pub fn pkcs12(&self, password: &Password) -> Result<Vec<u8>, Error> {
        let chain = [self.certificate().as_ref(), self.authority.as_ref()];
        pkcs12::pack(self.key.serialized_der(), &chain, &self.issued.subject, password.reveal(), false)
            .map_err(Error::Crypto)
    }

    /// Writes `NAME.key` and `NAME.pem` (the certificate alone: its CA is what the other side trusts), and with a
    /// password also `NAME.p12`.
    pub fn write(&self, folder: &Path, name: &FileStem, password: Option<&Password>) -> Result<(), Error> {
        files::create_folder(folder)?;
        let path = |ending| folder.join(format!("{name}.{ending}"));
        files::write_secret(&path("key"), self.key.serialize_pem().as_bytes())?;
        files::write_public(&path("pem"), self.certificate.pem().as_bytes())?;
        if let Some(password) = password {
            files::write_secret(&path("p12"), &self.pkcs12(password)?)?;
        }
        Ok(())
    }
}

/// The serial number of the certificate in a PEM file.
pub fn stored_serial(path: &Path) -> Result<Serial, Error> {
    serial(path, &read_certificate(path)?)
}

/// The serial number of a stored certificate whose files belong together: the key is the certificate's, and so is
/// what the PKCS#12 file holds, if a password for it is given.
pub fn read_whole(folder: &Path, name: &FileStem, password: Option<&Password>) -> Result<Serial, Error> {
    let path = |ending| folder.join(format!("{name}.{ending}"));
    let (certificate, key) = read_pair(&path("pem"), &path("key"))?;
    if let Some(password) = password {
        let path = path("p12");
        let broken = |why: String| Error::Broken { path: path.clone(), why };
        let bytes =
            std::fs::read(&path).map_err(|source| Error::Io { doing: "read", path: path.clone(), source })?;
        let store = KeyStore::from_pkcs12(&bytes, password.reveal(), Pkcs12ImportPolicy::Strict)
            .map_err(|error| broken(error.to_string()))?;
        let same = store.private_key_chain().is_some_and(|(_, chain)| {
            chain.key().as_der() == key.serialized_der()
                && chain.certs().first().is_some_and(|first| first.as_der() == certificate.as_ref())
        });
        if !same {
            return Err(broken("it holds another certificate than its neighbours".to_owned()));
        }
    }
    serial(&path("pem"), &certificate)
}

/// Reads a certificate and its key, and checks that it is its key.
pub(super) fn read_pair(
    certificate_path: &Path,
    key_path: &Path,
) -> Result<(CertificateDer<'static>, KeyPair), Error> {
    let broken = |path: &Path, why: &str| Error::Broken { path: path.to_owned(), why: why.to_owned() };
    let certificate = read_certificate(certificate_path)?;
    let key = KeyPair::from_pem(&files::read(key_path)?)
        .map_err(|error| broken(key_path, &format!("not a private key: {error}")))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
        .map_err(|_| broken(certificate_path, "not an X.509 certificate"))?;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(broken(key_path, &format!("it is not the key of {}", certificate_path.display())));
    }
    Ok((certificate, key))
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(files::read(path)?.as_bytes())
        .map_err(|_| Error::Broken { path: path.to_owned(), why: "no certificate in PEM".to_owned() })
}

fn serial(path: &Path, certificate: &[u8]) -> Result<Serial, Error> {
    let broken = |why: &str| Error::Broken { path: path.to_owned(), why: why.to_owned() };
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| broken("not an X.509 certificate"))?;
    Serial::from_bytes(parsed.raw_serial()).ok_or_else(|| broken("its serial number is not positive"))
}
