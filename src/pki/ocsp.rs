//! OCSP (RFC 6960) about the gateway's own certificates: the question to a responder, and responses, believed before
//! they are stapled.
//!
//! A bad one does more harm than none: browsers refuse a connection with a stapled "revoked", and some with a stale one.
//! Our own strict reader of DER does, because so little of the structure matters.

mod request;

use std::fmt;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::certificate::parse;
use super::der::{self, Element};
use super::signature::Signed;
use super::validity::Validity;

pub use request::ocsp_request;

/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// 1.3.14.3.2.26. In a certID it only finds the certificate; nothing is proven by it.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// 2.16.840.1.101.3.4.2.1
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

/// `[0]`, `[1]` and `[2]`, constructed.
const CONTEXT: [u8; 3] = [0xa0, 0xa1, 0xa2];
/// The choices of a CertStatus.
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
const UNKNOWN: u8 = 0x82;

/// Most bytes of a response. TLS 1.3 has room for 64 KiB of all that goes with a certificate; a response with the
/// certificate of its responder has two.
pub const LARGEST_RESPONSE: usize = 32 * 1024;

const BROKEN: &str = "it is not a well-formed OCSP response";
const NO_ISSUER: &str = "the chain lacks the issuer's certificate, by which a response is verified";

/// A response that may be stapled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// As it goes to clients.
    pub der: Vec<u8>,
    /// Its thisUpdate: of two, the later one knows better.
    pub from: Timestamp,
    /// Its nextUpdate: not stapled from then on.
    pub until: Timestamp,
}

/// Why a response is not stapled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStaple {
    /// In force and signed by whom it has to be, it says that the certificate is revoked.
    Revoked {
        /// Since when.
        since: Timestamp,
        /// Its thisUpdate.
        from: Timestamp,
    },
    /// Anything else: it proves nothing.
    Unfit(String),
}

impl fmt::Display for NoStaple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { since, .. } => write!(f, "it says that the certificate is revoked since {since}"),
            Self::Unfit(problem) => f.write_str(problem),
        }
    }
}

impl From<&str> for NoStaple {
    fn from(problem: &str) -> Self {
        Self::Unfit(problem.to_owned())
    }
}

/// Believes `response` if it says, signed by the certificate's issuer or by whom that has appointed, that the first
/// certificate of `chain` is good at `now`. The second must be the issuer's.
pub fn staple(response: Vec<u8>, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Staple, NoStaple> {
    let [leaf, issuer, ..] = chain else { return Err(NO_ISSUER.into()) };
    let issuer = Issuer::of(issuer).ok_or("the issuer's certificate cannot be read")?;
    if response.len() > LARGEST_RESPONSE {
        return Err(NoStaple::Unfit(format!("it is larger than {LARGEST_RESPONSE} bytes")));
    }
    let basic = Basic::read(&response)?;
    if !basic.is_by(&issuer, now) {
        return Err("neither the certificate's issuer nor a responder of theirs has signed it".into());
    }
    let single = basic
        .responses
        .iter()
        .find(|single| is_about(single.id, leaf, &issuer).unwrap_or(false))
        .ok_or("it is about another certificate")?;
    let (from, until) = (single.from, single.until.ok_or("it has no nextUpdate")?);
    if from > now {
        return Err(NoStaple::Unfit(format!("it is not in force yet: its thisUpdate is {from}")));
    }
    if until <= now {
        return Err(NoStaple::Unfit(format!("it is out of date: its nextUpdate was {until}")));
    }
    match single.status {
        Status::Good => Ok(Staple { der: response, from, until }),
        Status::Revoked(since) => Err(NoStaple::Revoked { since, from }),
        Status::Unknown => Err("its responder does not know the certificate".into()),
    }
}

/// Reads a response to its end, signed or not.
#[cfg(any(test, fuzzing))]
pub(super) fn read_unverified(response: &[u8], chain: &[CertificateDer<'_>; 2]) {
    let [leaf, issuer] = chain;
    let (Some(issuer), Ok(basic)) = (Issuer::of(issuer), Basic::read(response)) else { return };
    for single in &basic.responses {
        let _ = is_about(single.id, leaf, &issuer);
    }
    for certificate in &basic.certificates {
        let _ = Issuer::appointed(certificate.whole, &issuer, Timestamp::UNIX_EPOCH);
    }
    let _ = basic.is_by(&issuer, Timestamp::UNIX_EPOCH);
}

/// The certificate's issuer, or whom that has appointed.
struct Issuer {
    name: Vec<u8>,
    /// Content of the SubjectPublicKeyInfo.
    key: Vec<u8>,
}

impl Issuer {
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

    /// The key itself, of which names of keys are made.
    fn key_bits(&self) -> Option<&[u8]> {
        let [_, bits] = der::all(&self.key)?[..] else { return None };
        der::whole_bytes(inside(bits, der::BIT_STRING)?)
    }

    /// Whether a response's ResponderID is theirs. Clients look for the responder's certificate by it.
    fn is(&self, id: Element<'_>) -> bool {
        let is_key = |key: &[u8]| {
            self.key_bits().is_some_and(|bits| digest(&SHA1_FOR_LEGACY_USE_ONLY, bits).as_ref() == key)
        };
        match id.tag {
            tag if tag == CONTEXT[1] => id.content == self.name,
            _ => der::only(id.content, der::OCTET_STRING).is_some_and(is_key),
        }
    }
}

/// A BasicOCSPResponse.
struct Basic<'a> {
    signed: Signed<'a>,
    responder: Element<'a>,
    responses: Vec<Single<'a>>,
    certificates: Vec<Element<'a>>,
}

/// What it says of one certificate.
struct Single<'a> {
    id: &'a [u8],
    status: Status,
    from: Timestamp,
    until: Option<Timestamp>,
}

