//! `issuer`: what signs credentials, and the revocation list that it publishes.

use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Issuing client certificates under the bank's CA. The key is in a file (`key`) or in an HSM (`pkcs11`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// PEM file with the CA's certificate, then those above it, if its clients need them.
    pub certificate: PathBuf,
    /// PEM file with the CA's private key (PKCS#8, encrypted or not). Nobody but its owner and its group may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// File with the passphrase of an encrypted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// The HSM that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkcs11: Option<Pkcs11>,
    /// `O=` of the subject; by default the CA's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// `OU=` of the subject; by default the CA's common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How long a certificate is valid, at most until its issuer's end.
    #[serde(default = "Issuer::default_validity")]
    pub validity: Period,
    /// The most certificates that all gateways together sign.
    #[serde(default)]
    pub rate: IssuerRate,
    /// The revocation list.
    pub crl: IssuerCrl,
}

/// So many certificates in so long, evenly refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerRate {
    /// How many certificates.
    pub certificates: NonZeroU32,
    /// In how long.
    pub per: Period,
}

impl Default for IssuerRate {
    fn default() -> Self {
        Self { certificates: NonZeroU32::MIN.saturating_add(59), per: Period::seconds(60) }
    }
}

/// A key in an HSM, through PKCS#11.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// The vendor's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label (`CKA_LABEL`) of the private key.
    pub label: String,
    /// File with the user's PIN.
    pub pin_file: PathBuf,
}

/// The revocation list that the issuer publishes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerCrl {
    /// Where certificates say that the list is (CRL distribution point). The gateway serves it at
    /// `/sekisho/crl` of the portal's host.
    pub url: String,
    /// File that each gateway writes the newest list to (DER), for others to fetch and for `trust.crl.sources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How often there is a new list, whether or not anything was revoked.
    #[serde(default = "IssuerCrl::default_every")]
    pub every: Period,
    /// How long a list is valid.
    #[serde(default = "IssuerCrl::default_validity")]
    pub validity: Period,
}

impl Issuer {
    const fn default_validity() -> Period {
        Period::seconds(365 * 86_400)
    }
}

impl IssuerCrl {
    const fn default_every() -> Period {
        Period::seconds(6 * 3600)
    }

    const fn default_validity() -> Period {
        Period::seconds(3 * 86_400)
    }
}
