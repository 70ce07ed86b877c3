//! What Postgres says of itself while it is driven: its log, and what its backends wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

use crate::{BenchError, cpu};

/// Between two looks at what backends wait for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a backend was doing when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// On a core, or wanting one.
    Running,
    /// Waits until its commit is written to the log and synced, or for its turn to do so.
    Log,
    /// Waits for another transaction's row.
    RowLock,
    /// Waits for a lock of Postgres' own on something in memory.
    InternalLock,
    /// Anything else.
    Other,
}

impl Doing {
    /// All of them, as tables show them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Log, Self::RowLock, Self::InternalLock, Self::Other];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Log => "waiting for the log",
            Self::RowLock => "waiting for a row",
            Self::InternalLock => "waiting inside Postgres",
            Self::Other => "other",
        }
    }

    /// By the type and the name of a wait event.
    fn of(kind: Option<&str>, event: Option<&str>) -> Self {
        match (kind, event.unwrap_or_default()) {
            (None, _) => Self::Running,
            (_, "WALSync" | "WALWrite" | "WALInsert" | "WALBufMapping") => Self::Log,
            (Some("Lock"), _) => Self::RowLock,
            (Some("LWLock"), _) => Self::InternalLock,
            _ => Self::Other,
        }
    }
}

/// A server, and one database on it.
pub(super) struct Watched {
    connection: PgConnection,
    database: String,
    /// The server's process.
    pub server: u32,
}

/// The server's log up to some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Log {
    pub bytes: u64,
    pub syncs: u64,
}

fn failed(error: sqlx::Error) -> BenchError {
    BenchError::because("Postgres did not tell of itself")(error)
}

impl Watched {
    pub async fn connect(url: &str) -> Result<Self, BenchError> {
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let row = sqlx::query("SELECT pg_backend_pid(), current_database()::text").fetch_one(&mut connection).await;
        let row = row.map_err(failed)?;
        let backend: i32 = row.try_get(0).map_err(failed)?;
        let server = cpu::parent_of(backend.unsigned_abs()).unwrap_or_default();
        Ok(Self { connection, database: row.try_get(1).map_err(failed)?, server })
    }

    /// Syncs are counted by backends on their own and told at most a second late.
    pub async fn log(&mut self) -> Result<Log, BenchError> {
        let text = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, wal_sync::bigint FROM pg_stat_wal";
        let row = sqlx::query(text).fetch_one(&mut self.connection).await.map_err(failed)?;
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs).map_err(failed);
        Ok(Log { bytes: number(0)?, syncs: number(1)? })
    }

    /// How many backends of the database were doing what, on average, until it is told to stop.
    pub async fn look(&mut self, stop: CancellationToken) -> Result<BTreeMap<Doing, f64>, BenchError> {
        let text = "SELECT wait_event_type, wait_event FROM pg_stat_activity \
                    WHERE datname = $1 AND state = 'active' AND pid <> pg_backend_pid()";
        let (mut looks, mut seen) = (0u32, BTreeMap::<Doing, u32>::new());
        while !stop.is_cancelled() {
            let rows = sqlx::query(text).bind(&self.database).fetch_all(&mut self.connection).await.map_err(failed)?;
            looks += 1;
            for row in rows {
                let column = |at: usize| row.try_get::<Option<String>, _>(at).map_err(failed);
                let (kind, event) = (column(0)?, column(1)?);
                *seen.entry(Doing::of(kind.as_deref(), event.as_deref())).or_default() += 1;
            }
            // Whichever ends first: the loop looks at the token.
            let _ = tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await;
        }
        let mean = seen.into_iter().map(|(doing, count)| (doing, f64::from(count) / f64::from(looks.max(1))));
        Ok(mean.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_sorted_by_what_they_are_for() {
        assert_eq!(Doing::of(None, None), Doing::Running);
        assert_eq!(Doing::of(Some("IO"), Some("WALSync")), Doing::Log);
        assert_eq!(Doing::of(Some("LWLock"), Some("WALWrite")), Doing::Log);
        assert_eq!(Doing::of(Some("Lock"), Some("transactionid")), Doing::RowLock);
        assert_eq!(Doing::of(Some("LWLock"), Some("BufferContent")), Doing::InternalLock);
        assert_eq!(Doing::of(Some("Client"), Some("ClientRead")), Doing::Other);
    }
}
