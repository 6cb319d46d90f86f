//! `trust`: whose client certificates are believed, and how their subject is read.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{CommonNamePattern, OneOrMany, Period, SignedSource, Size};

/// A certificate is good if it leads to an authority, its name has the right form, and it isn't revoked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// PEM file or files with the CA certificates that client certificates may lead to. In a list, a file may come with a
    /// form of the common name that is its own: `{ file: certs/g2.pem, common_name: … }`.
    pub authorities: OneOrMany<Authorities>,
    /// Regular expression for the whole common name, with the named groups `contract` and `user`. For authorities that
    /// have none of their own.
    #[serde(default)]
    pub common_name: CommonNamePattern,
    /// Whether a certificate must be registered in the directory.
    #[serde(default)]
    pub registration: Registration,
    /// Revocation lists. Without this, revocation is not checked by lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<Crl>,
}

/// Whether a certificate must be registered in the directory. One that the directory knows to be revoked, retired or
/// not yet acquired is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// A good certificate of the authorities is enough. It is registered when it is first seen.
    #[default]
    Optional,
    /// Only a live credential of the directory passes.
    Required,
}

/// A file with CA certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Authorities {
    /// Their common names have the form of all.
    File(PathBuf),
    /// Their common names have a form of their own.
    WithCommonName(AuthoritiesWithCommonName),
}

/// A file with CA certificates whose common names have a form of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthoritiesWithCommonName {
    /// PEM file with CA certificates.
    pub file: PathBuf,
    /// Regular expression for the whole common name below these CAs.
    pub common_name: CommonNamePattern,
}

impl Authorities {
    /// The file.
    pub fn file(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::WithCommonName(own) => &own.file,
        }
    }

    pub(super) fn file_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::File(file) => file,
            Self::WithCommonName(own) => &mut own.file,
        }
    }

    /// The form of their own.
    pub fn common_name(&self) -> Option<&CommonNamePattern> {
        match self {
            Self::File(_) => None,
            Self::WithCommonName(own) => Some(&own.common_name),
        }
    }
}

/// Written out, because serde's `untagged` forgets what was wrong with a value and where.
impl<'de> Deserialize<'de> for Authorities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileOrMapping;

        impl<'de> Visitor<'de> for FileOrMapping {
            type Value = Authorities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a mapping")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Authorities, E> {
                Ok(Authorities::File(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Authorities, A::Error> {
                AuthoritiesWithCommonName::deserialize(MapAccessDeserializer::new(entries))
                    .map(Authorities::WithCommonName)
            }
        }

        deserializer.deserialize_any(FileOrMapping)
    }
}

/// Where revocation lists come from, and how they are kept fresh.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crl {
    /// Files with one CRL each, DER or PEM, or URLs of such. Every authority of a client's path needs one that is in
    /// force. URLs in certificates are never fetched.
    pub sources: Vec<SignedSource>,
    /// How often each source is looked at again, give or take a tenth: every second at most.
    #[serde(default = "Crl::default_refresh")]
    pub refresh: Period,
    /// For how long a CRL still speaks after its nextUpdate, under alarm, if no newer one can be had. Without it: not at
    /// all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Period>,
    /// Folder with the last good copy of what was fetched, for a restart without network. Needed if there are URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// PEM file with the authorities of the servers behind `https`; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// How long one fetch may take.
    #[serde(default = "Crl::default_timeout")]
    pub timeout: Period,
    /// Most bytes that are fetched for one list.
    #[serde(default = "Crl::default_max_size")]
    pub max_size: Size,
}

impl Crl {
    const fn default_refresh() -> Period {
        Period::seconds(10 * 60)
    }

    const fn default_timeout() -> Period {
        Period::seconds(30)
    }

    const fn default_max_size() -> Size {
        Size::kib(64 * 1024)
    }

    /// The URLs among the sources.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(SignedSource::url)
    }
}
