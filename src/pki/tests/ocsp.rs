//! RFC 6960, section 3.2: which responses about the gateway's own certificate are believed, and stapled.

use jiff::SignedDuration;
use rcgen::{ExtendedKeyUsagePurpose, SerialNumber, date_time_ymd};
use rustls::pki_types::CertificateDer;

use crate::pki::testing::ocsp::{
    Response, UNKNOWN, by_key, by_name, cert_id, cert_id_sha256, refusal, revoked,
};
use crate::pki::testing::{CN, Ca, at, now, tlv};
use crate::pki::{LARGEST_RESPONSE, NoStaple, der, ocsp_request, staple};

const STRANGER: &str = "neither the certificate's issuer nor a responder of theirs has signed it";
const OTHER: &str = "it is about another certificate";
const BROKEN: &str = "it is not a well-formed OCSP response";

struct House {
    ca: Ca,
    leaf: CertificateDer<'static>,
}

impl House {
    fn new() -> Self {
        let ca = Ca::root("Mihon Bank CA-G1");
        Self { leaf: ca.leaf(CN), ca }
    }

    fn response(&self) -> Response {
        Response::about(&self.leaf, &self.ca)
    }

    /// What becomes of a response that the CA signs, with this change.
    fn said_by_ca(&self, change: impl FnOnce(&mut Response)) -> String {
        let mut response = self.response();
        change(&mut response);
        self.verdict(self.ca.answers(&response))
    }

    /// `good`, or why it is not stapled.
    fn verdict(&self, response: Vec<u8>) -> String {
        match staple(response.clone(), &[self.leaf.clone(), self.ca.der().clone()], now()) {
            Ok(staple) => {
                assert_eq!(staple.der, response);
                "good".to_owned()
            }
            Err(problem) => problem.to_string(),
        }
    }
}

#[test]
fn the_issuers_own_word_is_believed_by_name_by_key_and_by_either_hash() {
    let house = House::new();
    let response = house.ca.answers(&house.response());
    let believed = staple(response, &[house.leaf.clone(), house.ca.der().clone()], now()).unwrap();
    assert_eq!((believed.from, believed.until), (at("2026-05-31T23:00:00Z"), at("2026-06-01T23:00:00Z")));
    assert_eq!(house.said_by_ca(|it| it.responder = by_key(house.ca.der())), "good");
    assert_eq!(house.said_by_ca(|it| it.id = cert_id_sha256(&house.leaf, house.ca.der())), "good");
}

#[test]
fn whoever_the_issuer_appointed_is_believed_and_nobody_else() {
    let house = House::new();
    let by = |(certificate, key): (CertificateDer<'static>, rcgen::KeyPair)| {
        let mut response = house.response();
        response.responder = by_name(&certificate);
        response.certificates = vec![certificate];
        house.verdict(response.signed(&key))
    };
    assert_eq!(by(house.ca.responder(|_| {})), "good");
    let usages = |list: &[ExtendedKeyUsagePurpose]| {
        let list = list.to_vec();
        by(house.ca.responder(|params| params.extended_key_usages = list))
    };
    assert_eq!(usages(&[]), STRANGER);
    assert_eq!(usages(&[ExtendedKeyUsagePurpose::ServerAuth]), STRANGER);
    assert_eq!(usages(&[ExtendedKeyUsagePurpose::Any]), STRANGER);
    assert_eq!(by(house.ca.responder(|it| it.not_after = date_time_ymd(2026, 5, 31))), STRANGER);
    assert_eq!(by(house.ca.responder(|it| it.not_before = date_time_ymd(2026, 6, 2))), STRANGER);
    // Of the same name, and of another one.
    assert_eq!(by(Ca::root("Mihon Bank CA-G1").responder(|_| {})), STRANGER);
    assert_eq!(by(Ca::root("Mihon Bank CA-G2").responder(|_| {})), STRANGER);
    // Appointed by one whom the issuer made a CA: not by the issuer itself (RFC 6960, section 4.2.2.2).
    assert_eq!(by(house.ca.intermediate("Mihon Bank CA-G1-1").responder(|_| {})), STRANGER);
}

#[test]
fn the_named_responder_is_the_one_that_has_signed() {
    let house = House::new();
    let (certificate, key) = house.ca.responder(|_| {});
    let (other, _) = house.ca.responder(|params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "OCSP 2");
    });
    let by = |responder: Vec<u8>| {
        let mut response = house.response();
        (response.responder, response.certificates) = (responder, vec![other.clone(), certificate.clone()]);
        house.verdict(response.signed(&key))
    };
    assert_eq!(by(by_name(&certificate)), "good");
    assert_eq!(by(by_key(&certificate)), "good");
    for responder in [by_name(&other), by_key(&other), by_name(house.ca.der()), by_key(house.ca.der())] {
        assert_eq!(by(responder), STRANGER);
    }
    assert_eq!(house.said_by_ca(|it| it.responder = by_key(&certificate)), STRANGER);
    assert_eq!(house.said_by_ca(|it| it.responder = tlv(0xa3, &it.responder[2..])), BROKEN);
    // Without the responder's certificate nobody can tell who that is.
    let mut bare = house.response();
    bare.responder = by_name(&certificate);
    assert_eq!(house.verdict(bare.signed(&key)), STRANGER);
}

