//! What of a route's answers is compressed, and in which coding a client would like it (RFC 9110, section 12.5.3).

use crate::config::{self, Coding, MediaRange};
use crate::edge::fields::{Field, tokens};

/// What of a route's answers is compressed.
#[derive(Debug)]
pub(in crate::edge) struct Compression {
    codings: Vec<Coding>,
    minimum: u64,
    types: Vec<MediaRange>,
}

/// How much somebody wants a coding: from 0, not at all, to 1000.
type Weight = u16;

impl Compression {
    pub(super) fn new(compression: &config::Compression) -> Self {
        let config::Compression { codings, minimum, types, despite_secrets: _ } = compression;
        Self { codings: codings.clone(), minimum: minimum.bytes(), types: types.clone() }
    }

    /// The coding that whoever sends these fields wants most; the first of those that are wanted equally. `None` if it wants
    /// none, or wants the answer as it is.
    pub(in crate::edge) fn choose(&self, fields: &[Field<'_>]) -> Option<Coding> {
        if forbids_transforming(fields) {
            return None;
        }
        let mut best: Option<(Coding, Weight)> = None;
        for &coding in &self.codings {
            let weight = weight_of(fields, coding.name()).unwrap_or(0);
            if weight > best.map_or(0, |(_, best)| best) {
                best = Some((coding, weight));
            }
        }
        // What isn't encoded is fine for those who say nothing of it, but what they name is better.
        let (coding, weight) = best?;
        (weight >= weight_of(fields, "identity").unwrap_or(0)).then_some(coding)
    }

    /// Whether it is for a body of this type and length.
    pub(in crate::edge) fn is_for(&self, content_type: &[u8], length: Option<u64>) -> bool {
        let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        // A list is no media type, whatever its first member is.
        let is_one = media_type.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',');
        let Some(media_type) = std::str::from_utf8(media_type).ok().filter(|_| is_one) else { return false };
        let is_grpc = media_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
        length.is_none_or(|length| length >= self.minimum)
            && !is_grpc
            && self.types.iter().any(|range| range.holds(media_type))
    }
}

/// gRPC's media types begin so. Its messages are compressed one by one, if its two ends have agreed on that.
const GRPC: &str = "application/grpc";

