//! OCSP responses (RFC 6960) about the gateway's own certificates: believed before they are stapled.
//!
//! A bad one does more harm than none: browsers refuse a connection with a stapled "revoked", and some with a stale one.
//! Our own strict reader of DER does, because so little of the structure matters.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::certificate::parse;
use super::der::{self, Element};
use super::signature::Signed;
use super::validity::Validity;

/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// 1.3.14.3.2.26. In a certID it only finds the certificate; nothing is proven by it.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// 2.16.840.1.101.3.4.2.1
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

/// `[0]`, `[1]` and `[2]`, constructed; and `[0]`, primitive.
const CONTEXT: [u8; 3] = [0xa0, 0xa1, 0xa2];
const GOOD: u8 = 0x80;

const BROKEN: &str = "it is not a well-formed OCSP response";

/// A response that may be stapled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// As it goes to clients.
    pub der: Vec<u8>,
    /// Its nextUpdate: not stapled from then on.
    pub until: Timestamp,
}

/// Believes `response` if it says, signed by the certificate's issuer or by whom that has appointed, that the first
/// certificate of `chain` is good at `now`. The second must be the issuer's.
pub fn staple(response: Vec<u8>, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Staple, String> {
    let [leaf, issuer, ..] = chain else {
        return Err("the chain lacks the issuer's certificate, by which a response is verified".to_owned());
    };
    let issuer = Responder::of(issuer).ok_or("the issuer's certificate cannot be read")?;
    let basic = Basic::read(&response)?;
    if !basic.is_by(&issuer, now) {
        return Err("neither the certificate's issuer nor a responder of theirs has signed it".to_owned());
    }
    let single = basic
        .responses
        .iter()
        .find(|single| is_about(single.id, leaf, &issuer).unwrap_or(false))
        .ok_or("it is about another certificate")?;
    if single.status != GOOD {
        return Err("it does not say that the certificate is good".to_owned());
    }
    let until = single.until.ok_or("it has no nextUpdate")?;
    if single.from > now {
        return Err(format!("it is not in force yet: its thisUpdate is {}", single.from));
    }
    if until <= now {
        return Err(format!("it is out of date: its nextUpdate was {until}"));
    }
    Ok(Staple { der: response, until })
}

/// Who may have signed.
struct Responder {
    name: Vec<u8>,
    /// Content of the SubjectPublicKeyInfo.
    key: Vec<u8>,
}

impl Responder {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = parse(certificate)?;
        let key = der::only(parsed.public_key().raw, der::SEQUENCE)?.to_vec();
        Some(Self { name: parsed.subject().as_raw().to_vec(), key })
    }

    /// Whoever `issuer` appointed by a certificate for signing OCSP responses that is valid now.
    fn appointed(certificate: &[u8], issuer: &Self, now: Timestamp) -> Option<Self> {
        let certificate = CertificateDer::from(certificate);
        let parsed = parse(&certificate)?;
        let appointed = parsed.extended_key_usage().ok()??.value.ocsp_signing
            && parsed.issuer().as_raw() == issuer.name
            && Validity::of(parsed.validity()).contains(now)
            && Signed::read(&certificate)?.is_by(&issuer.key);
        if appointed { Self::of(&certificate) } else { None }
    }
}

/// A BasicOCSPResponse.
struct Basic<'a> {
    signed: Signed<'a>,
    responses: Vec<Single<'a>>,
    certificates: Vec<Element<'a>>,
}

