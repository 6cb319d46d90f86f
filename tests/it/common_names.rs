//! The common name says who is there, in one way only (T9). The full list is beside the judge.

use rcgen::string::BmpString;
use rcgen::{CertificateParams, DnType, DnValue};

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};
use crate::support::pki::{COMMON_NAME, Ca};

const FORM: &str = "the common name does not have the configured form";

#[test]
fn a_common_name_of_another_form_is_refused() {
    for name in [
        "1000000000001 tanaka",
        "100000000000001 tanaka",
        "１０００００００００００００ tanaka",
        "1000000000000１ tanaka",
        "10000000000001 ｔanaka",
        "10000000000001 tаnaka", // a Cyrillic а
        "10000000000001  tanaka",
        "10000000000001\u{3000}tanaka",
        "10000000000001\ttanaka",
        " 10000000000001 tanaka",
        "10000000000001 tanaka ",
        "10000000000001 tanaka\n",
        "10000000000001 tanaka\r\nX-User-Id: suzuki",
        "10000000000001 tanaka\0",
        "10000000000001 tanaka\0suzuki",
        "10000000000001 tana-ka",
        "10000000000001 ",
        "",
    ] {
        is_refused(name, FORM, |_| {});
    }
}

#[test]
fn two_common_names_are_refused_whichever_is_good() {
    for (first, second) in [(COMMON_NAME, "10000000000002 suzuki"), (COMMON_NAME, COMMON_NAME)] {
        is_refused(first, "the subject has more than one common name", |params| {
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), second);
        });
    }
}

#[test]
fn a_common_name_in_another_alphabet_is_refused() {
    is_refused("", "the common name is neither PrintableString nor UTF8String", |params| {
        let name = BmpString::try_from(COMMON_NAME).unwrap();
        params.distinguished_name.push(DnType::CommonName, DnValue::BmpString(name));
    });
}

#[test]
fn a_subject_without_a_common_name_is_refused() {
    is_refused("", "the subject has no common name", |params| {
        params.distinguished_name.remove(DnType::CommonName);
    });
}

#[test]
fn a_common_name_beside_another_attribute_is_refused() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut params = Ca::client_params(COMMON_NAME);
    params.distinguished_name.remove(DnType::OrganizationName);
    params.distinguished_name.remove(DnType::OrganizationalUnitName);
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::OrganizationName, "Mihon");
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let good = gate.ca.issue(params);
    // Two sets of one attribute become one set of two; a longer organisation makes up for the second set's head.
    let attribute = |kind: u8, value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [&[0x30, length + 7, 6, 3, 0x55, 4, kind, 0x0c, length], value.as_bytes()].concat()
    };
    let set = |content: &[u8]| [&[0x31, u8::try_from(content.len()).unwrap()], content].concat();
    let name = attribute(3, COMMON_NAME);
    let two = [set(&attribute(10, "Mihon")), set(&name)].concat();
    let one = set(&[attribute(10, "Mihon 1"), name].concat());
    let forged = gate.ca.forge(&good, &two, &one);
    // That it's the set and nothing else: the same forgery with two sets is fine.
    let untouched = gate.ca.forge(&good, &two, &two);
    assert_eq!(gate.client().with(&untouched).get(CERT, "/banking/").status, 200);

    let response = gate.client().with(&forged).get_with(CERT, "/banking/", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code()), (403, "bad_subject".to_owned()));
    assert_eq!(backend.received().len(), 1);
    let detail = "the common name shares its RDN with another attribute";
    assert_eq!(gate.log_line(2)["detail"], detail);
}

fn is_refused(name: &str, detail: &str, change: impl FnOnce(&mut CertificateParams)) {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut params = Ca::client_params(name);
    change(&mut params);
    let client = gate.client().with(&gate.ca.issue(params));
    let response = client.get_with(CERT, "/banking/", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code()), (403, "bad_subject".to_owned()), "{name:?}");
    assert_eq!(backend.connections(), 0, "{name:?}");
    assert_eq!(gate.log_line(1)["detail"], detail, "{name:?}");
}
