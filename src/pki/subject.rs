//! The subject of a certificate → an identity: exactly one common name, of one form, matched by its bytes.
//!
//! What a name looks like is worth nothing (full-width digits, homoglyphs, BMPString, a second CN that another
//! parser would have taken): only bytes count, and whatever could be read in two ways is refused (T9).

use regex::bytes::{Regex, RegexBuilder};

use super::der;
use crate::domain::{ContractId, Identity, Reason, Refusal, UserId};

/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The form that the whole common name must have.
#[derive(Debug, Clone)]
pub(super) struct CommonNameForm(Regex);

impl CommonNameForm {
    /// Takes a regular expression with the named groups `contract` and `user`.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .unicode(false)
                .build()
                .map_err(|error| format!("common_name is not a regular expression over bytes: {error}"))
        };
        // By itself first: `a)|(b` is none, but between the anchors it would be one, and anchored only by half.
        let alone = compile(pattern)?;
        for group in ["contract", "user"] {
            if !alone.capture_names().flatten().any(|name| name == group) {
                return Err(format!("common_name has no group `(?<{group}>…)`"));
            }
        }
        compile(&format!(r"\A(?:{pattern})\z")).map(Self)
    }

    /// Whether both ask for the same form.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }

    /// Whose certificate it is. `subject` is the content of the Name.
    pub(super) fn identity(&self, subject: &[u8]) -> Result<Identity, Refusal> {
        let value = common_name(subject)?;
        let Some(groups) = self.0.captures(value) else {
            return refuse("the common name does not have the configured form");
        };
        let group = |name| groups.name(name).and_then(|group| str::from_utf8(group.as_bytes()).ok());
        let Some(contract) = group("contract").and_then(|text| ContractId::new(text).ok()) else {
            return refuse("the contract ID is not 1 to 30 half-width letters and digits");
        };
        let Some(user) = group("user").and_then(|text| UserId::new(text).ok()) else {
            return refuse("the user ID is not 1 to 30 half-width letters and digits");
        };
        Ok(Identity { contract, user })
    }
}

/// The value of the one common name in a Name.
fn common_name(subject: &[u8]) -> Result<&[u8], Refusal> {
    const BROKEN: Refusal = Refusal::new(Reason::BadSubject, "the subject cannot be read");

    let mut found = Vec::new();
    for rdn in der::all(subject).ok_or(BROKEN)? {
        if rdn.tag != der::SET {
            return Err(BROKEN);
        }
        let attributes = der::all(rdn.content).ok_or(BROKEN)?;
        // X.501, section 9.3: at least one. Others stop reading at an empty one, and would find no name behind it.
        if attributes.is_empty() {
            return Err(BROKEN);
        }
        for attribute in &attributes {
            if attribute.tag != der::SEQUENCE {
                return Err(BROKEN);
            }
            let [kind, value] = der::all(attribute.content).ok_or(BROKEN)?[..] else { return Err(BROKEN) };
            if kind.tag != der::OBJECT_IDENTIFIER {
                return Err(BROKEN);
            }
            if kind.content == COMMON_NAME {
                found.push((value, attributes.len()));
            }
        }
    }
    match found[..] {
        [] => refuse("the subject has no common name"),
        [(_, 2..)] => refuse("the common name shares its RDN with another attribute"),
        [(value, _)] if ![UTF8_STRING, PRINTABLE_STRING].contains(&value.tag) => {
            refuse("the common name is neither PrintableString nor UTF8String")
        }
        [(value, _)] => Ok(value.content),
        _ => refuse("the subject has more than one common name"),
    }
}

fn refuse<T>(detail: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Reason::BadSubject, detail))
}