/// What it says of one certificate.
struct Single<'a> {
    id: &'a [u8],
    status: u8,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl<'a> Basic<'a> {
    fn read(response: &'a [u8]) -> Result<Self, &'static str> {
        let parts = der::only(response, der::SEQUENCE).and_then(der::all).ok_or(BROKEN)?;
        let (status, bytes) = parts.split_first().ok_or(BROKEN)?;
        if status.tag != der::ENUMERATED {
            return Err(BROKEN);
        }
        if status.content != [0] {
            return Err("it says that the responder could not answer");
        }
        let [bytes] = bytes else { return Err(BROKEN) };
        Self::read_bytes(*bytes).ok_or(BROKEN)
    }

    fn read_bytes(bytes: Element<'a>) -> Option<Self> {
        let [kind, content] = der::all(der::only(inside(bytes, CONTEXT[0])?, der::SEQUENCE)?)?[..] else {
            return None;
        };
        if inside(kind, der::OBJECT_IDENTIFIER)? != BASIC {
            return None;
        }
        let basic = der::all(der::only(inside(content, der::OCTET_STRING)?, der::SEQUENCE)?)?;
        let (data, algorithm, signature, certificates) = match basic[..] {
            [data, algorithm, signature] => (data, algorithm, signature, Vec::new()),
            [data, algorithm, signature, certificates] => {
                let list = der::only(inside(certificates, CONTEXT[0])?, der::SEQUENCE)?;
                (data, algorithm, signature, der::all(list)?)
            }
            _ => return None,
        };
        let signature = der::whole_bytes(inside(signature, der::BIT_STRING)?)?;
        let signed = Signed::of(data.whole, inside(algorithm, der::SEQUENCE)?, signature);
        // Before the list: perhaps a version, the responder's name or key, the time.
        let data = der::all(inside(data, der::SEQUENCE)?)?;
        let list = data.iter().find(|part| part.tag == der::SEQUENCE)?;
        let responses = der::all(list.content)?.into_iter().map(Single::read).collect::<Option<_>>()?;
        Some(Self { signed, responses, certificates })
    }

    fn is_by(&self, issuer: &Responder, now: Timestamp) -> bool {
        let mut appointed = self.certificates.iter();
        self.signed.is_by(&issuer.key)
            || appointed.any(|certificate| {
                Responder::appointed(certificate.whole, issuer, now)
                    .is_some_and(|responder| self.signed.is_by(&responder.key))
            })
    }
}

impl<'a> Single<'a> {
    fn read(single: Element<'a>) -> Option<Self> {
        let parts = der::all(inside(single, der::SEQUENCE)?)?;
        let [id, status, from, ref rest @ ..] = parts[..] else { return None };
        let until = match rest.iter().find(|part| part.tag == CONTEXT[0]) {
            Some(until) => Some(time(der::only(until.content, der::GENERALIZED_TIME)?)?),
            None => None,
        };
        let from = time(inside(from, der::GENERALIZED_TIME)?)?;
        Some(Self { id: inside(id, der::SEQUENCE)?, status: status.tag, from, until })
    }
}

/// Whether a CertID is that of `leaf`.
fn is_about(id: &[u8], leaf: &CertificateDer<'_>, issuer: &Responder) -> Option<bool> {
    let [algorithm, name, key, serial] = der::all(id)?[..] else { return None };
    let oid = der::first(inside(algorithm, der::SEQUENCE)?)?.0.content;
    let hash: &Algorithm = match oid {
        SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
        SHA256_OID => &SHA256,
        _ => return None,
    };
    let leaf = parse(leaf)?;
    let [_, bits] = der::all(&issuer.key)?[..] else { return None };
    let issuer_key = der::whole_bytes(inside(bits, der::BIT_STRING)?)?;
    let is = |part: Element<'_>, of: &[u8]| {
        part.tag == der::OCTET_STRING && part.content == digest(hash, of).as_ref()
    };
    let same_serial = der::unsigned(inside(serial, der::INTEGER)?)? == der::unsigned(leaf.raw_serial())?;
    Some(same_serial && is(name, leaf.issuer().as_raw()) && is(key, issuer_key))
}

fn inside(element: Element<'_>, tag: u8) -> Option<&[u8]> {
    (element.tag == tag).then_some(element.content)
}

/// `YYYYMMDDHHMMSSZ`, the only form that RFC 6960 allows.
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 15 && text.is_ascii())?;
    let [year, month, day] = [&text[..4], &text[4..6], &text[6..8]];
    let [hour, minute, second, zone] = [&text[8..10], &text[10..12], &text[12..14], &text[14..]];
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}{zone}").parse().ok()
}
