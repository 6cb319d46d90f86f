//! Where a person wanted to go before they signed in. It comes from outside, so it can only be a path of our own.

/// The longest path that is remembered, in bytes.
const LONGEST: usize = 1024;
/// The only pages of the portal that it may be.
const OWN_PAGES: [&str; 5] =
    ["/sekisho/home", "/sekisho/pin", "/sekisho/acquisition", "/sekisho/renewal", "/sekisho/administration"];

/// A path on the host that the person is on, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way(Option<Box<str>>);

impl Way {
    /// Reads a path. Whatever could be read as another host, or leads to a page that does something, is nothing.
    pub(super) fn read(text: &str) -> Self {
        Self(is_path(text).then(|| text.into()))
    }

    /// The path.
    pub(super) fn path(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// As part of a query: empty, or `to=…` behind `lead`.
    pub(super) fn query(&self, lead: char) -> String {
        self.path().map_or_else(String::new, |path| format!("{lead}to={}", encoded(path)))
    }
}

fn is_path(text: &str) -> bool {
    // Browsers read `\` as `/`, and drop tabs and line ends: only plain ASCII is safe from such readings.
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if text.len() > LONGEST || !plain || !text.starts_with('/') {
        return false;
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if OWN_PAGES.contains(&path) {
        return true;
    }
    let decoded = decoded(path);
    let mut segments = decoded[1..].split(|&byte| byte == b'/').peekable();
    if segments.peek().is_some_and(|first| first.eq_ignore_ascii_case(b"sekisho")) {
        return false;
    }
    while let Some(segment) = segments.next() {
        let empty_inside = segment.is_empty() && segments.peek().is_some();
        if empty_inside || segment == b"." || segment == b".." || segment.contains(&b'\\') {
            return false;
        }
    }
    true
}

fn decoded(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octet = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match octet.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// A value for a query, percent-encoded (RFC 3986, section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_our_own_is_remembered() {
        for good in [
            "/",
            "/banking",
            "/banking/",
            "/banking/transfer?id=1&back=//x",
            "/%E6%8C%AF%E8%BE%BC",
            "/a#b",
            "/sekisho-like",
            "/sekisho/home",
            "/sekisho/pin",
        ] {
            assert_eq!(Way::read(good).path(), Some(good), "{good}");
        }
        assert_eq!(Way::read("/a?b=c&d").query('?'), "?to=/a%3Fb%3Dc%26d");
        assert_eq!(Way::default().query('?'), "");
    }

    #[test]
    fn nothing_leads_to_another_host() {
        for bad in [
            "",
            "banking",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/%5Cevil.example",
            "/%5cevil.example",
            "/%2Fevil.example",
            "/%2f/evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/a/%2e%2e//evil.example",
            "/..",
            "/a/.",
            "/a//b",
            "https://evil.example",
            "https:/evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "//evil.example\\@www.mihonbank.example",
            "@evil.example",
            ".evil.example",
            " /banking",
            "/ban king",
            "/\tbanking",
            "/\t/evil.example",
            "/\n/evil.example",
            "/banking\r\nSet-Cookie: a=b",
            "/\0",
            "/振込",
            "/\u{2028}",
            "/sekisho",
            "/sekisho/",
            "/sekisho/sign-out",
            "/sekisho/certificate",
            "/sekisho/arrive?code=x",
            "/SEKISHO/certificate",
            "/%73ekisho/certificate",
            "/./sekisho/certificate",
            "/sekisho%2Fcertificate",
        ] {
            assert_eq!(Way::read(bad), Way::default(), "{bad:?}");
        }
        assert_eq!(Way::read(&format!("/{}", "a".repeat(1024))), Way::default());
        assert_ne!(Way::read(&format!("/{}", "a".repeat(1023))), Way::default());
    }
}
