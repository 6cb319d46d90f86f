//! The demo's `sekisho.yaml`: what it runs, with comments for whoever reads it first.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::folder::{CERTIFICATE_HOST, OPEN_HOST};
use crate::pki::development::{Error, files};

/// What differs from demo to demo.
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) ops: SocketAddr,
    /// Where the sample application listens, its real port.
    pub(super) backend: SocketAddr,
    pub(super) workers: Option<NonZeroUsize>,
    /// Folder with the helper program, if it was built.
    pub(super) helpers: Option<PathBuf>,
}

impl Settings {
    /// Writes the file, which is made anew at every start, and says where it is.
    pub(super) fn write(&self, dir: &Path) -> Result<PathBuf, Error> {
        let path = dir.join("sekisho.yaml");
        files::write_public(&path, self.yaml().as_bytes())?;
        Ok(path)
    }

    fn yaml(&self) -> String {
        let Self { listen, ops, backend, .. } = self;
        let backend = reachable(*backend);
        let workers = self.workers.map_or_else(|| "auto".to_owned(), |count| count.to_string());
        let helpers = self.helpers.as_ref().map_or_else(String::new, |folder| {
            format!("\n  helpers: '{}'", folder.display().to_string().replace('\'', "''"))
        });
        format!(
            r#"# What `sekisho demo` runs. It is written anew at every start: copy it before you change it.
# `sekisho check --config FILE` finds mistakes, `sekisho serve --config FILE` runs the gate alone.
# Paths are relative to this file.

# Threads of the data path: `auto` is one per core.
workers: {workers}

# Where the gate listens. Port 0 takes a free port.
listeners:
  - bind: "{listen}"

# A host is chosen by the TLS server name. Whether a client certificate is asked for is the host's to say: it
# cannot be asked for by path.
hosts:
  {CERTIFICATE_HOST}:
    tls: {{ certificate: servers/{CERTIFICATE_HOST}.pem, key: servers/{CERTIFICATE_HOST}.key }}   # ECDSA
    client_certificate: required
    rejection: page        # a page says what is wrong with a certificate; `handshake` would end in a TLS alert
  {OPEN_HOST}:
    tls: {{ certificate: servers/{OPEN_HOST}.pem, key: servers/{OPEN_HOST}.key }}     # RSA
    client_certificate: none

# Whose client certificates are believed, how contract and user are read from them, and which are revoked.
trust:
  authorities: [ca.pem, issuer/ca.pem]      # G1 issued those in `clients`, G2 is what the gate issues under
  registration: required                    # only certificates that the directory knows as live
  common_name: '(?<contract>[0-9]{{14}}) (?<user>[0-9A-Za-z]{{1,30}})'
  crl: {{ sources: [ca.crl, issuer/ca.crl] }}

# What signs certificates. A bank has the key encrypted, or in an HSM (`pkcs11`). The revocation list is published at
# /sekisho/crl and in a file.
issuer:
  certificate: issuer/ca.pem
  key: issuer/ca.key
  validity: 365d
  crl: {{ url: "https://{OPEN_HOST}/sekisho/crl", file: issuer/ca.crl }}

# Getting a certificate: ito is permitted to. `sekisho credential permit` permits others, administrators do it in the browser.
acquisition:
  permit: 80d
  renew_from: 30d{helpers}

# Signing in: by certificate, or by contract ID, user ID and PIN for those who have none. `people.json` has everybody's.
sign_in:
  host: {OPEN_HOST}
  certificate_host: {CERTIFICATE_HOST}
  certificate: certificate        # or certificate_and_pin: the PIN after the handshake
  pin: {{ pepper_file: secrets/pepper }}
  lockout: {{ attempts: 6 }}
  session: {{ idle: 15m, absolute: 8h, concurrent: newest_wins }}

# Contracts, users, PIN hashes, suspensions; and attempts and sessions. Both embedded; a bank with several gateways has
# PostgreSQL and Redis here.
directory: {{ url: "sqlite:data/sekisho.db" }}
state: {{ url: "embedded:data/state.db" }}

# Notices on the sign-in page: change the file and see.
portal: {{ notices: notices.yaml }}

# Every decision that matters, one JSON line each, chained to the one before: `sekisho audit verify --config FILE`.
audit: {{ file: audit.log, key_file: secrets/audit.key }}

# The longest path that matches wins.
routes:
  - path: /banking
    require: signed_in
    title: {{ ja: "法人インターネットバンキング", en: "Corporate banking" }}
    upstream: banking
  - path: /admin-app
    require: certificate
    roles: [administrator]
    title: {{ ja: "管理者メニュー", en: "Administration" }}
    upstream: banking
  - path: /public
    require: nothing
    upstream: banking

# The sample application, which runs in the demo's own process.
upstreams:
  banking:
    endpoints: ["{backend}"]

# Larger than the default of 1GiB, for trying out large uploads.
limits:
  body: 16GiB

# One JSON line per request.
access_log: access.log

# For operators: /metrics, /livez, /readyz. Plain HTTP.
ops:
  bind: "{ops}"
"#
        )
    }
}

/// An address that can be connected to: a listener on every address is reached on the machine's own.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        AccessLog, ClientCertificate, CommonNamePattern, Config, Rejection, Require, Workers,
    };

    #[test]
    fn the_file_means_what_it_says() {
        let settings = Settings {
            listen: "[::1]:0".parse().unwrap(),
            ops: "127.0.0.1:0".parse().unwrap(),
            backend: "0.0.0.0:18080".parse().unwrap(),
            workers: NonZeroUsize::new(3),
            helpers: Some("it's here".into()),
        };
        let config: Config = serde_saphyr::from_str(&settings.yaml()).unwrap();
        assert_eq!(config.acquisition.helpers.as_deref(), Some(Path::new("it's here")));
        assert_eq!(config.workers, Workers::Count(NonZeroUsize::new(3).unwrap()));
        assert_eq!(config.listeners[0].bind, settings.listen);
        assert_eq!(config.ops.bind, settings.ops);
        let hosts: Vec<_> = config
            .hosts
            .iter()
            .map(|(name, host)| (name.as_str(), host.client_certificate, host.rejection))
            .collect();
        assert_eq!(
            hosts,
            [
                ("cert.localhost", ClientCertificate::Required, Rejection::Page),
                ("www.localhost", ClientCertificate::None, Rejection::Page),
            ]
        );
        let routes: Vec<_> =
            config.routes.iter().map(|route| (route.place().path(), route.require)).collect();
        assert_eq!(
            routes,
            [
                ("/banking", Require::SignedIn),
                ("/admin-app", Require::Certificate),
                ("/public", Require::Nothing)
            ]
        );
        assert_eq!(
            config.upstreams.values().next().unwrap().endpoints[0].address.as_str(),
            "127.0.0.1:18080"
        );
        assert_eq!(config.limits.body.bytes(), 16 << 30);
        assert_eq!(config.access_log, AccessLog::File("access.log".into()));
        assert_eq!(config.trust.unwrap().common_name, CommonNamePattern::default());
    }

    #[test]
    fn without_a_number_there_is_one_worker_per_core() {
        let any = "127.0.0.1:1".parse().unwrap();
        let settings = Settings { listen: any, ops: any, backend: any, workers: None, helpers: None };
        let config: Config = serde_saphyr::from_str(&settings.yaml()).unwrap();
        assert_eq!(config.workers, Workers::Auto);
    }
}
