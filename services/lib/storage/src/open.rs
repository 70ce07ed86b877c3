use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};

use crate::DatabaseUrl;

/// Pages of SQLite's log before a commit carries them over into the file: 16 MB. What is written again and again, heads and the
/// ends of indexes, is carried over once for all; SQLite's own 1,000 pages are four commits of a rush over many trains.
const CHECKPOINT_PAGES: &str = "4000";

/// How many rows SQLite's thread reads ahead of whoever awaits them: fewer switches between threads on long reads.
const READ_AHEAD_ROWS: usize = 512;

/// No statement's best plan depends on its parameters, so each is planned once for a connection. Compiling a plan to machine
/// code takes longer than any of them runs.
const PLANNED_ONCE: [(&str, &str); 2] = [("plan_cache_mode", "force_generic_plan"), ("jit", "off")];

/// See [`OpenOptions::rows_by_index`].
const ROWS_BY_INDEX: [(&str, &str); 3] =
    [("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")];

/// An open database of either engine. Cloning shares the pools.
#[derive(Clone, Debug)]
pub enum Database {
    /// A SQLite file.
    Sqlite(SqliteDatabase),
    /// A Postgres database.
    Postgres(PgPool),
}

/// A SQLite file: many readers, one writer.
#[derive(Clone, Debug)]
pub struct SqliteDatabase {
    readers: SqlitePool,
    writer: SqlitePool,
}

/// Bounds of a database's connections. The defaults suit a service on either engine.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The most connections to Postgres, or the most readers of a SQLite file.
    pub connections_max: u32,
    /// How long a caller waits for a free connection, in ms.
    pub acquire_timeout_ms: u64,
    /// How long one statement may run, in ms (Postgres).
    pub statement_timeout_ms: u64,
    /// How long one statement may wait for a lock, in ms (Postgres: `lock_timeout`; SQLite: busy time-out).
    pub lock_timeout_ms: u64,
    /// How long a transaction may stay idle before the server ends it, in ms (Postgres).
    pub idle_in_transaction_timeout_ms: u64,
    /// The name the connections carry in `pg_stat_activity`.
    pub application_name: &'static str,
    /// Whether every statement finds its rows by index, many at once by as many look-ups (Postgres). Statistics lag behind a
    /// table that fills: left to them, a plan made while it was empty reads all of it for each statement once it is full.
    /// Not for statements that join their own parameters with each other: each would be looked for among all.
    pub rows_by_index: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 2_000,
            idle_in_transaction_timeout_ms: 5_000,
            application_name: "chunyun",
            rows_by_index: true,
        }
    }
}

