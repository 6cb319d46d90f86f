//! `client_certificate` and `rejection`: what each kind of host asks for, and where it says no.

use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, OPTIONAL, STRICT, WWW};
use crate::support::reasons::{REASONS, somebody};

const JSON: &str = "Accept: application/json\r\n";

#[test]
fn a_strict_host_refuses_in_the_handshake_with_the_alert_that_tells_most() {
    for reason in REASONS {
        for version in [&TLS12, &TLS13] {
            let backend = Backend::start();
            let gate = Gate::start(&backend);
            let alert = somebody(&gate, reason, &[version]).alert(STRICT);
            assert_eq!(alert, alert_for(reason), "{reason} over {version:?}");
            gate.counts(&format!("sekisho_handshake_failures_total{{cause=\"{reason}\"}}"), 1.0);
            assert_eq!(backend.connections(), 0);
        }
    }
}

fn alert_for(reason: &str) -> AlertDescription {
    match reason {
        "absent" => AlertDescription::CertificateRequired,
        "unknown_authority" | "revocation_unknown" => AlertDescription::UnknownCA,
        "expired" | "not_yet_valid" => AlertDescription::CertificateExpired,
        "revoked" => AlertDescription::CertificateRevoked,
        "wrong_usage" => AlertDescription::UnsupportedCertificate,
        "weak_key" => AlertDescription::CertificateUnknown,
        "bad_subject" => AlertDescription::AccessDenied,
        "malformed" => AlertDescription::BadCertificate,
        _ => panic!("{reason} is no reason"),
    }
}

#[test]
fn a_strict_host_lets_a_good_certificate_in() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    assert_eq!(gate.tanaka().get(STRICT, "/banking/").status, 200);
    assert_eq!(backend.only().value("x-user-id").as_deref(), Some("tanaka"));
}

#[test]
fn an_optional_host_takes_everybody_and_each_route_decides() {
    for reason in REASONS {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let client = somebody(&gate, reason, rustls::ALL_VERSIONS);
        assert_eq!(client.get(OPTIONAL, "/public/").status, 200, "{reason}");
        is_anonymous(&backend);
        let refused = client.get_with(OPTIONAL, "/banking/", JSON);
        let status = if reason == "revocation_unknown" { 503 } else { 403 };
        assert_eq!((refused.status, refused.code()), (status, reason.to_owned()));
        assert_eq!(backend.received().len(), 1, "{reason}");
    }
}

#[test]
fn an_optional_host_knows_who_comes_with_a_certificate() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    assert_eq!(gate.tanaka().get(OPTIONAL, "/banking/").status, 200);
    assert_eq!(backend.only().value("x-user-id").as_deref(), Some("tanaka"));
}

#[test]
fn an_open_host_never_asks_for_a_certificate() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let tanaka = gate.tanaka();
    assert_eq!(tanaka.get(WWW, "/public/").status, 200);
    is_anonymous(&backend);
    let refused = tanaka.get_with(WWW, "/banking/", JSON);
    assert_eq!((refused.status, refused.code()), (403, "absent".to_owned()));
    // A client that is asked and can't answer says so; nobody was asked here.
    assert!(!was_asked(&gate, WWW) && was_asked(&gate, CERT) && was_asked(&gate, OPTIONAL));
}

/// Whether the gate asks for a certificate at this host.
fn was_asked(gate: &Gate, host: &str) -> bool {
    #[derive(Debug, Default)]
    struct Asked(std::sync::atomic::AtomicBool);
    impl rustls::client::ResolvesClientCert for Asked {
        fn resolve(
            &self,
            _hints: &[&[u8]],
            _schemes: &[rustls::SignatureScheme],
        ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            None
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let asked = std::sync::Arc::new(Asked::default());
    let mut client: Client = gate.client();
    client.config.client_auth_cert_resolver = asked.clone();
    client.connect(host).unwrap();
    asked.0.load(std::sync::atomic::Ordering::Relaxed)
}

fn is_anonymous(backend: &Backend) {
    let received = backend.only();
    for name in ["x-contract-id", "x-user-id", "x-auth-method"] {
        assert_eq!(received.value(name), None, "{}", received.head);
    }
}
