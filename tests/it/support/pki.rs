//! Certificates, made in code.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SerialNumber, SigningKey,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

/// The bank's CA, or a stranger's.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as a client or a server holds it.
#[derive(Debug)]
pub struct Credential {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub serial: Vec<u8>,
    pub pem: String,
    pub key_pem: String,
}

impl Clone for Credential {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            serial: self.serial.clone(),
            pem: self.pem.clone(),
            key_pem: self.key_pem.clone(),
        }
    }
}

/// `CN = "<contract> <user>"` as the bank issues it.
pub const COMMON_NAME: &str = "10000000000001 tanaka";

impl Ca {
    /// A CA of this name.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(Self::params(name), key).unwrap() }
    }

    /// The CA's key.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Mihon Bank, Ltd.");
        params.distinguished_name.push(DnType::OrganizationalUnitName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (now() - Duration::days(400), now() + Duration::days(400));
        params
    }

    /// The CA's certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The CA's certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// What a client certificate of the bank looks like, to be changed at will.
    pub fn client_params(common_name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Mihon Bank, Ltd.");
        params.distinguished_name.push(DnType::OrganizationalUnitName, "Mihon Bank CA-G1");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (now() - Duration::days(30), now() + Duration::days(335));
        params.serial_number = Some(SerialNumber::from(random_serial()));
        params
    }

    /// A good client certificate.
    pub fn client(&self, common_name: &str) -> Credential {
        self.issue(Self::client_params(common_name))
    }

    /// A certificate as `params` says, with a new P-256 key.
    pub fn issue(&self, params: CertificateParams) -> Credential {
        self.issue_for(KeyPair::generate().unwrap(), params)
    }

    /// A certificate as `params` says, for this key.
    pub fn issue_for(&self, key: KeyPair, params: CertificateParams) -> Credential {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Credential {
            serial: params.serial_number.as_ref().map(|serial| serial.to_bytes()).unwrap_or_default(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }

    /// A certificate over a public key of which nobody here has the private one.
    pub fn certify(&self, params: &CertificateParams, key: &impl PublicKeyData) -> CertificateDer<'static> {
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }

    /// A CA below this one, changed at will. Its own certificate is not in what it issues.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::signed_by(params, key, &self.issuer).unwrap() }
    }

    /// A client certificate with other bytes in it, signed anew: `old` becomes `new`, which is as long.
    pub fn forge(&self, credential: &Credential, old: &[u8], new: &[u8]) -> Credential {
        assert_eq!(old.len(), new.len(), "lengths in DER stand");
        // SEQUENCE { TBSCertificate, AlgorithmIdentifier of ecdsa-with-SHA256, BIT STRING }
        let der = credential.chain[0].as_ref();
        let end = 8 + usize::from(u16::from_be_bytes([der[6], der[7]]));
        assert_eq!([der[1], der[5]], [0x82, 0x82], "long enough for lengths of two bytes");
        let mut signed = der[4..end].to_vec();
        let at = signed.windows(old.len()).position(|bytes| bytes == old).expect("the bytes to replace");
        signed[at..at + old.len()].copy_from_slice(new);
        let signature = self.issuer.key().sign(&signed).unwrap();
        let algorithm = &der[end..end + 2 + usize::from(der[end + 1])];
        let bits = [&[0x03, u8::try_from(signature.len() + 1).unwrap(), 0], &*signature].concat();
        let content = [&*signed, algorithm, &bits].concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let whole = [&[0x30, 0x82], &length[..], &content].concat();
        Credential { chain: vec![CertificateDer::from(whole)], ..credential.clone() }
    }

    /// A server certificate for `names`.
    pub fn server(&self, names: &[&str]) -> Credential {
        self.server_for(KeyPair::generate().unwrap(), names)
    }

    /// A server certificate for `names` and this key.
    pub fn server_for(&self, key: KeyPair, names: &[&str]) -> Credential {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        self.issue_for(key, params)
    }

    /// A CRL of today that names `revoked`, good for a month.
    pub fn crl(&self, revoked: &[&Credential]) -> String {
        self.crl_until(revoked, now() + Duration::days(30))
    }

    /// A CRL of the day before yesterday, good until `next_update`.
    pub fn crl_until(&self, revoked: &[&Credential], next_update: OffsetDateTime) -> String {
        let params = CertificateRevocationListParams {
            this_update: now() - Duration::days(2),
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|credential| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&credential.serial),
                    revocation_time: now() - Duration::days(1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The time of day. Certificates are made around it, because gates judge by it unless a test says otherwise.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn random_serial() -> Vec<u8> {
    let mut serial = vec![0; 16];
    getrandom::fill(&mut serial).unwrap();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}
