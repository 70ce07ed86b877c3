mod effects;
mod refunds;
mod trades;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use domain::Time;
use futures::future::BoxFuture;
use portable_sql::{Connected, Engine, Many, Row, Type, Value, values};
use sqlx::migrate::Migrator;
use storage::{
    Database, DatabaseUrl, GroupError, GroupWriterOptions, Lot, LotOutcomes, LotWriter, OpenError, OpenOptions,
};

use super::rows::{self, select_refund, select_trade};
use super::{CheckTimes, NewRefund, NewTrade, Notice, Operation, Store, StoreError};
use crate::state::{Refund, RefundEvent, Trade, TradeEvent, backoff_ms};
use trades::{NewTrades, ToRecord, ToTell, TradeEvents};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Opens and migrates payment's database.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(url: &DatabaseUrl, check_times: CheckTimes) -> Result<Arc<dyn Store>, OpenError> {
    let options = OpenOptions { application_name: "chunyun-payment", ..OpenOptions::default() };
    let database = Database::open(url, &options).await?;
    database.migrate(&SQLITE, &POSTGRES).await?;
    let writing = GroupWriterOptions::default();
    Ok(match database {
        Database::Sqlite(sqlite) => {
            let connected = Connected::new(sqlite.readers().clone(), sqlite.writer().clone(), writing);
            Arc::new(SqlStore::new(connected, check_times))
        }
        Database::Postgres(pool) => Arc::new(SqlStore::new(Connected::new(pool.clone(), pool, writing), check_times)),
    })
}

struct SqlStore<E: Engine> {
    database: Connected<E>,
    new_trades: LotWriter<E, NewTrades>,
    trade_events: LotWriter<E, TradeEvents>,
    taken_notices: LotWriter<E, TakenNotices>,
    check_times: CheckTimes,
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    async fn create_trade(&self, asked: NewTrade, now: Time) -> Result<(Trade, bool), StoreError> {
        self.new_trades.submit(ToRecord { asked, now }).await.map_err(failed)
    }

    async fn trade(&self, trade_id: &str) -> Result<Option<Trade>, StoreError> {
        let rows = self.database.fetch(select_trade!("WHERE trade_id = $1"), values![trade_id]).await?;
        Ok(rows.first().map(rows::trade).transpose()?)
    }

    async fn trade_event(&self, trade_id: &str, event: TradeEvent, now: Time) -> Result<Trade, StoreError> {
        self.trade_events.submit(ToTell { trade_id: trade_id.to_owned(), event, now }).await.map_err(failed)
    }

    async fn due_trades(&self, now: Time, limit: u32) -> Result<Vec<Trade>, StoreError> {
        const DUE: &str = select_trade!("WHERE next_check_at_ms <= $1 ORDER BY next_check_at_ms LIMIT $2");
        self.read(DUE, values![now.millis(), limit], rows::trade).await
    }

    async fn create_refund(&self, asked: NewRefund, now: Time) -> Result<(Refund, bool), StoreError> {
        let times = self.check_times;
        let work = self.database.write(move |connection| Box::pin(refunds::create::<E>(connection, asked, times, now)));
        work.await.map_err(failed)
    }

    async fn refund(&self, refund_id: &str) -> Result<Option<Refund>, StoreError> {
        let rows = self.database.fetch(select_refund!("WHERE refund_id = $1"), values![refund_id]).await?;
        Ok(rows.first().map(rows::refund).transpose()?)
    }

    async fn refund_event(&self, refund_id: &str, event: RefundEvent, now: Time) -> Result<Refund, StoreError> {
        let (id, times) = (refund_id.to_owned(), self.check_times);
        let work =
            self.database.write(move |connection| Box::pin(refunds::tell::<E>(connection, id, event, times, now)));
        work.await.map_err(failed)
    }

    async fn due_refunds(&self, now: Time, limit: u32) -> Result<Vec<Refund>, StoreError> {
        const DUE: &str = select_refund!("WHERE next_check_at_ms <= $1 ORDER BY next_check_at_ms LIMIT $2");
        self.read(DUE, values![now.millis(), limit], rows::refund).await
    }

