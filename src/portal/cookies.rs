//! The portal's cookies: their names, how they are read, and with what attributes they are set.

use http::HeaderMap;
use http::header::COOKIE;
use zeroize::Zeroizing;

pub(super) use crate::domain::SESSION_COOKIE;

/// A random value for each browser, from which its forms' tokens are made.
pub(super) const VISIT: &str = "__Host-sekisho-visit";
/// The secret of a sign-in by certificate that is under way.
pub(super) const FLOW: &str = "__Host-sekisho-flow";
/// The size of the text: `small`, `standard` or `large`.
pub(super) const SIZE: &str = "sekisho-size";
/// The language: `ja` or `en`.
pub(super) const LANGUAGE: &str = "sekisho-lang";

/// How long a choice of size or language is remembered.
const YEAR: u32 = 365 * 86_400;
/// How long choosing a certificate may take.
const FLOW_SECONDS: u32 = 600;
/// How long an acquisition may take.
const ACQUISITION_SECONDS: u32 = 1800;

/// The value of a cookie of a request. HTTP/2 may send several `Cookie` fields. They are read byte by byte: a neighbour's
/// cookie that is no ASCII must not hide ours.
pub(super) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b';'))
        .find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .and_then(|value| std::str::from_utf8(value).ok())
}

/// Sets the session's cookie. It lasts as long as the browser runs: the session's own limits are the gateway's.
pub(super) fn session(token: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{SESSION_COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Lax"))
}

/// The same for an acquisition: it can be gone on with after the browser was closed, as long as it lasts.
pub(super) fn acquisition(token: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{}; Max-Age={ACQUISITION_SECONDS}", *session(token)))
}

/// Sets the browser's random value. `Lax`, not `Strict`: coming from another site must not make a second one and with
/// that spoil the forms that are open already.
pub(super) fn visit(value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{VISIT}={value}; Path=/; Secure; HttpOnly; SameSite=Lax"))
}

/// The same for as long as an acquisition may take: a file's password is made from it, also after the browser was closed.
pub(super) fn acquiring_visit(value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{}; Max-Age={ACQUISITION_SECONDS}", *visit(value)))
}

/// Sets the secret of a sign-in by certificate. `Lax`: the browser comes back from another host.
pub(super) fn flow(secret: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{FLOW}={secret}; Path=/; Max-Age={FLOW_SECONDS}; Secure; HttpOnly; SameSite=Lax"))
}

/// Remembers a choice.
pub(super) fn choice(name: &str, value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{name}={value}; Path=/; Max-Age={YEAR}; Secure; HttpOnly; SameSite=Lax"))
}

/// Deletes a cookie. The attributes are those that it was set with, or browsers keep a `__Host-` one.
pub(super) fn gone(name: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; __Host-sekisho-visit=abc=; b".parse().unwrap());
        headers.append(COOKIE, "sekisho-size=large".parse().unwrap());
        assert_eq!(read(&headers, VISIT), Some("abc="));
        assert_eq!(read(&headers, SIZE), Some("large"));
        assert_eq!(read(&headers, FLOW), None);
        assert_eq!(read(&headers, "b"), None);
    }

    #[test]
    fn secrets_are_for_this_host_alone_and_for_no_script() {
        for cookie in [session("v"), visit("v"), flow("v"), gone(SESSION_COOKIE)] {
            assert!(cookie.starts_with("__Host-"), "{}", *cookie);
            for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(cookie.contains(attribute), "{}", *cookie);
            }
            assert!(!cookie.contains("Domain"), "{}", *cookie);
        }
        assert_eq!(&*session("v"), "__Host-sekisho-session=v; Path=/; Secure; HttpOnly; SameSite=Lax");
    }
}
