//! The hosts' certificates and the secrets of their tickets: read from the files that the configuration names, and
//! checked before anything serves with them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::secret;
use crate::config::{
    ClientCertificate, Config, Document, Host, HostName, Problem, Rejection, ServerCertificate, SignedSource,
    TicketSource,
};
use crate::edge::{TicketSecret, TicketTimes};
use crate::flows::TicketSecretKey;
use crate::pki::{self, LARGEST_RESPONSE, ServerKey, ServerKeyPart};

/// As random as the keys that are derived from it.
const LEAST: usize = 32;

/// A host with its certificates, in the order of the configuration.
pub(super) type HostKeys = (HostName, Host, Vec<ServerKey>);

/// The certificates of every host, and what is wrong with the others.
pub(super) fn server_keys(document: &Document, now: Timestamp) -> (Vec<HostKeys>, Vec<Problem>) {
    let Document { config, source } = document;
    let (mut hosts, mut problems) = (Vec::new(), Vec::new());
    for (name, host) in &config.hosts {
        let mut keys: Vec<ServerKey> = Vec::new();
        for (index, tls) in host.tls.as_slice().iter().enumerate() {
            let at = |member| certificate_pointer(document, name, index, member);
            match server_key(name, tls) {
                Ok(key) if keys.iter().any(|other| other.algorithm == key.algorithm) => {
                    let message =
                        format!("a second certificate with an {} key would never be served", key.algorithm);
                    problems.push(source.problem(&at("certificate"), message));
                }
                Ok(key) => {
                    match &tls.ocsp {
                        Some(SignedSource::File(file)) => staple(&key, file, name, now),
                        Some(SignedSource::Url(_)) => {
                            if let Err(problem) = pki::ocsp_request(&key.certified.cert) {
                                problems.push(source.problem(&at("ocsp"), problem));
                            }
                        }
                        None => {}
                    }
                    if key.not_after < now {
                        // Not refused: a restart during that incident must not make it worse.
                        tracing::warn!(host = %name, not_after = %key.not_after, "A server certificate has expired");
                    }
                    keys.push(key);
                }
                Err((member, message)) => {
                    problems.push(source.problem(&at(member), message));
                    // What is missing is said at once, and not when the first of the two is there.
                    if member == "certificate" && !tls.key.exists() {
                        let message = format!("{}: there is no such file", tls.key.display());
                        problems.push(source.problem(&at("key"), message));
                    }
                }
            }
        }
        hosts.push((name.clone(), host.clone(), keys));
    }
    (hosts, problems)
}

/// Has a file's response stapled if it is good. A certificate without one still serves: its CA may be down for hours.
fn staple(key: &ServerKey, file: &Path, host: &HostName, now: Timestamp) {
    let staple = response(file).and_then(|response| {
        pki::staple(response, &key.certified.cert, now).map_err(|problem| problem.to_string())
    });
    match staple {
        Ok(staple) => key.staple(staple),
        Err(problem) => {
            tracing::warn!(%host, file = %file.display(), problem, "An OCSP response is not stapled");
        }
    }
}

/// What is in the file, up to where it is too large to be taken.
fn response(file: &Path) -> Result<Vec<u8>, String> {
    let broken = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut response = Vec::new();
    let most = LARGEST_RESPONSE as u64 + 1;
    File::open(file).map_err(broken)?.take(most).read_to_end(&mut response).map_err(broken)?;
    Ok(response)
}

/// Where a member of a host's certificate stands, which may be the only one or one of a list.
fn certificate_pointer(document: &Document, name: &HostName, index: usize, member: &str) -> String {
    let only = format!("/hosts/{name}/tls");
    let one_of_many = format!("{only}/{index}");
    let pointer = if document.source.contains(&one_of_many) { one_of_many } else { only };
    format!("{pointer}/{member}")
}

fn server_key(name: &HostName, tls: &ServerCertificate) -> Result<ServerKey, (&'static str, String)> {
    let key = pki::server_key(&tls.certificate, &tls.key).map_err(|error| {
        let member = match error.part {
            ServerKeyPart::Certificate => "certificate",
            ServerKeyPart::Key => "key",
        };
        (member, error.message)
    })?;
    if key.covers(name.as_str()) {
        Ok(key)
    } else {
        Err(("certificate", format!("the certificate is not for `{name}` but for {}", key.names.join(", "))))
    }
}

/// Where the secrets of tickets come from, with every file read.
pub(super) enum TicketSecretSource {
    /// The process makes its own.
    Process,
    /// They are given.
    Files(Vec<TicketSecret>),
    /// The gateways share them through the state, sealed with this.
    State(TicketSecretKey),
}

/// The source of the tickets' secrets, and what is wrong with its files.
pub(super) fn ticket_secrets(document: &Document) -> (TicketSecretSource, Vec<Problem>) {
    let resumption = &document.config.resumption;
    let mut problems = Vec::new();
    let mut read = |file: &Path, pointer: &str| {
        let told = |message| problems.push(document.source.problem(pointer, message));
        secret(file).map_err(|message| format!("{}: {message}", file.display())).map_err(told).ok()
    };
    let source = match (resumption.keys, &resumption.secret_file) {
        (TicketSource::Files, _) => {
            let files = resumption.files.iter().enumerate();
            let secrets = files.filter_map(|(index, file)| read(file, &format!("/resumption/files/{index}")));
            TicketSecretSource::Files(secrets.map(TicketSecret::given).collect())
        }
        (TicketSource::State, Some(file)) => read(file, "/resumption/secret_file")
            .and_then(|bytes| TicketSecretKey::new(&bytes))
            .map_or(TicketSecretSource::Process, TicketSecretSource::State),
        _ => TicketSecretSource::Process,
    };
    (source, problems)
}

fn secret(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = secret::read(file)?;
    match bytes.len() {
        length if length < LEAST => Err(format!("it has {length} bytes: {LEAST} are the least")),
        _ => Ok(bytes),
    }
}

/// How long secrets and tickets last.
pub(super) fn ticket_times(config: &Config) -> TicketTimes {
    let seconds = |period: crate::config::Period| period.get().as_secs();
    TicketTimes {
        rotate: i64::try_from(seconds(config.resumption.rotate)).unwrap_or(i64::MAX),
        lifetime: u32::try_from(seconds(config.resumption.lifetime)).unwrap_or(u32::MAX),
    }
}

/// What tells the tickets of a host from all others: its name, and what it asks of a client.
pub(super) fn ticket_policy(name: &HostName, host: &Host) -> String {
    let asks = match host.client_certificate {
        ClientCertificate::None => "none",
        ClientCertificate::Optional => "optional",
        ClientCertificate::Required => "required",
    };
    let refuses = match host.rejection {
        Rejection::Page => "page",
        Rejection::Handshake => "handshake",
    };
    format!("{name} {asks} {refuses}")
}
