//! Where Redis is, and how a connection is made: to one server, to the primary that the sentinels name, or to a cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisFuture, RedisResult, TlsCertificates, TlsMode, Value,
};
use zeroize::Zeroizing;

use crate::config::{RedisTopology, RedisUrl};

/// How long making a connection may take. Nobody waits for it that long: it goes on behind those who gave up.
pub(super) const CONNECTING: Duration = Duration::from_secs(5);

/// Everything that is needed to connect. Holds the password: never printed.
pub(super) struct Servers {
    url: RedisUrl,
    password: Option<Zeroizing<String>>,
    authorities: Option<Vec<u8>>,
    timeout: Duration,
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To all servers of a cluster; finds the right one, and reconnects by itself.
    Cluster(ClusterConnection),
}

impl Servers {
    pub(super) fn new(
        url: &RedisUrl,
        password: Option<&String>,
        authorities: Option<&[u8]>,
        timeout: Duration,
    ) -> Self {
        let password = password.cloned().map(Zeroizing::new);
        Self { url: url.clone(), password, authorities: authorities.map(<[u8]>::to_vec), timeout }
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        let client = match &self.url.topology {
            RedisTopology::Single => self.single()?,
            RedisTopology::Sentinel(service) => self.primary_of(service).await?,
            RedisTopology::Cluster => return self.cluster().await.map(Connection::Cluster),
        };
        // Whoever asks has a deadline of their own.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
    }

    fn single(&self) -> RedisResult<Client> {
        let (host, port) = &self.url.servers[0];
        let info = self.address(host, *port).into_connection_info()?.set_redis_settings(self.login());
        if self.url.tls { Client::build_with_tls(info, self.certificates()) } else { Client::open(info) }
    }

    /// The client of the primary that the sentinels name. Sentinels are often open where the servers aren't: they get the
    /// password only if they ask for one.
    async fn primary_of(&self, service: &str) -> RedisResult<Client> {
        let open = self.sentinels(service, false)?.async_get_client().await;
        if open.is_err() && self.password.is_some() {
            let closed = self.sentinels(service, true)?.async_get_client().await;
            return closed.or(open);
        }
        open
    }

    fn sentinels(&self, service: &str, with_password: bool) -> RedisResult<SentinelClient> {
        let sentinels = self.url.servers.iter().map(|(host, port)| self.address(host, *port));
        let mut builder = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(self.url.database));
        if self.url.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates())
                .set_client_to_sentinel_certificates(self.certificates());
        }
        if let Some(user) = &self.url.user {
            builder = builder.set_client_to_redis_username(user);
            if with_password {
                builder = builder.set_client_to_sentinel_username(user);
            }
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password.as_str());
            if with_password {
                builder = builder.set_client_to_sentinel_password(password.as_str());
            }
        }
        builder.build()
    }

    async fn cluster(&self) -> RedisResult<ClusterConnection> {
        let nodes = self.url.servers.iter().map(|(host, port)| self.address(host, *port));
        let nodes: Vec<ConnectionInfo> =
            nodes.map(IntoConnectionInfo::into_connection_info).collect::<Result<_, _>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            // Moves of slots are followed within the asker's deadline.
            .retries(8)
            .min_retry_wait(10)
            .max_retry_wait(100);
        if self.url.tls {
            builder = builder.tls(TlsMode::Secure).certs(self.certificates());
        }
        if let Some(user) = &self.url.user {
            builder = builder.username(user);
        }
        if let Some(password) = &self.password {
            builder = builder.password(password.as_str());
        }
        builder.build()?.get_async_connection().await
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        if self.url.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default()
            .set_db(i64::from(self.url.database))
            // Otherwise its user needs the right to more commands.
            .set_skip_set_lib_name();
        if let Some(user) = &self.url.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.as_str());
        }
        login
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.authorities.clone() }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
