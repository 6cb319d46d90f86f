//! Certificates, names, revocation lists and OCSP responses that anybody may have made.

use std::sync::LazyLock;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use webpki::BorrowedCertRevocationList;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Name};

use super::authority::{Authorities, Authority};
use super::crl::Crl;
use super::serials::Serials;
use super::subject::CommonNameForm;
use super::{certificate, der, ocsp};

const CA: &[u8] = include_bytes!("../../fuzz/fixed/ca.der");
const SERVER: &[u8] = include_bytes!("../../fuzz/fixed/server.der");

static FORM: LazyLock<CommonNameForm> = LazyLock::new(|| {
    CommonNameForm::new("(?<contract>[0-9]{14}) (?<user>[0-9A-Za-z]{1,30})").expect("a form")
});
static AUTHORITIES: LazyLock<Authorities> = LazyLock::new(|| {
    let ca = Authority::read(CertificateDer::from(CA)).expect("an authority");
    Authorities::new(vec![ca]).expect("an anchor")
});

/// Whoever is found in a subject, another parser finds there too, and nobody else.
pub(crate) fn common_name(subject: &[u8]) {
    let Ok(identity) = FORM.identity(subject) else { return };
    let whole = der::sequence(subject);
    let (rest, name) = X509Name::from_der(&whole).expect("a name");
    assert!(rest.is_empty());
    let names: Vec<_> = name.iter_common_name().map(|name| name.as_str().expect("a text")).collect();
    assert_eq!(names, [format!("{} {}", identity.contract, identity.user)]);
}

/// A certificate is read, or refused with a reason.
pub(crate) fn certificate(bytes: &[u8]) {
    let der = CertificateDer::from(bytes);
    if let Ok(examined) = certificate::examine(&der) {
        assert!(examined.leaf.serial.len() <= 40);
        common_name(examined.certificate.subject());
    }
    let _ = Authority::read(der.into_owned());
}

/// Whatever list is read, every serial number that another parser finds in it is found.
pub(crate) fn crl(bytes: &[u8]) {
    let _ = Crl::read(bytes, "fuzzing".into(), &AUTHORITIES, Timestamp::UNIX_EPOCH);
    let _ = super::revocation_list_in("list".as_ref(), bytes.to_vec());
    let Ok(list) = BorrowedCertRevocationList::from_der(bytes) else { return };
    let Ok(serials) = Serials::of(&list) else { return };
    if let Ok(([], parsed)) = CertificateRevocationList::from_der(bytes) {
        assert_eq!(parsed.iter_revoked_certificates().count(), serials.len());
        for revoked in parsed.iter_revoked_certificates() {
            assert!(serials.contain(revoked.raw_serial()), "{:?}", revoked.raw_serial());
        }
    }
}

/// A response is read to its end, signed or not.
pub(crate) fn ocsp(bytes: &[u8]) {
    let chain = [CertificateDer::from(SERVER), CertificateDer::from(CA)];
    let _ = ocsp::staple(bytes.to_vec(), &chain, Timestamp::UNIX_EPOCH);
    ocsp::read_unverified(bytes, &chain);
}