#[test]
fn a_response_about_another_certificate_is_not_stapled() {
    let house = House::new();
    let other = house.ca.leaf_with(CN, |params| params.serial_number = Some(SerialNumber::from(0x0abd_u64)));
    assert_eq!(house.said_by_ca(|it| it.id = cert_id(&other, house.ca.der())), OTHER);
    // The same serial of another issuer, which has the same name, or the same key.
    let namesake = Ca::root("Mihon Bank CA-G1");
    assert_eq!(house.said_by_ca(|it| it.id = cert_id(&house.leaf, namesake.der())), OTHER);
    let renamed = house.ca.again(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    assert_eq!(house.said_by_ca(|it| it.id = cert_id(&house.leaf, renamed.der())), OTHER);
}

#[test]
fn only_a_response_in_force_is_stapled() {
    let house = House::new();
    let second = SignedDuration::from_secs(1);
    assert_eq!(house.said_by_ca(|it| it.from = now()), "good");
    assert_eq!(house.said_by_ca(|it| it.until = Some(now() + second)), "good");
    let told = "it is not in force yet: its thisUpdate is 2026-06-01T00:00:01Z";
    assert_eq!(house.said_by_ca(|it| it.from = now() + second), told);
    let told = "it is out of date: its nextUpdate was 2026-06-01T00:00:00Z";
    assert_eq!(house.said_by_ca(|it| it.until = Some(now())), told);
    assert_eq!(house.said_by_ca(|it| it.until = None), "it has no nextUpdate");
}

#[test]
fn revoked_is_told_from_all_else() {
    let house = House::new();
    let since = at("2026-05-20T12:00:00Z");
    let told = "it says that the certificate is revoked since 2026-05-20T12:00:00Z";
    assert_eq!(house.said_by_ca(|it| it.status = revoked(since)), told);
    // By nobody, or long ago, it proves nothing.
    let mut lie = house.response();
    lie.status = revoked(since);
    assert_eq!(house.verdict(Ca::root("Mihon Bank CA-G1").answers(&lie)), STRANGER);
    (lie.from, lie.until) = (since, Some(since + SignedDuration::from_hours(24)));
    let told = "it is out of date: its nextUpdate was 2026-05-21T12:00:00Z";
    assert_eq!(house.verdict(house.ca.answers(&lie)), told);
    assert_eq!(
        house.said_by_ca(|it| it.status = UNKNOWN.to_vec()),
        "its responder does not know the certificate"
    );
    for status in [&[0x80, 1, 0][..], &[0xa0, 0], &[0x83, 0], &[0xa1, 0]] {
        assert_eq!(house.said_by_ca(|it| it.status = status.to_vec()), BROKEN);
    }
}

#[test]
fn a_responder_that_could_not_answer_says_why() {
    let house = House::new();
    for (status, why) in [
        (1, "malformedRequest"),
        (2, "internalError"),
        (3, "tryLater"),
        (5, "sigRequired"),
        (6, "unauthorized"),
        (4, "for a reason that is not known"),
    ] {
        assert_eq!(house.verdict(refusal(status)), format!("the responder could not answer: {why}"));
    }
    // "Successful" and nothing more.
    assert_eq!(house.verdict(refusal(0)), BROKEN);
}

#[test]
fn a_response_is_read_to_its_last_byte_and_not_beyond() {
    let house = House::new();
    let (certificate, key) = house.ca.responder(|_| {});
    let mut response = house.response();
    (response.responder, response.certificates) = (by_name(&certificate), vec![certificate]);
    let whole = response.signed(&key);
    assert_eq!(house.verdict(whole.clone()), "good");
    for length in 0..whole.len() {
        assert_eq!(house.verdict(whole[..length].to_vec()), BROKEN, "{length}");
    }
    assert_eq!(house.verdict([&*whole, &[0]].concat()), BROKEN);
    let doubled = tlv(der::SEQUENCE, &[&whole[4..], &[5, 0]].concat());
    assert_eq!(house.verdict(doubled), BROKEN);
}

#[test]
fn a_response_with_one_bit_flipped_is_never_another_that_is_believed() {
    let house = House::new();
    let whole = house.ca.answers(&house.response());
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 1;
        assert_ne!(house.verdict(flipped), "good", "byte {index}");
    }
}

#[test]
fn what_would_not_fit_into_a_handshake_is_not_stapled() {
    let house = House::new();
    let mut response = house.response();
    response.certificates = vec![house.ca.der().clone(); 100];
    let told = format!("it is larger than {LARGEST_RESPONSE} bytes");
    assert_eq!(house.verdict(house.ca.answers(&response)), told);
}

#[test]
fn the_question_names_the_certificate_and_nothing_else() {
    let house = House::new();
    let question = ocsp_request(&[house.leaf.clone(), house.ca.der().clone()]).unwrap();
    let id = cert_id(&house.leaf, house.ca.der());
    // OCSPRequest, TBSRequest, requestList, Request.
    let expected = (0..4).fold(id, |inside, _| tlv(der::SEQUENCE, &inside));
    assert_eq!(question, expected);
}

#[test]
fn without_the_issuers_certificate_there_is_no_question_and_no_staple() {
    let house = House::new();
    let told = "the chain lacks the issuer's certificate, by which a response is verified";
    let stranger = Ca::root("Mihon Bank CA-G2");
    assert_eq!(ocsp_request(std::slice::from_ref(&house.leaf)), Err(told));
    assert_eq!(ocsp_request(&[house.leaf.clone(), stranger.der().clone()]), Err(told));
    let response = house.ca.answers(&house.response());
    let refused = staple(response, std::slice::from_ref(&house.leaf), now());
    assert_eq!(refused, Err(NoStaple::Unfit(told.to_owned())));
}
