//! What no modern library would offer, written by hand: old versions and old suites are never negotiated.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};

const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;

const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;

const PROTOCOL_VERSION: u8 = 70;
const HANDSHAKE_FAILURE: u8 = 40;

/// Two bytes of length, and what they are of.
fn long(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

/// A ClientHello without supported_versions: it is for `version` and older ones.
fn hello(version: u16, suites: &[u16]) -> Vec<u8> {
    let extension = |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &long(content)].concat();
    let name = long(&[&[0], &*long(CERT.as_bytes())].concat());
    let extensions = [
        extension(0, &name),
        extension(10, &long(&[0, 23, 0, 29])),
        extension(11, &[1, 0]),
        extension(13, &long(&[4, 3, 8, 4])),
        extension(23, &[]),
    ];
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let body =
        [&version.to_be_bytes()[..], &[7; 32], &[0], &long(&suites), &[1, 0], &long(&extensions.concat())];
    let body = body.concat();
    let message = [&[1, 0], &*long(&body)].concat();
    [&[22, 3, 1], &*long(&message)].concat()
}

/// The first record with which the gate answers.
fn answer(gate: &Gate, hello: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(gate.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(hello).unwrap();
    let mut head = [0; 5];
    tcp.read_exact(&mut head).unwrap();
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    tcp.read_exact(&mut content).unwrap();
    [&head[..1], &content].concat()
}

fn alert(description: u8) -> Vec<u8> {
    vec![21, 2, description]
}

#[test]
fn a_hello_made_by_hand_is_taken_if_it_is_good() {
    let gate = Gate::start(&Backend::start());
    let answer = answer(&gate, &hello(TLS_1_2, &[ECDHE_ECDSA_AES128_GCM]));
    assert_eq!(answer[..2], [22, 2], "a ServerHello");
}

#[test]
fn versions_before_1_2_are_refused() {
    let gate = Gate::start(&Backend::start());
    for version in [0x0300, TLS_1_0, TLS_1_1] {
        let answer = answer(&gate, &hello(version, &[ECDHE_ECDSA_AES128_GCM]));
        assert_eq!(answer, alert(PROTOCOL_VERSION), "{version:04x}");
    }
    gate.counts("sekisho_handshake_failures_total{cause=\"tls\"}", 3.0);
}

#[test]
fn suites_without_forward_secrecy_or_authenticated_encryption_are_refused() {
    let gate = Gate::start(&Backend::start());
    for (suite, name) in [
        (0x0000, "NULL_WITH_NULL_NULL"),
        (0x0005, "RSA_WITH_RC4_128_SHA"),
        (0x000a, "RSA_WITH_3DES_EDE_CBC_SHA"),
        (0x002f, "RSA_WITH_AES_128_CBC_SHA"),
        (0x009c, "RSA_WITH_AES_128_GCM_SHA256"),
        (0x009e, "DHE_RSA_WITH_AES_128_GCM_SHA256"),
        (0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
        (0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
        (0xc018, "ECDH_anon_WITH_AES_128_CBC_SHA"),
    ] {
        assert_eq!(answer(&gate, &hello(TLS_1_2, &[suite])), alert(HANDSHAKE_FAILURE), "{name}");
    }
}
