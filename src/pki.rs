//! Certificates: what is in them, whom we believe, and the judge that turns a client's chain into a standing.
//!
//! In reading order: files ([`certificates`], [`server_key()`]) → one certificate by itself → the subject's identity →
//! authorities and revocation lists → [`Trust`], a snapshot of them → [`Judge`] → [`ClientCertificates`], which is
//! what rustls asks. Beside them, [`AssertionKey`] signs for backends. Nothing here reads the configuration or the time, or knows of HTTP.

mod pem;
mod client;
mod server_key;
mod ocsp;

mod der;
mod signature;
mod strength;
mod validity;

mod certificate;
mod subject;

mod authority;
mod serials;
mod crl;
mod trust;

mod path;
mod refusal;

mod judge;
mod verifier;

mod serial;
mod profile;
mod issuer;

mod assertion_key;

pub mod development;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use assertion_key::{AssertionKey, key_set};
pub use authority::Authority;
pub use certificate::Leaf;
pub use client::{client_config, knows_authorities, with_causes};
pub use crl::Crl;
pub use issuer::{
    IssueError, Issuer, IssuerError, IssuerKeySource, IssuerPart, IssuerSettings, ListEntry, Signed,
    is_signed_by,
};
pub use judge::Judge;
pub use ocsp::{LARGEST_RESPONSE, NoStaple, Staple, ocsp_request, staple};
pub use path::Judgement;
pub use pem::{FileError, certificate_pem, certificates, private_key, revocation_list, revocation_list_in};
pub use server_key::{ServerKey, ServerKeyError, ServerKeyPart, Stapled, server_key};
pub use trust::{AuthoritySource, Trust, TrustError, TrustPart, TrustSource};
pub use validity::Validity;
pub use verifier::ClientCertificates;