/// Why a database could not be opened or migrated.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was not reached, or refused the connection.
    #[error("cannot open {url}")]
    Connect {
        /// The database, without secrets.
        url: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A SQLite file can only be read, or not even that.
    #[error(
        "cannot write {path}: this process must be able to write the file and its directory, on a disk that is not \
         read-only; make it so, or name another file"
    )]
    NotWritable {
        /// The file.
        path: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// A server setting would lose acknowledged writes.
    #[error("postgres has {setting}={value}, which loses acknowledged writes: set {setting}=on")]
    UnsafeSetting {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// The server is a standby: it cannot be written, and its reads may be old.
    #[error("postgres is a standby in recovery: connect to the primary")]
    Standby,
    /// A migration failed, or the database has migrations that this program does not know.
    #[error("cannot migrate the database")]
    Migrate(#[from] MigrateError),
}

impl Database {
    /// Opens a database; a SQLite file is created where there is none.
    ///
    /// # Errors
    /// When it cannot be reached, or when Postgres runs with `fsync=off` or `synchronous_commit=off`, or is a standby.
    pub async fn open(url: &DatabaseUrl, options: &OpenOptions) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(path) => SqliteDatabase::open(path, options).await.map(Self::Sqlite),
            DatabaseUrl::Postgres(url) => open_postgres(url, options).await.map(Self::Postgres),
        }
    }

    /// Runs the migrations of the engine in use; each service keeps one set per engine.
    ///
    /// # Errors
    /// When a migration fails or differs from the one that was run before.
    pub async fn migrate(&self, sqlite: &Migrator, postgres: &Migrator) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(database) => sqlite.run(&database.writer).await?,
            Self::Postgres(pool) => postgres.run(pool).await?,
        }
        Ok(())
    }

    /// Closes every connection and waits for them.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl SqliteDatabase {
    /// Opens a file, created where there is none: WAL, synchronous FULL, foreign keys, one writer.
    ///
    /// # Errors
    /// When the file cannot be opened, or not be written.
    pub async fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .busy_timeout(Duration::from_millis(options.lock_timeout_ms));
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_millis(options.acquire_timeout_ms))
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let failed = |source| {
            if is_not_writable(&source) {
                OpenError::NotWritable { path: path.display().to_string(), source }
            } else {
                OpenError::Connect { url: format!("sqlite:{}", path.display()), source }
            }
        };
        // The writer first: it makes the file and its WAL, which readers need.
        let writer = pool(1).connect_with(connect.clone()).await.map_err(failed)?;
        check_writable(&writer).await.map_err(failed)?;
        let reader = connect.create_if_missing(false).pragma("query_only", "on").row_buffer_size(READ_AHEAD_ROWS);
        let readers = pool(options.connections_max).connect_lazy_with(reader);
        Ok(Self { readers, writer })
    }

    /// Connections that only read.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The one connection that writes.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Closes every connection and waits for them.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// SQLite opens a file that it may only read without a word, and all goes well until the first write.
async fn check_writable(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut transaction = writer.begin().await?;
    let written = sqlx::query("CREATE TABLE is_writable (id INTEGER)").execute(&mut *transaction).await;
    transaction.rollback().await?;
    match written {
        Err(error) if is_not_writable(&error) => Err(error),
        // A full disk, or a writer of another process, may pass: that is no reason not to start.
        _ => Ok(()),
    }
}

/// Whether SQLite says that the file is read-only, or that it or what belongs beside it cannot be opened.
fn is_not_writable(error: &sqlx::Error) -> bool {
    // The low byte of an extended result code is the primary one: 8 is READONLY, 14 is CANTOPEN.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u16>().ok()).is_some_and(|code| matches!(code & 0xff, 8 | 14))
}

async fn open_postgres(url: &SecretString, options: &OpenOptions) -> Result<PgPool, OpenError> {
    // sslmode, sslrootcert, sslcert and sslkey are taken from the URL; TLS is rustls with ring.
    let connect = PgConnectOptions::from_str(url.expose_secret())
        .map_err(postgres_failed)?
        .application_name(options.application_name)
        .options([
            ("statement_timeout", options.statement_timeout_ms),
            ("lock_timeout", options.lock_timeout_ms),
            ("idle_in_transaction_session_timeout", options.idle_in_transaction_timeout_ms),
        ])
        .options(PLANNED_ONCE)
        .options(if options.rows_by_index { &ROWS_BY_INDEX[..] } else { &[] }.iter().copied());
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(Duration::from_millis(options.acquire_timeout_ms))
        .connect_with(connect)
        .await
        .map_err(postgres_failed)?;
    check_durable(&pool).await?;
    Ok(pool)
}

/// Refuses a server that would lose acknowledged writes in a crash.
async fn check_durable(pool: &PgPool) -> Result<(), OpenError> {
    let (fsync, synchronous_commit, standby): (String, String, bool) =
        sqlx::query_as("SELECT current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()")
            .fetch_one(pool)
            .await
            .map_err(postgres_failed)?;
    for (setting, value) in [("fsync", fsync), ("synchronous_commit", synchronous_commit)] {
        if value == "off" {
            return Err(OpenError::UnsafeSetting { setting, value });
        }
    }
    if standby { Err(OpenError::Standby) } else { Ok(()) }
}

fn postgres_failed(source: sqlx::Error) -> OpenError {
    OpenError::Connect { url: "postgres://...".to_owned(), source }
}
