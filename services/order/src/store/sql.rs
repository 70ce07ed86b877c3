//! The store's statements, once for SQLite and Postgres.

mod insert;
mod read;
mod refusal;
mod tickets;
mod update;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{AccountId, OrderId, Run, Time};
use futures::future::BoxFuture;
use portable_sql::{Connected, Engine, Value, values};
use sqlx::migrate::Migrator;
use storage::{GroupError, LotReader, LotWriter};

use super::{Admission, Change, OrderStore, PageEnd, SealedPassenger, StoreError, TicketKey};
use crate::order::Order;
use insert::{Insert, Inserts};
use read::ById;
use update::{Update, Updates};

/// The tables on SQLite.
pub static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");
/// The tables on Postgres.
pub static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// A transaction that was certainly not written is tried so often in all: a lost lock, a broken connection.
const WRITES_MAX: u32 = 3;

/// Orders in a database of either engine.
#[derive(Debug)]
pub struct SqlStore<E: Engine> {
    database: Connected<E>,
    by_id: LotReader<E, ById>,
    inserts: LotWriter<E, Inserts>,
    updates: LotWriter<E, Updates>,
}

impl<E: Engine> SqlStore<E> {
    /// Orders in this database, which has been migrated.
    pub fn new(database: Connected<E>) -> Self {
        Self { by_id: database.reads(ById), inserts: database.lot(Inserts), updates: database.lot(Updates), database }
    }

    /// Runs a transaction until it is written or refused.
    async fn write<Work>(&self, work: Work) -> Result<(), StoreError>
    where
        Work: for<'c> Fn(&'c mut E::Connection) -> BoxFuture<'c, Result<(), StoreError>> + Clone + Send + 'static,
    {
        written(|| self.database.write(work.clone())).await
    }
}

/// Tries a transaction until it is written or refused. One whose fate is unknown is not repeated here: the caller reads.
async fn written<Try>(attempt: impl Fn() -> Try) -> Result<(), StoreError>
where
    Try: Future<Output = Result<(), GroupError<StoreError>>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(GroupError::Refused(error)) => return Err(error),
            Err(GroupError::Aborted(_)) if tries < WRITES_MAX => {}
            Err(error) => return Err(StoreError::Unavailable(Box::new(error))),
        }
    }
}

