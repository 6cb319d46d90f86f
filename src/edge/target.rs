//! The request target: one normalised path for routing, policy, log and backend (T23).
//!
//! What a backend might read otherwise than the router is refused, not guessed at: empty and dot segments, encoded
//! slashes and dots, backslashes, path parameters (`;`), bytes outside of RFC 3986. What is left is put into one
//! form: unreserved characters decoded, hex digits in upper case. Encoded reserved characters (`%3A`, `%40`) stay, as they
//! may mean something else to the backend than plain ones; a path that would be another route's with them decoded is
//! refused as well.

use std::borrow::Cow;

/// A target that could be read in two ways, or in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous(pub(super) &'static str);

/// An absolute path in its one form, and the query as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Starts with `/`.
    pub(super) path: Cow<'a, str>,
    /// Without the `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads a target in origin form: `/path?query`.
    pub(super) fn parse(target: &'a [u8]) -> Result<Self, Ambiguous> {
        if !target.iter().all(|&byte| is_target_byte(byte)) {
            return Err(Ambiguous("a byte that no URI holds"));
        }
        let target = std::str::from_utf8(target).map_err(|_| Ambiguous("a byte that no URI holds"))?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if !path.starts_with('/') {
            return Err(Ambiguous("a target that is not an absolute path"));
        }
        let path =
            if path.contains('%') { Cow::Owned(decode_unreserved(path)?) } else { Cow::Borrowed(path) };
        check_segments(&path)?;
        Ok(Self { path, query })
    }
}

impl Target<'_> {
    /// The path as a backend may read it that doesn't tell an encoded reserved character from a plain one, if that is
    /// another one.
    pub(super) fn decoded(&self) -> Option<String> {
        // Nearly no path has one.
        if !self.path.contains('%') {
            return None;
        }
        let mut parts = self.path.split('%');
        let mut out = String::with_capacity(self.path.len());
        out.push_str(parts.next()?);
        for part in parts {
            let (digits, rest) = part.split_at_checked(2)?;
            match u8::from_str_radix(digits, 16).map(char::from) {
                Ok(reserved) if RESERVED.contains(reserved) => out.push(reserved),
                _ => out.extend(["%", digits]),
            }
            out.push_str(rest);
        }
        (out != *self.path).then_some(out)
    }
}

/// What a segment may hold beside unreserved characters (RFC 3986, section 3.3), but for `;`, which is refused.
const RESERVED: &str = "!$&'()*+,=:@";

/// Whether `path` is `prefix` or below it.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// RFC 3986 characters and `%`; of the rest only those that browsers send raw in a query: `"<>[]^`{|}`.
const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#' && byte != b'\\'
}

fn check_segments(path: &str) -> Result<(), Ambiguous> {
    if path.contains(';') {
        return Err(Ambiguous("a path parameter"));
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "" if segments.peek().is_some() => return Err(Ambiguous("an empty segment")),
            "." | ".." => return Err(Ambiguous("a dot segment")),
            _ => {}
        }
    }
    Ok(())
}

/// Decodes what needs no encoding (RFC 3986, section 6.2.2.2) and refuses what changes a path's structure.
fn decode_unreserved(path: &str) -> Result<String, Ambiguous> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, encoded)) = rest.split_once('%') {
        out.push_str(plain);
        let digits = encoded.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.ok_or(Ambiguous("a broken percent-encoding"))?;
        match byte {
            b'/' | b'\\' => return Err(Ambiguous("an encoded slash")),
            b';' => return Err(Ambiguous("a path parameter")),
            0..=0x1f | 0x7f => return Err(Ambiguous("an encoded control character")),
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.extend(encoded[..2].chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        rest = &encoded[2..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for (given, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("/%61%2Db%7e", "/a-b~"),
            ("/%e3%81%82", "/%E3%81%82"),
            ("/a%20b", "/a%20b"),
            ("/file%2etxt", "/file.txt"),
            ("/%2561", "/%2561"),
        ] {
            assert_eq!(
                Target::parse(given.as_bytes()).map(|target| target.path.into_owned()),
                Ok(path.to_owned())
            );
        }
    }

    #[test]
    fn a_query_stays_as_it_came() {
        let target = Target::parse(b"/a?x=%2e%2e/..//;?").unwrap();
        assert_eq!((&*target.path, target.query), ("/a", Some("x=%2e%2e/..//;?")));
    }

    #[test]
    fn an_ambiguous_path_is_refused() {
        for (given, why) in [
            ("/a/../b", "a dot segment"),
            ("/a/%2e%2E/b", "a dot segment"),
            ("/.", "a dot segment"),
            ("//a", "an empty segment"),
            ("/a//b", "an empty segment"),
            ("/a%2fb", "an encoded slash"),
            ("/a%5Cb", "an encoded slash"),
            ("/a\\b", "a byte that no URI holds"),
            ("/a;b", "a path parameter"),
            ("/a%3bb", "a path parameter"),
            ("/a%00", "an encoded control character"),
            ("/a%zz", "a broken percent-encoding"),
            ("/a%2", "a broken percent-encoding"),
            ("/a%é", "a byte that no URI holds"),
            ("/a b", "a byte that no URI holds"),
            ("/a#b", "a byte that no URI holds"),
            ("a", "a target that is not an absolute path"),
            ("", "a target that is not an absolute path"),
        ] {
            assert_eq!(Target::parse(given.as_bytes()), Err(Ambiguous(why)), "{given}");
        }
    }

    #[test]
    fn an_encoded_reserved_character_may_be_read_as_a_plain_one() {
        for (given, decoded) in [
            ("/users:delete", None),
            ("/users%3Adelete", Some("/users:delete")),
            ("/%40a%20%2b%E3%81%82b%21", Some("/@a%20+%E3%81%82b!")),
            ("/a%20b", None),
            ("/%253A", None),
        ] {
            assert_eq!(Target::parse(given.as_bytes()).unwrap().decoded().as_deref(), decoded, "{given}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        assert!(is_below("/banking", "/banking"));
        assert!(is_below("/banking/", "/banking"));
        assert!(is_below("/banking/a", "/banking"));
        assert!(!is_below("/bankings", "/banking"));
        assert!(is_below("/anything", "/"));
    }

    proptest::proptest! {
        #[test]
        fn what_passes_is_a_fixed_point(path in "/[a-z%0-9A-F./;]{0,20}") {
            if let Ok(target) = Target::parse(path.as_bytes()) {
                let once = target.path.into_owned();
                let again = Target::parse(once.as_bytes()).map(|target| target.path.into_owned());
                proptest::prop_assert_eq!(again, Ok(once));
            }
        }
    }
}
