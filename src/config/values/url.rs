//! Where the stores and the bank's own systems are.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where the directory is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum DirectoryUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, as its whole URL, without a password.
    Postgres(String),
}

impl Default for DirectoryUrl {
    fn default() -> Self {
        Self::Sqlite("data/sekisho.db".into())
    }
}

impl DirectoryUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected `sqlite:PATH` or `postgres://user@host:port/database`, found `{}`",
                redacted(text)
            )
        };
        if let Some(path) = text.strip_prefix("sqlite:") {
            return if path.is_empty() || path.contains('?') {
                Err(expected())
            } else {
                Ok(Self::Sqlite(path.into()))
            };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.filter(|rest| !rest.is_empty()).ok_or_else(expected)?;
        without_password(rest)?;
        if rest.contains("password=") {
            return Err(NO_PASSWORD.to_owned());
        }
        let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
        parameters
            .split('&')
            .filter_map(|parameter| parameter.split_once('='))
            .try_for_each(tls_parameter)?;
        Ok(Self::Postgres(text.to_owned()))
    }
}

/// Refuses what a URL of PostgreSQL can say of TLS without meaning it.
fn tls_parameter((key, value): (&str, &str)) -> Result<(), String> {
    match key {
        // sqlx believes the public authorities beside the given one, and without the name anybody's certificate would do.
        "sslmode" | "ssl-mode" if value == "verify-ca" => {
            Err("`verify-ca` is content with anybody's certificate: use `verify-full`".to_owned())
        }
        "sslrootcert" | "sslcert" | "sslkey" if !value.starts_with('/') => {
            Err(format!("`{key}` needs a path that begins with `/`, found `{value}`"))
        }
        _ => Ok(()),
    }
}

impl fmt::Display for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(url),
        }
    }
}

text_value!(
    DirectoryUrl,
    "`sqlite:PATH` or `postgres://user@host:port/database`",
    "^(sqlite:.+|postgres(ql)?://.+)$",
    "`sqlite:PATH`, or `postgres://user@host:port/database` without a password."
);

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum StateUrl {
    /// A file of the gateway's own.
    Embedded(PathBuf),
    /// Redis servers.
    Redis(RedisUrl),
}

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// How the servers hang together.
    pub topology: RedisTopology,
    /// Whether they are spoken to over TLS.
    pub tls: bool,
    /// The ACL user; the default user if absent.
    pub user: Option<String>,
    /// `host:port` of each server, or of each sentinel.
    pub servers: Vec<(String, u16)>,
    /// The number of the database. A cluster has only 0.
    pub database: u8,
}

/// How Redis servers hang together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server, or one address that leads to the primary.
    Single,
    /// Sentinels that know the primary of this service.
    Sentinel(String),
    /// A cluster.
    Cluster,
}

impl Default for StateUrl {
    fn default() -> Self {
        Self::Embedded("data/state.db".into())
    }
}

const REDIS: &str = "`embedded:PATH`, `redis://user@host:port`, `redis+sentinel://host:port,host:port/service` or \
                     `redis+cluster://host:port,host:port` (`rediss` for TLS)";
const NO_PASSWORD: &str = "a password doesn't belong into this file: name its file in `password_file`";

impl StateUrl {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("embedded:").filter(|path| !path.is_empty()) {
            return Ok(Self::Embedded(path.into()));
        }
        let expected = || format!("expected {REDIS}, found `{}`", redacted(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        without_password(rest)?;
        let (tls, kind) = match scheme.split_once('+').unwrap_or((scheme, "")) {
            ("redis", kind) => (false, kind),
            ("rediss", kind) => (true, kind),
            _ => return Err(expected()),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, servers) = match authority.rsplit_once('@') {
            Some((user, servers)) if !user.is_empty() => (Some(user.to_owned()), servers),
            Some(_) => return Err(expected()),
            None => (None, authority),
        };
        let port = if kind == "sentinel" { 26379 } else { 6379 };
        let servers = servers
            .split(',')
            .map(|server| host_port(server, port))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(expected)?;
        let number = |path: &str| if path.is_empty() { Some(0) } else { path.parse().ok() };
        let (topology, database) = match kind {
            "" if servers.len() == 1 => (RedisTopology::Single, number(path).ok_or_else(expected)?),
            "sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err(expected());
                }
                (RedisTopology::Sentinel(service.to_owned()), number(database).ok_or_else(expected)?)
            }
            "cluster" if path.is_empty() => (RedisTopology::Cluster, 0),
            _ => return Err(expected()),
        };
        Ok(Self::Redis(RedisUrl { topology, tls, user, servers, database }))
    }
}

fn host_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, default),
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
        None => match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, default),
        },
    };
    (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| (host.to_owned(), port))
}

fn without_password(rest: &str) -> Result<(), String> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') { Err(NO_PASSWORD.to_owned()) } else { Ok(()) }
}

/// The text without what might be a password.
fn redacted(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    }
}

impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redis = match self {
            Self::Embedded(path) => return write!(f, "embedded:{}", path.display()),
            Self::Redis(redis) => redis,
        };
        f.write_str(if redis.tls { "rediss" } else { "redis" })?;
        match redis.topology {
            RedisTopology::Single => {}
            RedisTopology::Sentinel(_) => f.write_str("+sentinel")?,
            RedisTopology::Cluster => f.write_str("+cluster")?,
        }
        f.write_str("://")?;
        if let Some(user) = &redis.user {
            write!(f, "{user}@")?;
        }
        for (index, (host, port)) in redis.servers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?
            } else {
                write!(f, "{comma}{host}:{port}")?
            }
        }
        if let RedisTopology::Sentinel(service) = &redis.topology {
            write!(f, "/{service}")?;
        }
        if redis.database == 0 { Ok(()) } else { write!(f, "/{}", redis.database) }
    }
}

text_value!(
    StateUrl,
    "`embedded:PATH` or the URL of a Redis",
    "^(embedded:.+|rediss?([+](sentinel|cluster))?://.+)$",
    "`embedded:PATH`, `redis://user@host:port`, `redis+sentinel://host:port,host:port/service` or `redis+cluster://host:port,host:port`; with `rediss` for TLS; without a password."
);

/// A URL of a system of the bank's, over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct HttpsUrl(String);

impl HttpsUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let good = text
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
        if good && !text.contains('@') {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("expected a URL such as `https://pins.internal/verify`, found `{}`", redacted(text)))
        }
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    HttpsUrl,
    "a URL such as `https://pins.internal/verify`",
    "^https://[^@]+$",
    "A URL that begins with `https://`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_written_as_they_are_read() {
        for url in
            ["sqlite:data/sekisho.db", "postgres://sekisho@db.internal:5432/sekisho?sslmode=verify-full"]
        {
            assert_eq!(DirectoryUrl::parse(url).unwrap().to_string(), url);
        }
        for url in [
            "embedded:data/state.db",
            "redis://127.0.0.1:6379",
            "rediss://sekisho@redis.internal:6380/2",
            "redis+sentinel://sekisho@a:26379,b:26379/mymaster",
            "redis+cluster://[::1]:7000,b:7001",
        ] {
            assert_eq!(StateUrl::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(StateUrl::parse("redis://a").unwrap().to_string(), "redis://a:6379");
        assert_eq!(
            HttpsUrl::parse("https://pins.internal/verify").unwrap().as_str(),
            "https://pins.internal/verify"
        );
    }

    #[test]
    fn the_line_that_is_shown_has_stars_for_a_password() {
        let shown = |line: &str| {
            let text = crate::config::testing::with(line);
            let problems = crate::config::parse(std::path::Path::new("sekisho.yaml"), &text).unwrap_err();
            problems.to_string()
        };
        for line in [
            "state: { url: 'redis://u:hunter2@redis:6379' }",
            "state: { url: 'redis://u:hunter2/x@y@redis' }",
            "directory: { url: 'postgres://u:hunter2@db/x' }",
            "directory: { url: 'postgres://u@db/x?password=hunter2' }",
            "state: { password: hunter2 }",
            "mail: { smtp: 'smtp://mail:25', passphrase: \"hunter2\" }",
        ] {
            let told = shown(line);
            assert!(!told.contains("hunter2") && told.contains("*******"), "{told}");
        }
        let told = shown("state: { url: 'redis://redis:6379', password_file: secrets/redis, tyop: 1 }");
        assert!(told.contains("'redis://redis:6379', password_file: secrets/redis"), "{told}");
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let refusals = [
            DirectoryUrl::parse("postgres://sekisho:geheim@db/sekisho").unwrap_err(),
            DirectoryUrl::parse("postgres://db/sekisho?password=geheim").unwrap_err(),
            StateUrl::parse("redis://:geheim@a").unwrap_err(),
            HttpsUrl::parse("https://a:geheim@b/").unwrap_err(),
            StateUrl::parse("redus://a:geheim@b").unwrap_err(),
        ];
        assert!(refusals.iter().all(|refusal| !refusal.contains("geheim")), "{refusals:?}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in ["", "sqlite:", "mysql://a/b", "postgres://"] {
            assert!(DirectoryUrl::parse(bad).is_err(), "{bad}");
        }
        for (tls, problem) in [
            ("sslmode=verify-ca", "`verify-ca` is content with anybody's certificate: use `verify-full`"),
            (
                "sslmode=verify-full&sslrootcert=ca.pem",
                "`sslrootcert` needs a path that begins with `/`, found `ca.pem`",
            ),
        ] {
            assert_eq!(DirectoryUrl::parse(&format!("postgres://db/sekisho?{tls}")), Err(problem.to_owned()));
        }
        for bad in [
            "",
            "embedded",
            "redis://a,b",
            "redis://a/x",
            "redis+sentinel://a",
            "redis+cluster://a/1",
            "redis://",
        ] {
            assert!(StateUrl::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "http://a/", "https://", "https:///a"] {
            assert!(HttpsUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
