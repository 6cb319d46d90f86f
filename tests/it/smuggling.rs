//! A request that can be read in two ways is read in none (T24): 400, the connection closes, the backend saw nothing,
//! and what was hidden behind it is never run.

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;

/// What an attacker would like to have run.
const HIDDEN: &str = "GET /banking/hidden HTTP/1.1\r\nHost: cert.mihonbank.example\r\n\r\n";

/// Sends each request with the hidden one behind it, and expects one 400 and nothing else.
fn refused<S: AsRef<str>>(requests: &[S]) {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let tanaka = gate.tanaka();
    for request in requests {
        let request = request.as_ref().replace("HOST", &format!("Host: {CERT}"));
        let mut connection = tanaka.connect(CERT).unwrap();
        connection.send(request.as_bytes());
        connection.send(HIDDEN.as_bytes());
        let response = connection.response().unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert_eq!(response.status, 400, "{request:?}");
        assert_eq!(response.value("connection").as_deref(), Some("close"), "{request:?}");
        assert!(connection.is_closed(), "{request:?}");
        assert_eq!(backend.received().len(), 0, "{request:?}\n{:#?}", backend.received());
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_length_and_a_coding_are_one_too_many() {
    refused(&[
        "POST /banking/a HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /banking/a HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ]);
}

#[test]
fn a_length_is_one_number() {
    let lengths = [
        "5\r\nContent-Length: 5",
        "5\r\nContent-Length: 6",
        "0\r\ncontent-length: 0",
        "5, 5",
        "5,6",
        "5 5",
        "+5",
        "-5",
        "0x5",
        "5.0",
        "5e1",
        "'5'",
        "",
        "five",
        "18446744073709551616",
        "5;a=b",
        "\u{ff15}",
    ];
    refused(
        &lengths.map(|length| {
            format!("POST /banking/a HTTP/1.1\r\nHOST\r\nContent-Length: {length}\r\n\r\nhello")
        }),
    );
}

#[test]
fn the_only_coding_is_chunked_and_once() {
    let codings = [
        "gzip, chunked",
        "chunked, identity",
        "chunked, chunked",
        "chunked,",
        ", chunked",
        "xchunked",
        "chunkedx",
        "chunked\r\nTransfer-Encoding: chunked",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity",
        "gzip",
        "",
        "\"chunked\"",
        "chunked;a=b",
        "chun ked",
        "\u{b}chunked",
        "chunked\u{b}",
        "\u{c}chunked",
        "\u{a0}chunked",
        "\r\n chunked",
        "chunked\r\n ,identity",
        "\0chunked",
        "chunked\0",
        "chunked\rX: y",
    ];
    refused(&codings.map(|coding| {
        format!(
            "POST /banking/a HTTP/1.1\r\nHOST\r\nTransfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
    }));
}

#[test]
fn a_framing_field_in_disguise_is_refused() {
    let disguises = [
        "Transfer_Encoding: chunked",
        "TRANSFER_ENCODING: x",
        "transfer.encoding: chunked",
        "Transfer~Encoding: chunked",
        "Content_Length: 5",
        "content.length: 5",
        "Content!Length: 5",
    ];
    refused(&disguises.map(|disguise| {
        format!("POST /banking/a HTTP/1.1\r\nHOST\r\n{disguise}\r\nContent-Length: 5\r\n\r\nhello")
    }));
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    for (name, value) in disguises.map(|disguise| disguise.split_once(": ").unwrap()) {
        let response = http2.ask("POST", "/banking/a", &[(name, value)], b"hello").unwrap();
        assert_eq!(response.status, 400, "{name}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn chunks_are_not_for_http_1_0() {
    refused(&[
        "POST /banking/a HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]);
}

#[test]
fn a_line_ends_in_cr_and_lf() {
    refused(&[
        "GET /banking/a HTTP/1.1\nHOST\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\n\n",
        "GET /banking/a HTTP/1.1\nHOST\n\n",
        "\nGET /banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\rX-Contract-Id: 2\r\n\r\n",
        "GET /banking/a HTTP/1.1\rHOST\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\r\r\n\r\n",
    ]);
}

#[test]
fn a_field_has_a_name_a_colon_and_a_clean_value() {
    refused(&[
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA : b\r\n\r\n",
        "POST /banking/a HTTP/1.1\r\nHOST\r\nContent-Length : 5\r\n\r\nhello",
        "POST /banking/a HTTP/1.1\r\nHOST\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\n : b\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\r\n c\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\r\n\tc\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\n HOST\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA(b): c\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA\0: b\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\0c\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\u{1}c\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: b\u{7f}\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nA: \u{b}b\r\n\r\n",
    ]);
}

#[test]
fn a_start_line_is_http_1() {
    refused(&[
        "GET  /banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "GET /banking/a  HTTP/1.1\r\nHOST\r\n\r\n",
        "GET /banking/a x HTTP/1.1\r\nHOST\r\n\r\n",
        "GET /banking/a\r\nHOST\r\n\r\n",
        "GET /banking/a HTTP/1.2\r\nHOST\r\n\r\n",
        "GET /banking/a HTTP/2.0\r\nHOST\r\n\r\n",
        "GET /banking/a HTTP/0.9\r\nHOST\r\n\r\n",
        "GET /banking/a http/1.1\r\nHOST\r\n\r\n",
        "G(T /banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        " GET /banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
}

#[test]
fn a_request_names_its_host_once() {
    refused(&[
        "GET /banking/a HTTP/1.1\r\n\r\n",
        "GET /banking/a HTTP/1.0\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nhost: other.example\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST\r\nHOST2: a\r\nHo_st: a\r\nHost: b\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST:\r\n\r\n",
        "GET /banking/a HTTP/1.1\r\nHOST:https\r\n\r\n",
        "GET https://other.example/banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "GET http://cert.mihonbank.example/banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "GET https://cert.mihonbank.example@other.example/banking/a HTTP/1.1\r\nHOST\r\n\r\n",
        "GET https://cert.mihonbank.example/banking/a HTTP/1.1\r\nHost: other.example\r\n\r\n",
    ]);
}

#[test]
fn a_target_in_absolute_form_is_forwarded_in_origin_form() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let response = gate.tanaka().get(CERT, "https://CERT.mihonbank.example/banking/a?b");
    assert_eq!(response.status, 200);
    assert_eq!(backend.only().line(), "GET /banking/a?b");
    assert_eq!(backend.only().value("host").as_deref(), Some(CERT));
}
