//! `sign_in`: who may sign in how, for how long, and how often they may be wrong.

use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, HttpsUrl, Period, Size};

/// Signing in on the portal's pages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The host with the sign-in page; one that doesn't demand a client certificate.
    pub host: HostName,
    /// The host that certificate holders are sent to; one that asks for a client certificate. Without it there is no
    /// sign-in by certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_host: Option<HostName>,
    /// What a certificate holder must bring.
    #[serde(default)]
    pub certificate: CertificateSignIn,
    /// Sign-in by contract ID, user ID and PIN.
    pub pin: PinSignIn,
    /// What happens after wrong PINs.
    #[serde(default)]
    pub lockout: Lockout,
    /// How long a sign-in lasts.
    #[serde(default)]
    pub session: Session,
}

/// What a certificate holder must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSignIn {
    /// The certificate.
    #[default]
    Certificate,
    /// The certificate, and the PIN after it.
    CertificateAndPin,
}

/// Sign-in by contract ID, user ID and PIN.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinSignIn {
    /// Whether people without a certificate can sign in at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// File with the peppers, one per line: an ID, a space, 32 or more bytes in base64. The first makes new hashes, all
    /// check old ones. `sekisho pepper` makes a line. Only its owner and group may read it (in Kubernetes:
    /// `defaultMode: 0440`). Not to be kept or backed up together with the directory. Needed with `verifier: directory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pepper_file: Option<PathBuf>,
    /// Who decides whether a PIN is right.
    #[serde(default)]
    pub verifier: PinVerifier,
    /// The bank's own verifier, for `verifier: http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpVerifier>,
    /// What a hash costs.
    #[serde(default)]
    pub argon2id: Argon2id,
    /// How many PINs are checked at once; more wait.
    #[serde(default = "PinSignIn::default_concurrency")]
    pub concurrency: NonZeroU32,
    /// How many may wait for that; more are turned away with 503.
    #[serde(default = "PinSignIn::default_waiting")]
    pub waiting: u32,
    /// Fewest characters of a new PIN: 4 to 12.
    #[serde(default = "PinSignIn::default_min_length")]
    pub min_length: u8,
    /// Most characters of a new PIN: `min_length` to 12.
    #[serde(default = "PinSignIn::default_max_length")]
    pub max_length: u8,
    /// File with PINs that nobody may choose, one per line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_list: Option<PathBuf>,
    /// How long a temporary PIN can be used.
    #[serde(default = "PinSignIn::default_temporary")]
    pub temporary: Period,
}

const fn yes() -> bool {
    true
}

impl PinSignIn {
    const fn default_concurrency() -> NonZeroU32 {
        match NonZeroU32::new(2) {
            Some(two) => two,
            None => NonZeroU32::MIN,
        }
    }

    const fn default_waiting() -> u32 {
        64
    }

    const fn default_min_length() -> u8 {
        4
    }

    const fn default_max_length() -> u8 {
        12
    }

    const fn default_temporary() -> Period {
        Period::seconds(14 * 86_400)
    }
}

/// Who decides whether a PIN is right. Counting, lockout, sessions and pages stay the gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinVerifier {
    /// The directory, which holds hashes of the PINs.
    #[default]
    Directory,
    /// A system of the bank's, asked over HTTPS.
    Http,
}

/// A system of the bank's that holds the PINs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpVerifier {
    /// Where it is asked by POST.
    pub url: HttpsUrl,
    /// PEM file with the authorities of its certificate.
    pub authorities: PathBuf,
    /// PEM file with the gateway's client certificate.
    pub certificate: PathBuf,
    /// PEM file with the key of that certificate.
    pub key: PathBuf,
    /// How long it may take; after that nobody gets in.
    #[serde(default = "HttpVerifier::default_timeout")]
    pub timeout: Period,
}

impl HttpVerifier {
    const fn default_timeout() -> Period {
        Period::seconds(3)
    }
}

/// Argon2id's cost (RFC 9106). Hashes of another cost are renewed when their user next signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Argon2id {
    /// Memory for one hash. 19 MiB is the least that OWASP recommends with 2 iterations; 8 KiB a lane is the least that
    /// works.
    pub memory: Size,
    /// Passes over it.
    pub iterations: NonZeroU32,
    /// Lanes. They are filled one after another: more of them make nothing faster.
    pub parallelism: NonZeroU32,
}

impl Default for Argon2id {
    fn default() -> Self {
        Self {
            memory: Size::kib(19 * 1024),
            iterations: NonZeroU32::MIN.saturating_add(1),
            parallelism: NonZeroU32::MIN,
        }
    }
}

/// What happens after wrong PINs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lockout {
    /// After so many wrong PINs in a row the user is suspended. 10 at most.
    pub attempts: NonZeroU32,
    /// Wrong PINs are forgotten after this long without another, 30 minutes at least. A suspension is not.
    pub quiet: Period,
    /// Whether wrong PINs that were typed without the user's certificate stop its holder too.
    pub stops_certificates: bool,
    /// How many attempts one source may make: an IPv4 address, or an IPv6 network of 64 bits.
    pub per_source: Throttle,
    /// How many attempts there may be in all.
    pub in_all: Throttle,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::MIN.saturating_add(5),
            quiet: Period::seconds(30 * 86_400),
            stops_certificates: false,
            per_source: Throttle { attempts: NonZeroU32::MIN.saturating_add(29), per: Period::seconds(60) },
            in_all: Throttle { attempts: NonZeroU32::MIN.saturating_add(1199), per: Period::seconds(60) },
        }
    }
}

/// So many attempts in so long, evenly refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// How many attempts.
    pub attempts: NonZeroU32,
    /// In how long.
    pub per: Period,
}

/// How long a sign-in lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// It ends when nothing was asked for this long.
    pub idle: Period,
    /// It ends after this long in any case.
    pub absolute: Period,
    /// What a second sign-in of the same user does.
    pub concurrent: Concurrent,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle: Period::seconds(15 * 60),
            absolute: Period::seconds(8 * 3600),
            concurrent: Concurrent::default(),
        }
    }
}

/// What a second sign-in of the same user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concurrent {
    /// It ends the first, whose window is told.
    #[default]
    NewestWins,
    /// It is refused as long as the first lasts.
    Refuse,
}
