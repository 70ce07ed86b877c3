use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::time::Instant;

use crate::JournalError;

/// Connections kept at hand between two statements.
const KEPT_MAX: usize = 4;
/// A connection that was idle for longer is asked how it is, by the pool, before it is used again.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// After so long a connection goes back to the pool, which ends those that are too old.
const AT_HAND_MAX: Duration = Duration::from_secs(60);

/// Lends connections of a pool, and keeps some at hand: the pool asks a connection how it is each time before it lends it and
/// each time it takes it back, two round trips more for every commit.
#[derive(Clone, Debug)]
pub(super) struct Lender {
    pool: PgPool,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one used last at the end.
    idle: Vec<AtHand>,
    /// Those who wait for the pool: what comes back goes there and not among the kept.
    waiting: usize,
}

#[derive(Debug)]
struct AtHand {
    connection: PoolConnection<Postgres>,
    lent_at: Instant,
    used_at: Instant,
}

impl Lender {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, kept: Arc::default() }
    }

    pub async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let now = Instant::now();
        let waits = {
            let mut kept = self.kept.lock();
            // Those that were idle for too long are the ones at the beginning: back to the pool, which looks after them.
            kept.idle.retain(|at_hand| at_hand.is_fresh(now));
            match kept.idle.pop() {
                Some(AtHand { connection, lent_at, .. }) => return Ok(self.lent(connection, lent_at)),
                None => {
                    kept.waiting += 1;
                    Waits(&self.kept)
                }
            }
        };
        let connection = self.pool.acquire().await?;
        drop(waits);
        Ok(self.lent(connection, Instant::now()))
    }

    /// Ends every connection that is not in use, and waits for those that are.
    pub async fn close(&self) {
        // What comes back from here on sees that the pool is closed.
        let closed = self.pool.close();
        self.kept.lock().idle.clear();
        closed.await;
    }

    fn lent(&self, connection: PoolConnection<Postgres>, lent_at: Instant) -> Lent {
        Lent { connection: Some(connection), lent_at, lender: self.clone() }
    }

    fn take_back(&self, connection: PoolConnection<Postgres>, lent_at: Instant) {
        let mut kept = self.kept.lock();
        if kept.waiting == 0 && kept.idle.len() < KEPT_MAX && !self.pool.is_closed() {
            kept.idle.push(AtHand { connection, lent_at, used_at: Instant::now() });
        }
    }
}

impl AtHand {
    fn is_fresh(&self, now: Instant) -> bool {
        now - self.used_at < IDLE_MAX && now - self.lent_at < AT_HAND_MAX
    }
}

impl Drop for Kept {
    /// Whoever lets go of a journal without closing it may stand outside of any runtime, where a pool takes nothing back.
    fn drop(&mut self) {
        self.idle.drain(..).for_each(|at_hand| drop(at_hand.connection.detach()));
    }
}

/// Counts somebody who waits for the pool.
struct Waits<'a>(&'a Mutex<Kept>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// A connection that is closed unless its statement came to an end: given up half-way, by a time-out of the caller's too,
/// what it has under way is unknown. The pool would ask it how it is before it takes it back, and wait for ever where the
/// network is silently dead.
pub(super) struct Lent {
    connection: Option<PoolConnection<Postgres>>,
    lent_at: Instant,
    lender: Lender,
}

impl Lent {
    /// Gives the connection back, or closes it when it failed: then the others are looked after before they are used again.
    pub fn settle<T>(mut self, answer: Result<T, JournalError>) -> Result<T, JournalError> {
        if matches!(answer, Err(JournalError::Storage(_))) {
            self.lender.kept.lock().idle.clear();
        } else if let Some(connection) = self.connection.take() {
            self.lender.take_back(connection, self.lent_at);
        }
        answer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_deref().expect("it is there until it is settled")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_deref_mut().expect("it is there until it is settled")
    }
}
