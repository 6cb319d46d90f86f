//! Sessions are taken up again at their own host only (T1), and never with what was thought of them before (T2).

use std::sync::{Arc, Mutex};

use rustls::HandshakeKind::{self, Full, FullWithHelloRetryRequest, Resumed};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedProtocolVersion};

use sekisho::clock::Clock;
use sekisho::edge::{TicketKeys, TicketTimes, server_config};
use sekisho::pki::{ServerKey, Stapled};

use crate::support::backend::Backend;
use crate::support::client::{Client, Connection, Response};
use crate::support::gate::{CERT, Gate, OPTIONAL, STRICT, Settings, WWW, lay_out, start_in};
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::{eventually, write_secret};

pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// One `GET` on a connection of its own, and how that began. It is what fetches a ticket, too.
pub fn get(client: &Client, host: &str) -> (HandshakeKind, Response) {
    let mut connection = client.connect(host).unwrap();
    let kind = connection.stream.conn.handshake_kind().unwrap();
    connection.send(
        format!("GET /banking/ HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n").as_bytes(),
    );
    (kind, connection.response().unwrap())
}

#[test]
fn a_session_is_resumed_at_its_own_host_and_is_still_the_same_user() {
    for version in VERSIONS {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        for host in [CERT, OPTIONAL, STRICT] {
            let client = gate.tanaka().with_versions(&[version], Some(&gate.ca.client(COMMON_NAME)));
            assert_eq!((get(&client, host).0, get(&client, host).0), (Full, Resumed), "{host} {version:?}");
        }
        for received in backend.received() {
            assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
            assert_eq!(received.value("x-user-id").as_deref(), Some("tanaka"));
        }
        eventually("six lines in the access log", || gate.access_log().len() == 6);
        let resumed: Vec<_> = gate.access_log().iter().map(|line| line["tls_resumed"].clone()).collect();
        assert_eq!(resumed, [false, true, false, true, false, true]);
        let number = if version.version == TLS13.version { "1.3" } else { "1.2" };
        let metric =
            format!("sekisho_handshakes_total{{host=\"{CERT}\",resumed=\"yes\",version=\"{number}\"}}");
        assert_eq!(gate.metric(&metric), 1.0, "{}", gate.metrics());
    }
}

#[test]
fn a_session_of_one_host_is_never_resumed_at_another() {
    for version in VERSIONS {
        for (from, to) in [(OPTIONAL, CERT), (CERT, OPTIONAL), (CERT, STRICT), (WWW, CERT), (WWW, STRICT)] {
            let backend = Backend::start();
            let gate = Gate::start(&backend);
            let mut client = gate.client().with_versions(&[version], Some(&gate.ca.client(COMMON_NAME)));
            client.config.resumption = Resumption::store(Arc::new(AnyName::default()));
            assert_eq!(get(&client, from).0, Full);
            let (kind, response) = get(&client, to);
            // A hello retry would be a full handshake as well.
            assert!(matches!(kind, Full | FullWithHelloRetryRequest), "{from} to {to}: {kind:?}");
            assert_eq!(response.status, 200);
            // That the store does what it should: at the host of its ticket, the session is resumed.
            assert_eq!(get(&client, to).0, Resumed);
        }
    }
}

#[test]
fn no_host_can_read_the_tickets_of_another() {
    let ca = Ca::new("Mihon Bank CA-G1");
    let server = ca.server(&[CERT]);
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&server.key).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(server.chain, key));
    let not_after = Clock::System.now();
    let key = ServerKey {
        certified,
        stapled: Stapled::default(),
        not_after,
        algorithm: "ecdsa",
        names: Vec::new(),
    };
    let keys = TicketKeys::new(Clock::System);
    keys.adopt(&[], TicketTimes { rotate: 3600, lifetime: 3600 }).unwrap();
    let [one, other] = ["one", "other"]
        .map(|host| server_config(vec![key.clone()], None, keys.host(host), Clock::System).unwrap());
    let ticket = one.ticketer.encrypt(b"a session").unwrap();
    assert_eq!(one.ticketer.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
    assert_eq!(other.ticketer.decrypt(&ticket), None);
    assert!(!one.session_storage.can_cache());
}

#[test]
fn a_session_from_before_the_revocation_is_resumed_and_refused() {
    for version in VERSIONS {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let credential = gate.ca.client(COMMON_NAME);
        let client = gate.client().with_versions(&[version], Some(&credential));
        assert_eq!(get(&client, CERT).1.status, 200);
        gate.revoke(&[&credential]);
        let (kind, response) = get(&client, CERT);
        assert_eq!((kind, response.status, response.code()), (Resumed, 403, "revoked".to_owned()));
        assert_eq!(backend.received().len(), 1);
    }
}