    async fn due_notices(&self, now: Time, limit: u32) -> Result<Vec<Notice>, StoreError> {
        const DUE: &str = "SELECT notice_id, order_id, trade_id, refund_id, outcome, amount_fen, attempts \
                           FROM notice WHERE due_at_ms <= $1 AND NOT EXISTS ( \
                             SELECT 1 FROM notice AS earlier \
                             WHERE earlier.order_id = notice.order_id AND earlier.notice_id < notice.notice_id) \
                           ORDER BY due_at_ms, notice_id LIMIT $2";
        self.read(DUE, values![now.millis(), limit], rows::notice).await
    }

    async fn notice_taken(&self, notice_id: i64) -> Result<(), StoreError> {
        self.taken_notices.submit(notice_id).await.map_err(failed)
    }

    async fn notice_failed(&self, notice_id: i64, again: Time) -> Result<(), StoreError> {
        const AGAIN: &str = "UPDATE notice SET attempts = attempts + 1, due_at_ms = $2 WHERE notice_id = $1";
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                E::execute(connection, AGAIN.into(), values![notice_id, again.millis()]).await?;
                Ok(())
            })
        });
        work.await.map_err(failed)
    }

    async fn operations(&self, from: Time, to: Time, after: &str, limit: u32) -> Result<Vec<Operation>, StoreError> {
        const OPERATIONS: &str = "SELECT id, is_refund, amount_fen FROM ( \
               SELECT trade_id AS id, CAST(0 AS BIGINT) AS is_refund, amount_fen \
               FROM trade WHERE captured_at_ms >= $1 AND captured_at_ms < $2 \
               UNION ALL \
               SELECT refund_id, CAST(1 AS BIGINT), amount_fen \
               FROM refund WHERE succeeded_at_ms >= $1 AND succeeded_at_ms < $2 AND amount_fen > 0 \
             ) AS operation WHERE id > $3 ORDER BY id LIMIT $4";
        self.read(OPERATIONS, values![from.millis(), to.millis(), after, limit], rows::operation).await
    }

    async fn operation(&self, id: &str) -> Result<Option<Operation>, StoreError> {
        const OPERATION: &str = "SELECT trade_id, CAST(0 AS BIGINT), amount_fen \
                                 FROM trade WHERE trade_id = $1 AND state = 'captured' \
                                 UNION ALL \
                                 SELECT refund_id, CAST(1 AS BIGINT), amount_fen \
                                 FROM refund WHERE refund_id = $1 AND state = 'succeeded'";
        Ok(self.read(OPERATION, values![id], rows::operation).await?.pop())
    }
}

impl<E: Engine> SqlStore<E> {
    fn new(database: Connected<E>, check_times: CheckTimes) -> Self {
        Self {
            new_trades: database.lot(NewTrades { check_times }),
            trade_events: database.lot(TradeEvents { check_times }),
            taken_notices: database.lot(TakenNotices),
            database,
            check_times,
        }
    }

    async fn read<T>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        row: fn(&Row) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.database.fetch(sql, values).await?;
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }
}

/// Crosses off notices that orders have taken.
struct TakenNotices;

impl<E: Engine> Lot<E> for TakenNotices {
    type Item = i64;
    type Value = ();
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        notices: &'c [i64],
    ) -> BoxFuture<'c, LotOutcomes<(), StoreError>> {
        static DELETE: LazyLock<Many> = LazyLock::new(|| {
            let text = "DELETE FROM notice WHERE notice_id IN (SELECT sent.notice_id FROM {sent})";
            Many::new(text, &[("notice_id", Type::Int)])
        });
        Box::pin(async move {
            let rows = notices.iter().map(|notice_id| values![*notice_id]).collect();
            E::many(connection, &DELETE, rows).await?;
            Ok(notices.iter().map(|_| Ok(())).collect())
        })
    }
}

fn next_check(pending: bool, checks: u32, times: CheckTimes, now: Time) -> Option<i64> {
    pending.then(|| now.plus_millis(backoff_ms(checks, times.first_ms, times.most_ms)).millis())
}

fn failed(error: GroupError<StoreError>) -> StoreError {
    match error {
        GroupError::Refused(refused) => refused,
        other => StoreError::Database(Box::new(other)),
    }
}
