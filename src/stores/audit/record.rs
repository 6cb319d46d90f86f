//! One record: what is written down, how it becomes a line, and what is read of it again.

use std::fmt::Write;
use std::io;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{Link, hash};
use super::key::AuditKey;
use crate::domain::{ContractId, Identity};
use crate::stores::Unavailable;

/// Signs what came before it.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The last of a segment, and its checkpoint.
pub(super) const CLOSED: &str = "segment_closed";
/// The first of a segment that isn't the first one.
pub(super) const OPENED: &str = "segment_opened";

/// Whom a record is about.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum AuditSubject<'a> {
    /// A user of a contract.
    User(&'a Identity),
    /// A contract as a whole.
    Contract {
        /// Its ID.
        contract: &'a ContractId,
    },
}

impl<'a> From<&'a Identity> for AuditSubject<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self::User(identity)
    }
}

impl<'a> From<&'a ContractId> for AuditSubject<'a> {
    fn from(contract: &'a ContractId) -> Self {
        Self::Contract { contract }
    }
}

/// One decision. Its text can't forge a line: everything is encoded as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent<'a> {
    /// When.
    pub time: Timestamp,
    /// What: `sign_in`, `sign_in_refused`, `sign_out`, `suspended`, `lifted`, `pin_changed`, …
    pub kind: &'static str,
    /// Whom it is about. Never IDs that nobody has: people type their PIN into the wrong field.
    #[serde(flatten)]
    pub about: Option<AuditSubject<'a>>,
    /// Who did it: `user`, `gateway`, or `staff:` and the login name.
    pub by: &'a str,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The request's ID, as in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// Why, or how: a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

impl AuditEvent<'_> {
    /// The event as a line, without its place in the chain.
    pub fn line(&self) -> Result<Vec<u8>, Unavailable> {
        let line = serde_json::to_string(self).map_err(|error| Unavailable::new("audit", error))?;
        Ok((escaped(&line) + "\n").into_bytes())
    }
}

/// What the log says of itself.
#[derive(Serialize)]
pub(super) struct Own<'a> {
    pub(super) time: Timestamp,
    pub(super) kind: &'static str,
    pub(super) by: &'static str,
    /// The file that the segment before was put away in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<&'a str>,
    /// Of a head that was behind: the record that it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
    /// Of what comes before: `seq` less one, and `prev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
}

impl<'a> Own<'a> {
    pub(super) const fn new(time: Timestamp, kind: &'static str) -> Self {
        Self { time, kind, by: "gateway", previous: None, detail: None, signature: None }
    }

    pub(super) fn line(mut self, link: &Link, key: Option<&AuditKey>) -> io::Result<Vec<u8>> {
        self.signature = key.map(|key| key.sign(link)).transpose()?;
        Ok(serde_json::to_vec(&self)?)
    }
}

/// A line as it is read again.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditRecord {
    /// Its number, from 1.
    pub seq: u64,
    /// The hash of the line before.
    pub prev: String,
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: String,
    /// Who did it.
    pub by: String,
    /// Whom it is about.
    pub contract: Option<String>,
    /// Whom it is about.
    pub user: Option<String>,
    /// Where the request came from.
    pub source: Option<String>,
    /// The request's ID.
    pub request_id: Option<String>,
    /// Why, or how.
    pub detail: Option<String>,
    /// Of a segment's first record: the file with the segment before.
    pub previous: Option<String>,
    /// Of the log's own records: of all that comes before.
    pub signature: Option<String>,
}

impl AuditRecord {
    /// `None` of what a power cut, or a person, left behind.
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Puts an object's line behind `link`, and returns the link to it.
pub(super) fn chain(line: &[u8], link: &Link, into: &mut Vec<u8>) -> Link {
    let seq = link.seq + 1;
    let begin = into.len();
    into.extend_from_slice(format!("{{\"seq\":{seq},\"prev\":\"{}\",", link.hash).as_bytes());
    into.extend_from_slice(line.strip_prefix(b"{").unwrap_or(line));
    let link = Link { seq, hash: hash(&into[begin..]) };
    into.push(b'\n');
    link
}

/// When the first of these lines happened.
pub(super) fn time_of(lines: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Stamp {
        time: Timestamp,
    }
    let line = lines.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Stamp>(line).ok().map(|stamp| stamp.time)
}

/// JSON without characters that would deceive who reads it on a terminal. They stand inside of texts only, where an
/// escape means the same.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if deceives(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing into a text can't fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(char);
        }
    }
    text
}

/// Controls, what turns the direction of writing, what has no width, and tags.
const fn deceives(char: char) -> bool {
    char.is_ascii_control()
        || matches!(char, '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
