//! The files that pages refer to: compiled in, or the theme's. Their addresses change with what is in them, so
//! browsers may keep them for good.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use sha2::{Digest, Sha256};

use super::theme::Theme;

const STYLE: &str = include_str!("static/style.css");
const FRESH: &str = include_str!("static/fresh.js");
const KEYBOARD: &str = include_str!("static/keyboard.js");
const ACQUISITION: &str = include_str!("static/acquisition.js");
const LOGO: &str = include_str!("static/logo.svg");
const ICON: &str = include_str!("static/icon.svg");

/// One file.
struct File {
    name: &'static str,
    kind: &'static str,
    version: String,
    bytes: Vec<u8>,
}

/// All of them.
pub(super) struct Statics(Vec<File>);

impl Statics {
    /// Those of a theme, with our own where it has none.
    pub(super) fn new(theme: &Theme) -> Self {
        let file = |name, kind, bytes: &[u8]| File {
            name,
            kind,
            version: Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: bytes.to_vec(),
        };
        let mut files = vec![
            file("style.css", "text/css; charset=utf-8", STYLE.as_bytes()),
            file("fresh.js", "text/javascript; charset=utf-8", FRESH.as_bytes()),
            file("keyboard.js", "text/javascript; charset=utf-8", KEYBOARD.as_bytes()),
            file("acquisition.js", "text/javascript; charset=utf-8", ACQUISITION.as_bytes()),
            file("icon.svg", "image/svg+xml", ICON.as_bytes()),
        ];
        files.push(match &theme.logo {
            None => file("logo.svg", "image/svg+xml", LOGO.as_bytes()),
            Some(logo) if logo.png => file("logo.png", "image/png", &logo.bytes),
            Some(logo) => file("logo.svg", "image/svg+xml", &logo.bytes),
        });
        if let Some(colours) = &theme.colours {
            files.push(file("colours.css", "text/css; charset=utf-8", colours.as_bytes()));
        }
        Self(files)
    }

    /// The address of a file, for a page; empty for one that there isn't.
    pub(super) fn address(&self, name: &str) -> String {
        self.find(name).map(|file| format!("/sekisho/static/{name}?v={}", file.version)).unwrap_or_default()
    }

    /// The address of the logo.
    pub(super) fn logo(&self) -> String {
        let png = self.address("logo.png");
        if png.is_empty() { self.address("logo.svg") } else { png }
    }

    /// The answer with a file. It may be kept for good only under the address that names its contents.
    pub(super) fn answer(&self, name: &str, query: Option<&str>) -> Option<Response<Body>> {
        let file = self.find(name)?;
        let named = query.and_then(|query| query.strip_prefix("v=")) == Some(file.version.as_str());
        let caching = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut response = Response::new(Body::from(file.bytes.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        Some(response)
    }

    fn find(&self, name: &str) -> Option<&File> {
        self.0.iter().find(|file| file.name == name)
    }
}
