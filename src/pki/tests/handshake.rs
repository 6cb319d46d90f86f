//! What a handshake proves, over real TLS in memory: possession of the key, and no more unless it is asked to.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, ResolvesClientCert};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion, version,
};

use crate::clock::Clock;
use crate::domain::Reason;
use crate::pki::testing::{CN, Ca, Change, Folder, Source, now, tlv};
use crate::pki::tests::said;
use crate::pki::{ClientCertificates, Trust, server_key};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A client that sends what it is told to, and believes any server.
#[derive(Debug)]
struct Client(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Client {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

impl ServerCertVerifier for Client {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// One server, and handshakes with it.
struct Host {
    trust: Arc<ArcSwap<Trust>>,
    verifier: Arc<ClientCertificates>,
    key: Arc<CertifiedKey>,
}

impl Host {
    fn new(trust: Trust, mandatory: bool, clock: Option<Clock>) -> Self {
        let folder = Folder::new();
        let (certificate, key) = Ca::root("Server CA").server(&["cert.mihonbank.example"]);
        let key = server_key(&folder.file("c", certificate), &folder.file("k", key)).unwrap().certified;
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let verifier =
            ClientCertificates::new(&default_provider(), Arc::clone(&trust), &trust.load(), mandatory, clock);
        Self { trust, verifier: Arc::new(verifier), key }
    }

    /// What the server makes of the handshake: the chain that came, or why it failed.
    fn accept(
        &self,
        client: Client,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Vec<CertificateDer<'static>>, Error> {
        let (client, provider) = (Arc::new(client), Arc::new(default_provider()));
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])?
            .with_client_cert_verifier(Arc::clone(&self.verifier) as _)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(&self.key))));
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&client) as _)
            .with_client_cert_resolver(client);
        let mut server = ServerConnection::new(Arc::new(server))?;
        let name = ServerName::try_from("cert.mihonbank.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name)?;
        while server.is_handshaking() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets()?;
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut &wire[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(server.peer_certificates().unwrap_or_default().to_vec())
    }

    /// What the judge says after the handshake.
    fn said(&self, chain: &[CertificateDer<'static>]) -> (&'static str, &'static str) {
        said(&self.trust.load().judge(chain, now()).standing)
    }
}

fn signing_key(key: &KeyPair) -> Arc<dyn SigningKey> {
    any_supported_type(&PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap()
}

fn client(leaf: &CertificateDer<'static>, key: &KeyPair) -> Client {
    Client(Some(Arc::new(CertifiedKey::new(vec![leaf.clone()], signing_key(key)))))
}

#[test]
fn a_handshake_succeeds_with_any_certificate_whose_key_is_there_and_with_none() {
    let ca = Ca::root("Mihon Bank CA");
    let host = Host::new(Source::of(&[&ca]).load(), false, None);
    let expired: Change = |it| it.not_after = date_time_ymd(2026, 2, 1);
    for version in VERSIONS {
        for (ca, change, expected) in [
            (&ca, (|_| {}) as Change, "good"),
            (&ca, expired, "expired"),
            (&Ca::root("Stranger"), expired, "unknown_authority"),
        ] {
            let (leaf, key) = ca.client(CN, change);
            let chain = host.accept(client(&leaf, &key), version).unwrap();
            assert_eq!(host.said(&chain).0, expected);
        }
        let chain = host.accept(Client(None), version).unwrap();
        assert_eq!(host.said(&chain).0, "absent");
    }
}

#[test]
fn a_good_certificate_without_its_key_fails_the_handshake() {
    let ca = Ca::root("Mihon Bank CA");
    let host = Host::new(Source::of(&[&ca]).load(), false, None);
    for version in VERSIONS {
        let result = host.accept(client(&ca.leaf(CN), &KeyPair::generate().unwrap()), version);
        assert_eq!(result, Err(Error::InvalidCertificate(CertificateError::BadSignature)));
        assert_eq!(result.as_ref().err().and_then(ClientCertificates::reason), None);
    }
}

#[test]
fn a_certificate_whose_key_cannot_prove_anything_gets_its_page_and_never_a_good_standing() {
    let ca = Ca::root("Mihon Bank CA");
    let host = Host::new(Source::of(&[&ca]).load(), false, None);
    let key = KeyPair::generate().unwrap();
    let rsa_1024 = {
        let number = tlv(2, &[&[0][..], &[0xff; 128]].concat());
        let bits = tlv(3, &[&[0][..], &tlv(0x30, &[&number[..], &[2, 3, 1, 0, 1]].concat())].concat());
        let kind = tlv(0x30, &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0]);
        ca.leaf_with_key(&tlv(0x30, &[kind, bits].concat()))
    };
    for version in VERSIONS {
        for (leaf, expected) in [
            (rsa_1024.clone(), ("weak_key", "the RSA key is shorter than 2048 bits")),
            (
                CertificateDer::from(&b"no certificate"[..]),
                ("malformed", "not a DER-encoded X.509 certificate"),
            ),
        ] {
            let chain = host.accept(client(&leaf, &key), version).unwrap();
            assert_eq!(chain, [leaf]);
            assert_eq!(host.said(&chain), expected);
        }
    }
}

#[test]
fn a_refusal_in_the_handshake_is_the_alert_that_tells_most() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = || Source::of(&[&ca]).with_crls(&[ca.crl(1, &[7])]).load();
    let host = Host::new(trust(), true, Some(Clock::manual(now())));
    let cases: [(Change, &str, Option<CertificateError>); 7] = [
        (|_| {}, CN, None),
        (|it| it.not_after = date_time_ymd(2026, 2, 1), CN, Some(CertificateError::Expired)),
        (|it| it.not_before = date_time_ymd(2026, 8, 1), CN, Some(CertificateError::NotValidYet)),
        (|it| it.serial_number = Some(7_u64.into()), CN, Some(CertificateError::Revoked)),
        (|it| it.key_usages.clear(), CN, Some(CertificateError::InvalidPurpose)),
        (
            |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            CN,
            Some(CertificateError::InvalidPurpose),
        ),
        (|_| {}, "nobody", Some(CertificateError::ApplicationVerificationFailure)),
    ];
    for version in VERSIONS {
        for (change, common_name, error) in &cases {
            let (leaf, key) = ca.client(common_name, change);
            let result = host.accept(client(&leaf, &key), version);
            let reason = result.as_ref().err().and_then(ClientCertificates::reason);
            let judged = host.said(&[leaf]).0;
            assert_eq!(reason.map_or("good", |reason| reason.code()), judged);
            assert_eq!(result.map(drop), error.clone().map_or(Ok(()), |error| Err(error.into())));
        }
        let (leaf, key) = Ca::root("Stranger").client(CN, |_| {});
        let result = host.accept(client(&leaf, &key), version);
        assert_eq!(result, Err(CertificateError::UnknownIssuer.into()));
        assert_eq!(host.accept(Client(None), version), Err(Error::NoCertificatesPresented));

        let stale = Host::new(trust(), true, Some(Clock::manual("2026-08-01T00:00:00Z".parse().unwrap())));
        let (leaf, key) = ca.client(CN, |_| {});
        let result = stale.accept(client(&leaf, &key), version);
        assert_eq!(result, Err(CertificateError::UnknownRevocationStatus.into()));
    }
}

