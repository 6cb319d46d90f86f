//! Header fields: which are the gate's own, which end at each hop, which speak of framing.
//!
//! Backends see names through CGI-like glasses: `X_Contract_Id`, `X.Contract.Id` and `X-Contract-Id` are one name
//! to many of them. So a name is compared in its folded form: lower case, every other sign a hyphen (T20).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::config::{Headers, OUR_PREFIX, TRACE_FIELDS};
use crate::domain::OUR_COOKIES;

/// A header field as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// A token, in the case that it was sent in.
    pub(super) name: &'a [u8],
    /// Without the white space around it.
    pub(super) value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`, which must be given in lower case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Fields of a single hop (RFC 9110, section 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names whose odd spellings (`Transfer_Encoding`) some backend may take for the real ones.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "host"];

/// Longest name that is compared; a longer one can't be any of ours.
const LONGEST: usize = 64;

/// The names that the gate owns: set or removed on every request, never passed.
#[derive(Debug)]
pub(super) struct OwnedFields {
    folded: Vec<Box<[u8]>>,
    /// Bit n: some owned name is n bytes long. Most fields are told apart by this alone.
    lengths: u128,
}

impl OwnedFields {
    /// Ours by nature, those that the configuration names, and those that hand a trace on if there are any.
    pub(super) fn new(headers: &Headers, traces: bool) -> Self {
        let traced = TRACE_FIELDS.into_iter().filter(|_| traces);
        let folded: Vec<Box<[u8]>> = headers.owned().chain(traced).map(folded).collect();
        let lengths = folded.iter().fold(0, |lengths, name| lengths | 1 << name.len());
        Self { folded, lengths }
    }

    /// Whether the gate owns this name, however it is spelt.
    pub(super) fn owns(&self, name: &[u8]) -> bool {
        if name.len() > OUR_PREFIX.len()
            && name.iter().zip(OUR_PREFIX.as_bytes()).all(|(&byte, &ours)| fold(byte) == ours)
        {
            return true;
        }
        name.len() <= LONGEST
            && self.lengths & (1 << name.len()) != 0
            && self.folded.iter().any(|owned| is_folded(name, owned))
    }
}

/// Bit n: some of the names is n bytes long. Most fields are told apart by their lengths alone.
const fn lengths(names: &[&str]) -> u64 {
    let (mut lengths, mut at) = (0, 0);
    while at < names.len() {
        lengths |= 1 << names[at].len();
        at += 1;
    }
    lengths
}

/// Whether a field is for this hop only.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    const LENGTHS: u64 = lengths(&HOP_BY_HOP);
    name.len() < LONGEST
        && LENGTHS & (1 << name.len()) != 0
        && HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop.as_bytes()))
}

/// Whether a name is a framing field in disguise: not the name itself, but one that folds to it.
pub(super) fn is_disguised_framing(name: &[u8]) -> bool {
    const LENGTHS: u64 = lengths(&FRAMING);
    let is_framing =
        |real: &&str| !name.eq_ignore_ascii_case(real.as_bytes()) && is_folded(name, real.as_bytes());
    name.len() < LONGEST && LENGTHS & (1 << name.len()) != 0 && FRAMING.iter().any(is_framing)
}

/// The tokens of a list field such as `Connection`, over all its lines (RFC 9110, section 5.6.1).
pub(super) fn tokens<'a>(fields: &'a [Field<'a>], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.is(name))
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// The names of fields that `Connection` has for this hop only, gathered once for all fields. Nearly always there are none: what
/// most say there is `keep-alive`, which never goes on in any case.
pub(super) fn named_by_connection<'a>(fields: &'a [Field<'a>]) -> Vec<&'a [u8]> {
    tokens(fields, "connection").filter(|token| !token.eq_ignore_ascii_case(b"keep-alive")).collect()
}

/// Whether a `Cookie` field can have one of the portal's cookies in it. Most have none, and needn't be taken apart.
pub(super) fn can_have_our_cookies(value: &[u8]) -> bool {
    static IN_ALL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("sekisho-"));
    IN_ALL.find(value).is_some()
}

/// A `Cookie` field's pairs that a backend may see: all but the portal's own. `None` if there are none of those.
pub(super) fn without_our_cookies(value: &[u8]) -> Option<Vec<u8>> {
    if !can_have_our_cookies(value) {
        return None;
    }
    let is_ours = |pair: &&[u8]| pair.trim_ascii().starts_with(OUR_COOKIES.as_bytes());
    value.split(|&byte| byte == b';').any(|pair| is_ours(&pair)).then(|| {
        let others: Vec<_> = value
            .split(|&byte| byte == b';')
            .filter(|pair| !is_ours(pair) && !pair.trim_ascii().is_empty())
            .map(<[u8]>::trim_ascii)
            .collect();
        others.join(&b"; "[..])
    })
}

/// A name in its folded form.
pub(super) fn folded(name: &str) -> Box<[u8]> {
    name.bytes().map(fold).collect()
}

/// Whether `name`, folded, is `folded`.
pub(super) fn is_folded(name: &[u8], folded: &[u8]) -> bool {
    name.len() == folded.len() && name.iter().zip(folded).all(|(&byte, &other)| fold(byte) == other)
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_name_is_owned_however_it_is_spelt() {
        let owned = OwnedFields::new(&Headers::default(), false);
        for name in [
            "X-Contract-Id",
            "x-contract-id",
            "X_CONTRACT_ID",
            "x.contract.id",
            "x!contract~id",
            "X-User-Role",
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_anything",
            "X-Request-Id",
            "Client-Cert",
            "Proxy",
        ] {
            assert!(owned.owns(name.as_bytes()), "{name}");
        }
        for name in ["X-Contract", "X-Contract-Idx", "Accept", "X-Forwarded", "Cookie", &"x".repeat(200)] {
            assert!(!owned.owns(name.as_bytes()), "{name}");
        }
        let traced = OwnedFields::new(&Headers::default(), true);
        for name in ["traceparent", "TraceParent", "tracestate"] {
            assert!(traced.owns(name.as_bytes()) && !owned.owns(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn no_backend_sees_the_portals_cookies() {
        let without =
            |value: &str| without_our_cookies(value.as_bytes()).map(|kept| String::from_utf8(kept).unwrap());
        assert_eq!(without("a=b; c=d"), None);
        assert_eq!(without("a=b;__Host-sekisho-session=x.y; c=d"), Some("a=b; c=d".to_owned()));
        assert_eq!(without(" __Host-sekisho-visit=1"), Some(String::new()));
    }

    #[test]
    fn a_framing_field_in_disguise_is_found() {
        assert!(is_disguised_framing(b"Transfer_Encoding"));
        assert!(is_disguised_framing(b"content.length"));
        assert!(!is_disguised_framing(b"Transfer-Encoding"));
        assert!(!is_disguised_framing(b"Content-Type"));
    }

    #[test]
    fn tokens_are_gathered_over_all_lines() {
        let fields = [
            Field { name: b"Connection", value: b"close, X-Contract-Id" },
            Field { name: b"Accept", value: b"a" },
            Field { name: b"connection", value: b" ,te" },
        ];
        let found: Vec<&[u8]> = tokens(&fields, "connection").collect();
        assert_eq!(found, [b"close".as_slice(), b"X-Contract-Id", b"te"]);
    }
}