#[async_trait]
impl<E: Engine> OrderStore for SqlStore<E>
where
    SqlStore<E>: std::fmt::Debug,
{
    async fn insert(&self, order: &Order, admission: &Admission) -> Result<(), StoreError> {
        let item = Insert { order: Arc::new(order.clone()), admission: Arc::new(admission.clone()) };
        written(|| self.inserts.submit(item.clone())).await
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.by_id.read(id).await.map_err(|error| match error {
            GroupError::Refused(error) => error,
            error => StoreError::Unavailable(Box::new(error)),
        })
    }

    async fn list(&self, account: &AccountId, after: Option<PageEnd>, limit: u32) -> Result<Vec<Order>, StoreError> {
        let end = after.map_or((i64::MAX, vec![0xff; 17]), |end| (end.created_at.millis(), end.id.bytes().to_vec()));
        let values = values![account.as_str(), end.0, end.1, limit];
        let rows = self.database.fetch(read::PAGE, values).await.map_err(broken)?;
        read::orders(&rows)
    }

    async fn update(&self, before: &Order, after: Order, change: Change) -> Result<Order, StoreError> {
        let after = Arc::new(Order { version: before.version + 1, ..after });
        let item = Update { tickets_before: before.tickets.clone().into(), after: after.clone(), change };
        written(|| self.updates.submit(item.clone())).await?;
        drop(item);
        Ok(Arc::unwrap_or_clone(after))
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        const DUE: &str = "SELECT order_id FROM orders WHERE due_at_ms <= $1 ORDER BY due_at_ms LIMIT $2";
        let values = values![now.millis(), i64::try_from(limit).unwrap_or(i64::MAX)];
        let rows = self.database.fetch(DUE, values).await.map_err(broken)?;
        rows.iter().map(|row| read::order_id(row.bytes(0).map_err(unreadable)?)).collect()
    }

    async fn of_run(&self, run: Run, after: Option<OrderId>, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const OF_RUN: &str = "SELECT DISTINCT order_id FROM tickets \
             WHERE train_code = $1 AND service_day = $2 AND ordinal = $3 AND live >= 1 AND order_id > $4 \
             ORDER BY order_id LIMIT $5";
        let after = after.map_or_else(Vec::new, |id| id.bytes().to_vec());
        let (day, ordinal) = (i64::from(run.date.days()), i64::from(run.ordinal));
        let values = values![run.train.as_str(), day, ordinal, after, limit];
        let rows = self.database.fetch(OF_RUN, values).await.map_err(broken)?;
        rows.iter().map(|row| read::order_id(row.bytes(0).map_err(unreadable)?)).collect()
    }

    async fn count_of_run(&self, run: Run) -> Result<u32, StoreError> {
        const COUNT: &str = "SELECT COUNT(DISTINCT order_id) FROM tickets \
             WHERE train_code = $1 AND service_day = $2 AND ordinal = $3 AND live >= 1";
        let (day, ordinal) = (i64::from(run.date.days()), i64::from(run.ordinal));
        let rows = self.database.fetch(COUNT, values![run.train.as_str(), day, ordinal]).await.map_err(broken)?;
        let count = rows.first().map_or(Ok(0), |row| row.int(0)).map_err(unreadable)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn sealed_after(&self, after: Option<TicketKey>, limit: u32) -> Result<Vec<SealedPassenger>, StoreError> {
        const SEALED: &str = "SELECT order_id, position, passenger, sealed FROM tickets \
             WHERE (order_id, position) > ($1, $2) ORDER BY order_id, position LIMIT $3";
        let (order, position) =
            after.map_or((Vec::new(), -1), |key| (key.order.bytes().to_vec(), i64::from(key.position)));
        let rows = self.database.fetch(SEALED, values![order, position, limit]).await.map_err(broken)?;
        rows.iter().map(read::sealed).collect()
    }

    async fn count_sealed(&self) -> Result<u64, StoreError> {
        let rows = self.database.fetch("SELECT COUNT(*) FROM tickets", Vec::new()).await.map_err(broken)?;
        let count = rows.first().map_or(Ok(0), |row| row.int(0)).map_err(unreadable)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn reseal(&self, before: &SealedPassenger, sealed: Vec<u8>) -> Result<(), StoreError> {
        const RESEAL: &str = "UPDATE tickets SET sealed = $4 WHERE order_id = $1 AND position = $2 AND sealed = $3";
        let before = before.clone();
        self.write(move |connection| {
            let (before, sealed) = (before.clone(), sealed.clone());
            Box::pin(async move {
                let (order, position) = (before.ticket.order.bytes().to_vec(), i64::from(before.ticket.position));
                let values = values![order, position, before.sealed, sealed];
                E::execute(connection, RESEAL.into(), values).await.map(drop).map_err(broken)
            })
        })
        .await
    }

    async fn postpone(&self, id: OrderId, due_at: Time) -> Result<(), StoreError> {
        const POSTPONE: &str = "UPDATE orders SET due_at_ms = $2 WHERE order_id = $1 AND due_at_ms IS NOT NULL";
        self.write(move |connection| {
            Box::pin(async move {
                let values = values![id.bytes().to_vec(), due_at.millis()];
                E::execute(connection, POSTPONE.into(), values).await.map(drop).map_err(broken)
            })
        })
        .await
    }
}

/// The number of an item of a lot, as a column.
fn number(item: usize) -> Value {
    Value::from(item as i64)
}

fn broken(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

fn unreadable(error: sqlx::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
