use std::future::pending;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use tokio::time::{Instant, sleep};

/// A connection that has been idle for so long goes back to the pool, which looks after it.
const IDLE_MAX: Duration = Duration::from_millis(100);
/// After so long it goes back even if it is never idle: the pool ends those that are too old.
const KEPT_MAX: Duration = Duration::from_secs(60);

/// The one connection of a task, kept between two uses: the pool asks a connection how it is each time it lends it and each
/// time it takes it back, two round trips for every use: to the server, or to SQLite's thread.
pub(crate) struct AtHand<DB: Database> {
    pool: Pool<DB>,
    kept: Option<Lent<DB>>,
}

/// A connection of the pool, and since when the task has it.
pub(crate) struct Lent<DB: Database> {
    pub connection: PoolConnection<DB>,
    since: Instant,
}

impl<DB: Database> AtHand<DB> {
    pub fn new(pool: Pool<DB>) -> Self {
        Self { pool, kept: None }
    }

    /// The connection, or one of the pool. Whoever does not give it back with [`Self::keep`] leaves it to the pool.
    pub async fn take(&mut self) -> Result<Lent<DB>, sqlx::Error> {
        let fresh = |lent: &Lent<DB>| lent.since.elapsed() < KEPT_MAX && !self.pool.is_closed();
        match self.kept.take().filter(fresh) {
            Some(lent) => Ok(lent),
            None => Ok(Lent { connection: self.pool.acquire().await?, since: Instant::now() }),
        }
    }

    /// Keeps a connection that is well.
    pub fn keep(&mut self, lent: Lent<DB>) {
        self.kept = Some(lent);
    }

    /// Waits until what is kept has been idle for too long, and gives it back. Never ends where nothing is kept.
    pub async fn give_back_when_idle(&mut self) {
        match self.kept {
            Some(_) => sleep(IDLE_MAX).await,
            None => pending().await,
        }
        self.kept = None;
    }
}
