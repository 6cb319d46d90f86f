//! What can be fetched without signing in: the helper program for each system, and the issuer's revocation list.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path as Segment, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::missing;
use crate::domain::Language;
use crate::portal::asking::Asking;
use crate::portal::site::Site;

/// How the names of the files begin.
const PREFIX: &str = "sekisho-client-";

/// A system that people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::portal) enum System {
    Windows,
    MacOs,
    Linux,
}

/// The helper program, in memory: the same bytes whose SHA-256 the page shows.
#[derive(Default)]
pub(in crate::portal) struct Helpers(Vec<Helper>);

struct Helper {
    name: String,
    system: Option<System>,
    bytes: Bytes,
    sha256: String,
}

/// A helper program on a page.
pub(super) struct Offered<'a> {
    pub(super) name: &'a str,
    pub(super) system: &'static str,
    pub(super) size: String,
    pub(super) sha256: &'a str,
}

impl Helpers {
    /// Reads the folder. Other files in it are left alone.
    pub(in crate::portal) fn read(folder: &Path) -> Result<Self, String> {
        let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let mut helpers = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let Some(system) = name.strip_prefix(PREFIX).filter(|_| name.bytes().all(plain)) else {
                continue;
            };
            let bytes = fs::read(&path).map_err(|error| failed(&path, error))?;
            helpers.push(Helper {
                system: System::named(system),
                sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
                bytes: bytes.into(),
                name: name.to_owned(),
            });
        }
        helpers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(helpers))
    }

    /// All of them, those for the person's own system first.
    pub(super) fn offered(&self, system: Option<System>, language: Language) -> Vec<Offered<'_>> {
        let mut all: Vec<&Helper> = self.0.iter().collect();
        all.sort_by_key(|helper| helper.system != system);
        let offered = |helper: &'_ &Helper| -> (&'static str, String) {
            let size = helper.bytes.len().div_ceil(1024);
            (System::label(helper.system, language), format!("{size} KiB"))
        };
        all.iter()
            .map(|helper| {
                let (system, size) = offered(helper);
                Offered { name: &helper.name, system, size, sha256: &helper.sha256 }
            })
            .collect()
    }
}

impl System {
    fn named(rest: &str) -> Option<Self> {
        [("windows", Self::Windows), ("macos", Self::MacOs), ("linux", Self::Linux)]
            .into_iter()
            .find(|(name, _)| rest.starts_with(name))
            .map(|(_, system)| system)
    }

    pub(super) const fn label(system: Option<Self>, language: Language) -> &'static str {
        match (system, language) {
            (Some(Self::Windows), _) => "Windows",
            (Some(Self::MacOs), _) => "macOS",
            (Some(Self::Linux), _) => "Linux",
            (None, Language::Japanese) => "その他",
            (None, Language::English) => "Other",
        }
    }
}

/// GET: a helper program.
pub(in crate::portal) async fn helper(
    State(site): State<Arc<Site>>,
    Segment(name): Segment<String>,
    asking: Asking,
) -> Response {
    let Some(helper) = site.helpers.0.iter().find(|helper| helper.name == name) else {
        return missing(&site, &asking);
    };
    let mut response = Response::new(Body::from(helper.bytes.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(attachment) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, attachment);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// GET: the newest revocation list. It is for everybody.
pub(in crate::portal) async fn revocation_list(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    asking: Asking,
) -> Response {
    let Some(list) = site.revocation_list.load_full() else { return missing(&site, &asking) };
    let digest: String = Sha256::digest(&*list)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digest}\"");
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = Response::new(Body::from(if is_known { Vec::new() } else { list.to_vec() }));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}
