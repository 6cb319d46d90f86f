//! Opening the directory: the file or the server, its connections, and the schema.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::lease::{Engine, Store, within};
use super::{Directory, DirectorySettings, News};
use crate::stores::Unavailable;
use crate::stores::files::make_database;

/// The schema's versions, compiled in. [`Directory::open`] applies those that are missing, in order, each whole or not
/// at all; of several processes that start at once one does it and the others wait.
///
/// An upgrade is therefore: a copy of the directory, the new program, a start. A file here is never edited once it was
/// released (its checksum is kept, and an edited one is refused); a change is a new file. A program that finds versions
/// it doesn't know refuses to run: it is older than the directory. So that gateways can be upgraded one after the
/// other, a version only adds what the program before it can live with.
static MIGRATIONS: Migrator = sqlx::migrate!("src/stores/directory/migrations");

/// How many operations' time bringing the schema up to date may take.
const MIGRATION_PATIENCE: u32 = 12;

/// How long a connection to a server may idle, and live.
const IDLE: Duration = Duration::from_secs(10 * 60);
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long one that found the file locked waits before it tries again.
const RETRY: Duration = Duration::from_millis(20);

impl Directory {
    /// Connects, and brings the schema up to date. `timeout` bounds every operation from then on.
    pub async fn open(settings: &DirectorySettings, timeout: Duration) -> Result<Self, Unavailable> {
        sqlx::any::install_default_drivers();
        let (engine, url, connections) = match settings {
            // One writes at a time; the others read beside it.
            DirectorySettings::Sqlite(path) => (Engine::Sqlite, sqlite_url(path)?, 4),
            DirectorySettings::Postgres { url, password } => {
                (Engine::Postgres, postgres_url(url, password.as_ref()), 16)
            }
        };
        let options = url
            .parse::<AnyConnectOptions>()
            .map_err(|_| Unavailable::new("directory", "its URL can't be read"))?
            .disable_statement_logging();
        let news = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => url.parse::<PgConnectOptions>().ok(),
        };
        prepare(engine, &options, timeout).await?;

        let settings = Arc::new(session_settings(engine, timeout));
        // A server may want to be rid of connections that are old or idle. A file doesn't, and each one made anew begins
        // with empty caches.
        let is_server = engine == Engine::Postgres;
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .idle_timeout(is_server.then_some(IDLE))
            .max_lifetime(is_server.then_some(LIFETIME))
            // Later than the operation itself gives up, which then says the same wherever it was stuck.
            .acquire_timeout(timeout.saturating_mul(2))
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { apply(connection, &settings).await })
            })
            .connect_lazy_with(options);
        let directory = Self(Arc::new(Store {
            engine,
            pool,
            news,
            timeout,
            writers: (engine == Engine::Sqlite).then(|| Arc::new(Semaphore::new(1))),
        }));
        directory.ping().await?;
        Ok(directory)
    }

    /// What hears of changes, on a connection of its own.
    pub fn news(&self) -> News {
        News::of(self.0.news.clone())
    }

    /// Whether the directory answers.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let _: Vec<(i64,)> =
                    sqlx::query_as("SELECT number FROM changes").fetch_all(&mut *lease).await?;
                lease.done();
                Ok(())
            })
            .await
    }

    /// Whether the directory takes what is written, by writing what is there already.
    pub async fn try_to_write(&self) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                sqlx::query("UPDATE changes SET number = number").execute(&mut *lease).await?;
                Ok(lease.commit().await?)
            })
            .await
    }

    /// Closes the connections, of all clones.
    pub async fn close(&self) {
        // Whoever waits for a store that doesn't answer has waited long enough.
        let _ = tokio::time::timeout(self.0.timeout, self.0.pool.close()).await;
    }
}

/// Brings the schema up to date, on a connection of its own.
async fn prepare(engine: Engine, options: &AnyConnectOptions, timeout: Duration) -> Result<(), Unavailable> {
    let mut connection = within(timeout, connect(engine, options)).await?;
    within(timeout.saturating_mul(MIGRATION_PATIENCE), async {
        match engine {
            // sqlx knows no lock that would keep processes apart here; a transaction around it all does.
            Engine::Sqlite => {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                migrate(&mut transaction).await?;
                transaction.commit().await?;
            }
            Engine::Postgres => migrate(&mut connection).await?,
        }
        Ok(connection.close().await?)
    })
    .await
}

async fn migrate(connection: &mut AnyConnection) -> Result<(), Unavailable> {
    // Not `run`, whose future the compiler can't see to be `Send`.
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| {
        Unavailable::new("directory", format_args!("its schema can't be brought up to date: {error}"))
    })
}

/// The first connection. An SQLite file becomes one with a write-ahead log, for good.
async fn connect(engine: Engine, options: &AnyConnectOptions) -> Result<AnyConnection, Unavailable> {
    let mut connection = AnyConnection::connect_with(options).await?;
    if engine == Engine::Sqlite {
        // SQLite doesn't wait for this lock, whatever its busy_timeout.
        while let Err(error) = sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await {
            if !is_locked(&error) {
                return Err(error.into());
            }
            tokio::time::sleep(RETRY).await;
        }
    }
    Ok(connection)
}

/// Whether somebody else holds the file's lock: SQLITE_BUSY, in any of its forms.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// What every connection is told first.
fn session_settings(engine: Engine, timeout: Duration) -> Vec<String> {
    let milliseconds = timeout.as_millis().max(1);
    match engine {
        // FULL: a commit is on disk, not only in the system's hands, when it is answered.
        Engine::Sqlite => vec![
            format!("PRAGMA busy_timeout = {milliseconds}"),
            "PRAGMA synchronous = FULL".to_owned(),
            "PRAGMA foreign_keys = ON".to_owned(),
        ],
        // The server gives up when we do: what we said failed must not happen later.
        Engine::Postgres => vec![
            format!("SET statement_timeout = {milliseconds}"),
            format!("SET idle_in_transaction_session_timeout = {milliseconds}"),
            "SET default_transaction_isolation = 'read committed'".to_owned(),
        ],
    }
}

async fn apply(connection: &mut AnyConnection, settings: &[String]) -> Result<(), sqlx::Error> {
    for setting in settings {
        sqlx::raw_sql(sqlx::AssertSqlSafe(setting.clone())).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The URL of a file, which is there afterwards.
fn sqlite_url(path: &Path) -> Result<Zeroizing<String>, Unavailable> {
    let path = make_database(path)
        .map_err(|error| Unavailable::new("directory", format_args!("{}: {error}", path.display())))?;
    Ok(Zeroizing::new(format!("sqlite://{}?mode=rw", *escaped(path.as_os_str().as_bytes()))))
}

fn postgres_url(url: &str, password: Option<&Zeroizing<String>>) -> Zeroizing<String> {
    let mut url = Zeroizing::new(url.to_owned());
    if let Some(password) = password {
        let separator = if url.contains('?') { '&' } else { '?' };
        url.push(separator);
        url.push_str("password=");
        url.push_str(&escaped(password.as_bytes()));
    }
    url
}

/// Percent-encodes all that could mean something in a URL.
fn escaped(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(3 * bytes.len()));
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(*byte))
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}
