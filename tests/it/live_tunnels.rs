//! A WebSocket has no next request. It is closed when its certificate isn't good any more (T3).

use jiff::Timestamp;
use time::Duration;

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings};
use crate::support::http2::Version;
use crate::support::pki::{COMMON_NAME, Ca, now};
use crate::support::reasons::somebody;
use crate::support::tunnel::{Tunnel, echo};

/// An open tunnel through which bytes go and come back.
fn tunnel(client: &Client, version: Version) -> Tunnel {
    tunnel_to(client, version, CERT, "/banking/ws")
}

fn tunnel_to(client: &Client, version: Version, host: &str, path: &str) -> Tunnel {
    let mut tunnel = Tunnel::open(version, client, host, path);
    tunnel.echoes();
    tunnel
}

#[test]
fn a_tunnel_is_closed_when_its_certificate_is_revoked_and_another_one_lives_on() {
    for version in Version::BOTH {
        let backend = echo();
        let gate = Gate::start(&backend);
        let credential = gate.ca.client("10000000000002 suzuki");
        let mut suzuki = tunnel(&gate.client().with(&credential), version);
        let mut tanaka = tunnel(&gate.tanaka(), version);
        assert_eq!(gate.metric("sekisho_tunnels"), 2.0);
        gate.revoke(&[&credential]);
        assert_eq!(suzuki.read_to_end(), b"");
        tanaka.echoes();
        eventually("one tunnel left", || gate.metric("sekisho_tunnels") == 1.0);
    }
}

#[test]
fn a_tunnel_is_closed_when_its_authority_is_believed_no_more() {
    for version in Version::BOTH {
        let backend = echo();
        let gate = Gate::start(&backend);
        let mut connection = tunnel(&gate.tanaka(), version);
        gate.believe(&Ca::new("Mihon Bank CA-G2"));
        assert_eq!(connection.read_to_end(), b"");
    }
}

#[test]
fn a_silent_tunnel_is_closed_when_its_certificate_expires() {
    for version in Version::BOTH {
        let backend = echo();
        let begun = now();
        let at = |time: time::OffsetDateTime| Timestamp::from_second(time.unix_timestamp()).unwrap();
        let settings = Settings { clock: sekisho::clock::Clock::manual(at(begun)), ..Settings::default() };
        let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
        let mut params = Ca::client_params(COMMON_NAME);
        params.not_after = begun + Duration::hours(1);
        let mut connection = tunnel(&gate.client().with(&gate.ca.issue(params)), version);
        gate.clock.set(at(begun + Duration::hours(2)));
        assert_eq!(connection.read_to_end(), b"");
    }
}

#[test]
fn a_tunnel_that_needs_no_certificate_stays_open_with_a_bad_one() {
    for version in Version::BOTH {
        let backend = echo();
        let gate = Gate::start(&backend);
        let mut expired =
            tunnel_to(&somebody(&gate, "expired", rustls::ALL_VERSIONS), version, OPTIONAL, "/public/ws");
        // A change of trust has everybody look again.
        gate.revoke(&[]);
        let mut tanaka = tunnel(&gate.tanaka(), version);
        expired.echoes();
        tanaka.echoes();
    }
}