#[test]
fn a_session_from_before_a_change_of_authorities_is_resumed_and_refused() {
    for version in VERSIONS {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let client = gate.client().with_versions(&[version], Some(&gate.ca.client(COMMON_NAME)));
        assert_eq!(get(&client, CERT).1.status, 200);
        gate.believe(&Ca::new("Mihon Bank CA-G2"));
        let (kind, response) = get(&client, CERT);
        assert_eq!((kind, response.status, response.code()), (Resumed, 403, "unknown_authority".to_owned()));
        assert_eq!(backend.received().len(), 1);
    }
}

#[test]
fn a_refused_session_at_a_strict_host_ends_without_a_byte_of_http() {
    for version in VERSIONS {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let credential = gate.ca.client(COMMON_NAME);
        let client = gate.client().with_versions(&[version], Some(&credential));
        assert_eq!(get(&client, STRICT).1.status, 200);
        gate.revoke(&[&credential]);
        let mut connection: Connection = client.connect(STRICT).unwrap();
        assert_eq!(connection.stream.conn.handshake_kind(), Some(Resumed));
        connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {STRICT}\r\n\r\n").as_bytes());
        assert_eq!(connection.read_to_end(), b"");
        assert_eq!(backend.received().len(), 1);
        gate.counts("sekisho_handshake_failures_total{cause=\"revoked\"}", 1.0);
    }
}

#[test]
fn early_data_is_never_offered() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut client = gate.tanaka();
    client.config.enable_early_data = true;
    assert_eq!(get(&client, CERT).0, Full);
    let mut connection = client.connect(CERT).unwrap();
    assert_eq!(connection.stream.conn.handshake_kind(), Some(Resumed));
    assert!(!connection.stream.conn.is_early_data_accepted());
    connection.send(format!("GET / HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 404);
    // The ticket says how much early data there may be: without any, the client has no place to write it to.
    let server = ServerName::try_from(CERT).unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(client.config.clone()), server).unwrap();
    assert!(session.early_data().is_none());
}

/// A gate with its ticket secrets in files of these bytes, the first of which seals.
fn gate_with_secrets(
    backend: &Backend,
    ca: &Ca,
    secrets: &[u8],
) -> (tempfile::TempDir, sekisho::app::Gateway) {
    let files = (0..secrets.len()).map(|index| format!("secret{index}")).collect::<Vec<_>>().join(", ");
    let yaml = match secrets {
        [] => String::new(),
        _ => format!("resumption: {{ keys: files, files: [{files}] }}"),
    };
    let folder = lay_out(&[backend.address], ca, &Settings { yaml: &yaml, ..Settings::default() });
    for (index, byte) in secrets.iter().enumerate() {
        write_secret(&folder.path().join(format!("secret{index}")), &[*byte; 32]);
    }
    let gateway = start_in(&folder, Clock::System).unwrap_or_else(|error| panic!("{error}"));
    (folder, gateway)
}

#[test]
fn a_session_is_resumed_at_another_gateway_if_they_share_a_secret() {
    for (version, host) in VERSIONS.into_iter().flat_map(|version| [CERT, WWW].map(|host| (version, host))) {
        for (there, kind) in [(&[1][..], Resumed), (&[2, 1], Resumed), (&[3, 2], Full), (&[], Full)] {
            let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
            let (_folder, one) = gate_with_secrets(&backend, &ca, &[1]);
            let (_other_folder, other) = gate_with_secrets(&backend, &ca, there);
            let mut client =
                Client::new(one.addresses()[0], &ca).with_versions(&[version], Some(&ca.client(COMMON_NAME)));
            assert_eq!(get(&client, host).0, Full);
            client.address = other.addresses()[0];
            assert_eq!(get(&client, host).0, kind, "{host} {version:?} {there:?}");
            one.drain();
            other.drain();
        }
    }
}

/// Remembers one session of each kind, and offers it to every server.
#[derive(Debug, Default)]
struct AnyName {
    tls12: Mutex<Option<Tls12ClientSessionValue>>,
    tls13: Mutex<Option<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for AnyName {
    fn set_kx_hint(&self, _name: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _name: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _name: ServerName<'static>, session: Tls12ClientSessionValue) {
        *self.tls12.lock().unwrap() = Some(session);
    }

    fn tls12_session(&self, _name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.tls12.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _name: &ServerName<'static>) {
        *self.tls12.lock().unwrap() = None;
    }

    fn insert_tls13_ticket(&self, _name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        *self.tls13.lock().unwrap() = Some(ticket);
    }

    fn take_tls13_ticket(&self, _name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tls13.lock().unwrap().take()
    }
}
