//! Several gateways of one bank in this process, each with a folder of its own, that share ticket secrets through the
//! state, by one clock.

use std::time::Duration;

use jiff::Timestamp;
use rustls::SupportedProtocolVersion;
use sekisho::app::{ConfigFile, Gateway};
use sekisho::clock::Clock;
use tempfile::TempDir;

use super::backend::Backend;
use super::client::{Client, plain_get};
use super::eventually;
use super::gate::{Settings, lay_out, start_in};
use super::pki::{COMMON_NAME, Ca, now};
use super::redis::RedisServer;

/// What the gateways have in common.
pub struct Bank {
    pub redis: RedisServer,
    pub backend: Backend,
    pub ca: Ca,
    pub clock: Clock,
}

/// One gateway.
pub struct Site {
    gateway: Option<Gateway>,
    pub folder: TempDir,
}

impl Bank {
    pub fn start() -> Self {
        Self::start_ago(Duration::ZERO)
    }

    /// A bank whose clock is so far behind that of its Redis, which nobody sets.
    pub fn start_ago(ago: Duration) -> Self {
        let begin = Timestamp::from_second(now().unix_timestamp()).unwrap() - ago;
        Self {
            redis: RedisServer::start(),
            backend: Backend::start(),
            ca: Ca::new("Mihon Bank CA-G1"),
            clock: Clock::manual(begin),
        }
    }

    /// The `state` that is this bank's Redis.
    pub fn state(&self) -> String {
        Self::state_at(self.redis.port())
    }

    /// The `state` at a port.
    pub fn state_at(port: u16) -> String {
        format!("state: {{ url: 'redis://127.0.0.1:{port}' }}")
    }

    /// A gateway that shares ticket secrets through this bank's Redis.
    pub fn site(&self) -> Site {
        self.site_with(&self.state(), &[7; 32])
    }

    /// A gateway that shares them through this `state`, with this secret file.
    pub fn site_with(&self, state: &str, secret: &[u8]) -> Site {
        self.site_of(&format!("resumption: {{ keys: state, secret_file: secret }}\n{state}"), secret)
    }

    /// A gateway with this YAML. There is a `secret`.
    pub fn site_of(&self, yaml: &str, secret: &[u8]) -> Site {
        let yaml = format!("{yaml}\nreload: {{ on_change: false }}");
        let settings = Settings { yaml: &yaml, ..Settings::default() };
        let folder = lay_out(&[self.backend.address], &self.ca, &settings);
        super::write_secret(&folder.path().join("secret"), secret);
        self.site_in(folder)
    }

    /// The gateway of a folder.
    pub fn site_in(&self, folder: TempDir) -> Site {
        let gateway = start_in(&folder, self.clock.clone()).unwrap_or_else(|error| panic!("{error}"));
        gateway.follow(ConfigFile::at(&folder.path().join("sekisho.yaml")));
        Site { gateway: Some(gateway), folder }
    }

    /// Tanaka, at a gateway.
    pub fn client(&self, site: &Site, version: &'static SupportedProtocolVersion) -> Client {
        Client::new(site.address(), &self.ca).with_versions(&[version], Some(&self.ca.client(COMMON_NAME)))
    }

    /// Lets time pass.
    pub fn later(&self, by: Duration) {
        self.clock.set(self.clock.now() + by);
    }

    /// Has all of these gateways look at the state after all of them have.
    pub fn agree(&self, sites: &[&Site]) {
        for _ in 0..2 {
            self.later(Duration::from_secs(1));
            let now = self.clock.now().as_second() as f64;
            for site in sites {
                site.counts("sekisho_ticket_secrets_refreshed_timestamp_seconds", now);
            }
        }
    }

    /// The IDs of the ticket secrets in Redis.
    pub fn secrets(&self) -> Vec<String> {
        self.redis.tell(&["HKEYS", "sekisho:{tickets}"])
    }
}

impl Site {
    pub fn address(&self) -> std::net::SocketAddr {
        self.gateway.as_ref().unwrap().addresses()[0]
    }

    /// Replaces a part of the configuration, and has it read.
    pub fn reload_with(&self, from: &str, to: &str) -> Result<(), String> {
        let file = self.folder.path().join("sekisho.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        self.gateway.as_ref().unwrap().reload()
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let text = plain_get(self.gateway.as_ref().unwrap().ops_address(), "/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap()
    }

    /// Waits until a metric has this value.
    pub fn counts(&self, name: &str, value: f64) {
        eventually(&format!("{name} {value}"), || self.metric(name) == value);
    }

    /// Stops it. Its folder stays.
    pub fn stop(mut self) -> TempDir {
        self.gateway.take().unwrap().drain();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain();
        }
    }
}
