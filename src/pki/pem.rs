//! Certificates, keys and revocation lists out of files. Every error names the file and says what is wrong with it;
//! what the things mean is looked at elsewhere.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// What nobody but the owner, and at most the group's readers, may do with a secret's file.
const FORBIDDEN: u32 = 0o037;

/// A file that does not hold what it should. It prints as a sentence that begins with the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong with it. Never anything that is in it.
    pub problem: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

impl std::error::Error for FileError {}

impl FileError {
    pub(super) fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problem: problem.into() }
    }
}

/// The certificates of a PEM file, in their order: at least one.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let content = read(file)?;
    let sections = sections(file, &content)?;
    let certificates: Vec<_> = sections
        .iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der.clone()))
        .collect();
    if certificates.is_empty() {
        Err(nothing(file, "certificate", &content, &sections))
    } else {
        Ok(certificates)
    }
}

/// The one private key of a PEM file: PKCS#8, PKCS#1 or SEC1, not encrypted.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let content = read(file)?;
    if contains(&content, b"ENCRYPTED") {
        return Err(FileError::new(file, "the private key is encrypted; it has to be given unencrypted"));
    }
    let sections = sections(file, &content)?;
    let mut keys = sections.iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(*kind, der.clone()));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(FileError::new(file, "there is more than one private key in it")),
        (None, _) => Err(nothing(file, "private key", &content, &sections)),
    }
}

/// A certificate (DER) as PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    let config = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", der), config)
}

/// The one revocation list of a file, PEM or DER.
pub fn revocation_list(file: &Path) -> Result<CertificateRevocationListDer<'static>, FileError> {
    revocation_list_in(file, read(file)?).map(CertificateRevocationListDer::from)
}

/// The one revocation list of a content, PEM or DER; as DER. `file` is for the error.
pub fn revocation_list_in(file: &Path, content: Vec<u8>) -> Result<Vec<u8>, FileError> {
    if looks_like_der(&content) {
        return Ok(content);
    }
    let sections = sections(file, &content)?;
    let mut lists = sections.iter().filter(|(kind, _)| *kind == SectionKind::Crl).map(|(_, der)| der);
    match (lists.next(), lists.next()) {
        (Some(list), None) => Ok(list.clone()),
        (Some(_), Some(_)) => Err(FileError::new(file, "there is more than one CRL in it")),
        (None, _) => Err(nothing(file, "CRL", &content, &sections)),
    }
}

/// The text of a file that is nobody else's to read.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>, FileError> {
    let content = read(file).map(Zeroizing::new)?;
    let told = |error| FileError::new(file, format!("it cannot be read: {error}"));
    let mode = fs::metadata(file).map_err(told)?.mode();
    if mode & FORBIDDEN != 0 {
        let told = format!("others may read or write it (mode {:o}): `chmod 600` ends that", mode & 0o777);
        return Err(FileError::new(file, told));
    }
    let text = std::str::from_utf8(&content).map_err(|_| FileError::new(file, "it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    let content = fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => FileError::new(file, "there is no such file"),
        ErrorKind::PermissionDenied => FileError::new(file, "permission to read it is denied"),
        ErrorKind::IsADirectory => FileError::new(file, "it is a directory, not a file"),
        _ => FileError::new(file, format!("it cannot be read: {error}")),
    })?;
    if content.trim_ascii().is_empty() { Err(FileError::new(file, "it is empty")) } else { Ok(content) }
}

fn sections(file: &Path, content: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, FileError> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(content).collect::<Result<_, _>>().map_err(|error| {
        // The error's own text may quote lines of the file, which may be lines of a key.
        let problem = match error {
            pem::Error::MissingSectionEnd { .. } => "the PEM is broken: a section has no END line",
            pem::Error::IllegalSectionStart { .. } => "the PEM is broken: a BEGIN line is malformed",
            pem::Error::Base64Decode(_) => "the PEM is broken: a section is not base64",
            _ => "the PEM is broken",
        };
        FileError::new(file, problem)
    })
}