/// Whether somebody wants the message as it is (RFC 9111, sections 5.2.1.6 and 5.2.2.6).
pub(in crate::edge) fn forbids_transforming(fields: &[Field<'_>]) -> bool {
    tokens(fields, "cache-control").any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// How much a coding is wanted, by its own name or as one of all the others; `None` if nothing is said of it.
fn weight_of(fields: &[Field<'_>], coding: &str) -> Option<Weight> {
    let mut others = None;
    for member in tokens(fields, "accept-encoding") {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.next().map_or(Some(1000), weight).filter(|_| parts.next().is_none());
        // Whoever can't be understood is given nothing that it may not have wanted.
        let weight = weight.unwrap_or(0);
        if is_named(name, coding) {
            return Some(weight);
        } else if name == b"*" {
            others.get_or_insert(weight);
        }
    }
    others
}

/// Whether a coding has this name. Gzip has an old one, too (RFC 9110, section 8.4.1.3).
fn is_named(name: &[u8], coding: &str) -> bool {
    name.eq_ignore_ascii_case(coding.as_bytes()) || coding == "gzip" && name.eq_ignore_ascii_case(b"x-gzip")
}

/// `q=0.5` and the like, in thousandths.
fn weight(parameter: &[u8]) -> Option<Weight> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0'));
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compression(codings: &[Coding]) -> Compression {
        let types = serde_json::from_str(r#"["text/*", "application/json", "application/*+json"]"#).unwrap();
        Compression { codings: codings.into(), minimum: 1024, types }
    }

    fn chosen(codings: &[Coding], lines: &[(&str, &str)]) -> Option<&'static str> {
        let fields: Vec<_> = lines
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        compression(codings).choose(&fields).map(Coding::name)
    }

    #[test]
    fn a_client_gets_the_coding_that_it_wants_most() {
        for (accept, expected) in [
            // The gate's own order decides among equals.
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, br", Some("br")),
            ("gzip;q=0.5, br;q=0.5", Some("br")),
            ("gzip;q=1.0, br;q=0.9, zstd;q=0.8", Some("gzip")),
            ("gzip;q=0.002, br;q=0.001", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip ; Q=0.5", Some("gzip")),
            ("gzip\t;\tq=1.", Some("gzip")),
            // What isn't named is meant by `*`.
            ("*", Some("zstd")),
            ("*;q=0.1", Some("zstd")),
            ("zstd;q=0, *", Some("br")),
            ("*;q=0.5, gzip", Some("gzip")),
            ("*;q=0.5, zstd;q=0.4, br;q=0.1", Some("gzip")),
            ("gzip, *;q=0", Some("gzip")),
            ("*;q=0", None),
            // Not at all.
            ("", None),
            ("deflate", None),
            ("gzip;q=0", None),
            ("gzip;q=0.000, br;q=0", None),
            ("compress;q=1, gzip;q=0", None),
            ("zstd;q=0, gzip", Some("gzip")),
            // `identity` is what is there anyway.
            ("identity", None),
            ("identity, gzip", Some("gzip")),
            ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
            ("identity;q=0.6, gzip;q=0.5", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0, gzip;q=0.1", Some("gzip")),
            ("identity;q=0", None),
            ("identity;q=0, *", Some("zstd")),
            ("*;q=0.5, zstd;q=0.1, br;q=0.1, gzip;q=0.1", None),
            // What isn't a weight is none.
            ("gzip;q=1.1", None),
            ("gzip;q=0.1234", None),
            ("gzip;q=-1", None),
            ("gzip;q=", None),
            ("gzip;q=.5", None),
            ("gzip;level=9", None),
            ("gzip;q=1;level=9", None),
            ("gzip;q=2, br", Some("br")),
            (",, gzip ,", Some("gzip")),
            ("gzipped, brotli", None),
        ] {
            assert_eq!(chosen(&Coding::ALL, &[("accept-encoding", accept)]), expected, "{accept}");
        }
    }

    #[test]
    fn whoever_says_nothing_gets_the_answer_as_it_is() {
        assert_eq!(chosen(&Coding::ALL, &[]), None);
        assert_eq!(chosen(&Coding::ALL, &[("accept", "gzip")]), None);
        assert_eq!(chosen(&[], &[("accept-encoding", "gzip")]), None);
        assert_eq!(chosen(&[Coding::Br], &[("accept-encoding", "gzip")]), None);
        // Several lines are one list.
        let lines = [("Accept-Encoding", "deflate"), ("accept-encoding", "br")];
        assert_eq!(chosen(&Coding::ALL, &lines), Some("br"));
        // The order is the operator's.
        let lines = [("accept-encoding", "zstd, br, gzip")];
        assert_eq!(chosen(&[Coding::Gzip, Coding::Zstd], &lines), Some("gzip"));
    }

    #[test]
    fn whoever_wants_no_transformation_gets_none() {
        for (directive, expected) in [
            ("no-transform", None),
            ("no-cache, No-Transform", None),
            ("no-cache", Some("gzip")),
            ("no-transformation", Some("gzip")),
        ] {
            let lines = [("accept-encoding", "gzip"), ("cache-control", directive)];
            assert_eq!(chosen(&Coding::ALL, &lines), expected, "{directive}");
        }
    }

    #[test]
    fn only_what_gains_by_it_is_compressed() {
        let is_for = |content_type: &str, length| compression(&[]).is_for(content_type.as_bytes(), length);
        for good in ["text/html", "Text/HTML ; charset=utf-8", "application/json", "application/a+json;a=b"] {
            assert!(is_for(good, None) && is_for(good, Some(1024)), "{good}");
            assert!(!is_for(good, Some(1023)), "{good}");
        }
        for bad in ["", "image/png", "application/octet-stream", "text", "text/html, text/css"] {
            assert!(!is_for(bad, None), "{bad}");
        }
        let grpc =
            Compression { types: serde_json::from_str(r#"["application/*"]"#).unwrap(), ..compression(&[]) };
        assert!(grpc.is_for(b"application/json", None));
        for bad in ["application/grpc", "application/grpc+proto", "Application/gRPC-web"] {
            assert!(!grpc.is_for(bad.as_bytes(), None), "{bad}");
        }
    }
}