#[test]
fn a_weak_key_in_the_handshake_is_an_alert_of_its_own() {
    let ca = Ca::root("Mihon Bank CA");
    let host = Host::new(Source::of(&[&ca]).load(), true, Some(Clock::manual(now())));
    let unknown_kind = tlv(0x30, &[tlv(0x30, &[6, 3, 0x2b, 0x65, 0x6e]), tlv(3, &[0; 33])].concat());
    let leaf = ca.leaf_with_key(&unknown_kind);
    for version in VERSIONS {
        let Err(Error::InvalidCertificate(error)) =
            host.accept(client(&leaf, &KeyPair::generate().unwrap()), version)
        else {
            panic!("refused")
        };
        assert!(error.to_string().contains("WeakKey"), "{error}");
        assert_eq!(ClientCertificates::reason(&error.clone().into()), Some(Reason::WeakKey));
        assert_eq!(AlertDescription::from(error), AlertDescription::CertificateUnknown);
    }
}

#[test]
fn the_hints_are_the_subjects_of_the_authorities_each_once() {
    let (one, two) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA-G2"));
    let renewed = one.again(|it| it.not_after = date_time_ymd(2050, 1, 1));
    let host = Host::new(Source::of(&[&one, &two, &renewed]).load(), false, None);
    let hints = host.verifier.root_hint_subjects();
    assert_eq!(hints.len(), 2);
    assert!(hints.iter().all(|hint| hint.as_ref()[0] == 0x30));
    assert!(!host.verifier.client_auth_mandatory());
}