fn nothing(file: &Path, wanted: &str, content: &[u8], found: &[(SectionKind, Vec<u8>)]) -> FileError {
    let there = match found.first().map(|(kind, _)| *kind) {
        Some(SectionKind::Certificate) => ", but a certificate",
        Some(SectionKind::Crl) => ", but a CRL",
        Some(SectionKind::Csr) => ", but a certificate request",
        Some(SectionKind::PublicKey) => ", but a public key",
        Some(SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey) => {
            ", but a private key"
        }
        Some(_) => ", but something else",
        None if looks_like_der(content) => ": it looks like DER, and has to be PEM",
        None => "",
    };
    FileError::new(file, format!("there is no {wanted} in it{there}"))
}

fn looks_like_der(content: &[u8]) -> bool {
    // A SEQUENCE of more than 127 bytes. 0x30 alone would also be the digit 0 of a text.
    matches!(content, [0x30, 0x81..=0x84, ..])
}

fn contains(content: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(content, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{Ca, Folder, crl_pem};

    #[test]
    fn a_file_that_holds_no_certificate_is_named_with_what_is_wrong() {
        let folder = Folder::new();
        let ca = Ca::root("Mihon Bank CA");
        let key = ca.key_pem();
        let pem = ca.pem();
        for (content, problem) in [
            (None, "there is no such file"),
            (Some(""), "it is empty"),
            (Some(" \r\n"), "it is empty"),
            (Some("hello"), "there is no certificate in it"),
            (Some(&key), "there is no certificate in it, but a private key"),
            (Some(&pem[..pem.len() - 30]), "the PEM is broken: a section has no END line"),
            (Some(&pem.replacen("MII", "M\u{e9}I", 1)), "the PEM is broken: a section is not base64"),
            (
                Some(&pem.replacen("CERTIFICATE-----", "CERTIFICATE--", 1)),
                "the PEM is broken: a BEGIN line is malformed",
            ),
        ] {
            let file = match content {
                Some(content) => folder.file("ca.pem", content),
                None => folder.path("missing.pem"),
            };
            assert_eq!(certificates(&file), Err(FileError::new(&file, problem)), "{content:?}");
        }
        let der = folder.file("ca.der", ca.der());
        let error = certificates(&der).map(drop).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err(format!(
                "{}: there is no certificate in it: it looks like DER, and has to be PEM",
                der.display()
            ))
        );
    }

    #[test]
    fn a_revocation_list_may_be_pem_or_der_but_not_two() {
        let folder = Folder::new();
        let ca = Ca::root("Mihon Bank CA");
        let der = ca.crl(1, &[]);
        let pem = crl_pem(&der);
        assert_eq!(revocation_list(&folder.file("a", &der)).map(|crl| crl.to_vec()), Ok(der.clone()));
        assert_eq!(revocation_list(&folder.file("b", &pem)).map(|crl| crl.to_vec()), Ok(der));
        for (content, problem) in [
            (pem.repeat(2), "there is more than one CRL in it"),
            (ca.pem(), "there is no CRL in it, but a certificate"),
        ] {
            let file = folder.file("c", content);
            assert_eq!(revocation_list(&file), Err(FileError::new(&file, problem)));
        }
    }

    #[test]
    fn an_encrypted_key_is_told_from_a_missing_one() {
        let folder = Folder::new();
        let key = Ca::root("Mihon Bank CA").key_pem();
        let problem =
            |content: &str| private_key(&folder.file("key", content)).map(drop).map_err(|it| it.problem);
        assert_eq!(problem(&key), Ok(()));
        assert_eq!(
            problem(&key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
            Err("the private key is encrypted; it has to be given unencrypted".to_owned())
        );
        assert_eq!(problem(&key.repeat(2)), Err("there is more than one private key in it".to_owned()));
        assert_eq!(problem("x"), Err("there is no private key in it".to_owned()));
    }
}