enum Status {
    Good,
    /// Since then.
    Revoked(Timestamp),
    Unknown,
}

impl<'a> Basic<'a> {
    fn read(response: &'a [u8]) -> Result<Self, NoStaple> {
        let parts = der::only(response, der::SEQUENCE).and_then(der::all).ok_or(BROKEN)?;
        let (status, bytes) = parts.split_first().ok_or(BROKEN)?;
        if status.tag != der::ENUMERATED {
            return Err(BROKEN.into());
        }
        if let [code] = *status.content
            && code != 0
        {
            return Err(NoStaple::Unfit(format!("the responder could not answer: {}", refusal(code))));
        }
        match (status.content, bytes) {
            ([0], [bytes]) => Self::read_bytes(*bytes).ok_or(BROKEN.into()),
            _ => Err(BROKEN.into()),
        }
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
        // A version (there is only one), who says it, when it was made, of what, extensions.
        let data = der::all(inside(data, der::SEQUENCE)?)?;
        let (responder, made, list) = match data[..] {
            [responder, made, list] => (responder, made, list),
            [responder, made, list, rest] if rest.tag == CONTEXT[1] => (responder, made, list),
            [version, responder, made, list] if version.tag == CONTEXT[0] => (responder, made, list),
            [version, responder, made, list, rest] if version.tag == CONTEXT[0] && rest.tag == CONTEXT[1] => {
                (responder, made, list)
            }
            _ => return None,
        };
        if !CONTEXT[1..].contains(&responder.tag) {
            return None;
        }
        time(inside(made, der::GENERALIZED_TIME)?)?;
        let list = der::all(inside(list, der::SEQUENCE)?)?;
        let responses = list.into_iter().map(Single::read).collect::<Option<_>>()?;
        Some(Self { signed, responder, responses, certificates })
    }

    fn is_by(&self, issuer: &Issuer, now: Timestamp) -> bool {
        let has_signed = |who: &Issuer| who.is(self.responder) && self.signed.is_by(&who.key);
        let mut appointed = self.certificates.iter();
        has_signed(issuer)
            || appointed.any(|certificate| {
                Issuer::appointed(certificate.whole, issuer, now).is_some_and(|who| has_signed(&who))
            })
    }
}

impl<'a> Single<'a> {
    fn read(single: Element<'a>) -> Option<Self> {
        let parts = der::all(inside(single, der::SEQUENCE)?)?;
        let [id, status, from, ref rest @ ..] = parts[..] else { return None };
        let until = match rest {
            [] => None,
            [until] | [until, _] if until.tag == CONTEXT[0] => {
                Some(time(der::only(until.content, der::GENERALIZED_TIME)?)?)
            }
            [extensions] if extensions.tag == CONTEXT[1] => None,
            _ => return None,
        };
        let from = time(inside(from, der::GENERALIZED_TIME)?)?;
        let status = Status::read(status)?;
        Some(Self { id: inside(id, der::SEQUENCE)?, status, from, until })
    }
}

impl Status {
    fn read(status: Element<'_>) -> Option<Self> {
        match (status.tag, status.content) {
            (GOOD, []) => Some(Self::Good),
            (UNKNOWN, []) => Some(Self::Unknown),
            (REVOKED, content) => {
                let (since, _reason) = der::first(content)?;
                Some(Self::Revoked(time(inside(since, der::GENERALIZED_TIME)?)?))
            }
            _ => None,
        }
    }
}

/// An OCSPResponseStatus, in the RFC's words.
fn refusal(code: u8) -> &'static str {
    match code {
        1 => "malformedRequest",
        2 => "internalError",
        3 => "tryLater",
        5 => "sigRequired",
        6 => "unauthorized",
        _ => "for a reason that is not known",
    }
}

/// Whether a CertID is that of `leaf`.
fn is_about(id: &[u8], leaf: &CertificateDer<'_>, issuer: &Issuer) -> Option<bool> {
    let [algorithm, name, key, serial] = der::all(id)?[..] else { return None };
    let oid = der::first(inside(algorithm, der::SEQUENCE)?)?.0.content;
    let hash: &Algorithm = match oid {
        SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
        SHA256_OID => &SHA256,
        _ => return None,
    };
    let leaf = parse(leaf)?;
    let issuer_key = issuer.key_bits()?;
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
