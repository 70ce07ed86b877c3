use std::sync::Arc;

use async_trait::async_trait;
use domain::{Money, Time};
use portable_sql::{Connected, Engine, Row, Sql, Value, locking, values};
use sqlx::migrate::Migrator;
use storage::{Database, DatabaseUrl, GroupError, GroupWriterOptions, OpenError, OpenOptions};

use super::rows::{self, select_refund, select_trade};
use super::{CheckTimes, NewRefund, NewTrade, Notice, Operation, Store, StoreError};
use crate::state::{
    Effect, Posting, PostingKind, Refund, RefundEvent, RefundState, Trade, TradeEvent, TradeState, backoff_ms,
    begin_refund, step_refund, step_trade,
};

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
        Database::Sqlite(sqlite) => Arc::new(SqlStore {
            database: Connected::new(sqlite.readers().clone(), sqlite.writer().clone(), writing),
            check_times,
        }),
        Database::Postgres(pool) => {
            Arc::new(SqlStore { database: Connected::new(pool.clone(), pool, writing), check_times })
        }
    })
}

struct SqlStore<E: Engine> {
    database: Connected<E>,
    check_times: CheckTimes,
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    async fn create_trade(&self, asked: NewTrade, now: Time) -> Result<(Trade, bool), StoreError> {
        let times = self.check_times;
        let work = self.database.write(move |connection| Box::pin(create_trade::<E>(connection, asked, times, now)));
        work.await.map_err(failed)
    }

    async fn trade(&self, trade_id: &str) -> Result<Option<Trade>, StoreError> {
        let rows = self.database.fetch(select_trade!("WHERE trade_id = $1"), values![trade_id]).await?;
        Ok(rows.first().map(rows::trade).transpose()?)
    }

    async fn trade_event(&self, trade_id: &str, event: TradeEvent, now: Time) -> Result<Trade, StoreError> {
        let (id, times) = (trade_id.to_owned(), self.check_times);
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                let before = lock_trade::<E>(connection, &id).await?;
                let (after, effects) = step_trade(&before, &event)?;
                if after != before {
                    update_trade::<E>(connection, &after, times, now).await?;
                }
                for effect in effects {
                    perform::<E>(connection, effect, &after, None, now).await?;
                }
                Ok(after)
            })
        });
        work.await.map_err(failed)
    }

    async fn due_trades(&self, now: Time, limit: u32) -> Result<Vec<Trade>, StoreError> {
        const DUE: &str = select_trade!("WHERE next_check_at_ms <= $1 ORDER BY next_check_at_ms LIMIT $2");
        self.read(DUE, values![now.millis(), limit], rows::trade).await
    }

    async fn create_refund(&self, asked: NewRefund, now: Time) -> Result<(Refund, bool), StoreError> {
        let times = self.check_times;
        let work = self.database.write(move |connection| Box::pin(create_refund::<E>(connection, asked, times, now)));
        work.await.map_err(failed)
    }

    async fn refund(&self, refund_id: &str) -> Result<Option<Refund>, StoreError> {
        let rows = self.database.fetch(select_refund!("WHERE refund_id = $1"), values![refund_id]).await?;
        Ok(rows.first().map(rows::refund).transpose()?)
    }

    async fn refund_event(&self, refund_id: &str, event: RefundEvent, now: Time) -> Result<Refund, StoreError> {
        const REFUND: Sql = locking!(select_refund!("WHERE refund_id = $1"));
        const UPDATE: &str = "UPDATE refund SET state = $2, checks = $3, next_check_at_ms = $4, succeeded_at_ms = $5 \
                              WHERE refund_id = $1";
        let (id, times) = (refund_id.to_owned(), self.check_times);
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                let found = E::fetch(connection, REFUND, values![id.as_str()]).await?;
                let before = found.first().map(rows::refund).transpose()?;
                let before = before.ok_or_else(|| StoreError::RefundNotFound(id.clone()))?;
                let (after, effects) = step_refund(&before, event);
                if after != before {
                    let arrived = (after.state == RefundState::Succeeded).then_some(now.millis());
                    let next = next_check(after.state == RefundState::Pending, after.checks, times, now);
                    let state = rows::refund_state_name(after.state);
                    E::execute(connection, UPDATE.into(), values![id, state, after.checks, next, arrived]).await?;
                }
                let trade = lock_trade::<E>(connection, &after.trade_id).await?;
                for effect in effects {
                    perform::<E>(connection, effect, &trade, Some(&after), now).await?;
                }
                Ok(after)
            })
        });
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
        self.run("DELETE FROM notice WHERE notice_id = $1", values![notice_id]).await
    }

    async fn notice_failed(&self, notice_id: i64, again: Time) -> Result<(), StoreError> {
        const AGAIN: &str = "UPDATE notice SET attempts = attempts + 1, due_at_ms = $2 WHERE notice_id = $1";
        self.run(AGAIN, values![notice_id, again.millis()]).await
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
    async fn read<T>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        row: fn(&Row) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.database.fetch(sql, values).await?;
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    async fn run(&self, sql: &'static str, values: Vec<Value>) -> Result<(), StoreError> {
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                E::execute(connection, sql.into(), values).await?;
                Ok(())
            })
        });
        work.await.map_err(failed)
    }
}

async fn create_trade<E: Engine>(
    connection: &mut E::Connection,
    asked: NewTrade,
    times: CheckTimes,
    now: Time,
) -> Result<(Trade, bool), StoreError> {
    const TRADES: Sql = locking!(select_trade!("WHERE order_id = $1"));
    const INSERT: &str = "INSERT INTO trade (trade_id, order_id, attempt, amount_fen, payment_token, expires_at_ms, \
                          state, created_at_ms, next_check_at_ms) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8)";
    let trade_id = asked.trade_id();
    let found = E::fetch(connection, TRADES, values![asked.order_id.as_str()]).await?;
    let trades = found.iter().map(rows::trade).collect::<Result<Vec<_>, _>>()?;
    if let Some(known) = trades.iter().find(|trade| trade.trade_id == trade_id) {
        let same = known.amount == asked.amount && known.payment_token == asked.payment_token;
        return if same { Ok((known.clone(), false)) } else { Err(StoreError::Differs(trade_id)) };
    }
    let in_the_way = |trade: &&Trade| match trade.state {
        TradeState::Pending => true,
        TradeState::Captured => !asked.supplement,
        TradeState::Declined | TradeState::Closed => false,
    };
    let stands = trades.iter().find(in_the_way);
    if let Some(trade) = stands {
        return Err(StoreError::TradeStands { order_id: asked.order_id, trade_id: trade.trade_id.clone() });
    }
    let values = values![
        trade_id.as_str(),
        asked.order_id.as_str(),
        asked.attempt,
        asked.amount.as_fen(),
        asked.payment_token.as_str(),
        asked.expires_at.millis(),
        now.millis(),
        next_check(true, 0, times, now),
    ];
    E::execute(connection, INSERT.into(), values).await?;
    let trade = Trade {
        trade_id,
        order_id: asked.order_id,
        amount: asked.amount,
        payment_token: asked.payment_token,
        expires_at: asked.expires_at,
        state: TradeState::Pending,
        submitted: false,
        closing: false,
        refunded: Money::ZERO,
        fees: Money::ZERO,
        provider_charge_id: None,
        checks: 0,
    };
    Ok((trade, true))
}

async fn create_refund<E: Engine>(
    connection: &mut E::Connection,
    asked: NewRefund,
    times: CheckTimes,
    now: Time,
) -> Result<(Refund, bool), StoreError> {
    const REFUND: &str = select_refund!("WHERE refund_id = $1");
    const INSERT: &str = "INSERT INTO refund (refund_id, trade_id, order_id, amount_fen, fee_fen, state, \
                          created_at_ms, succeeded_at_ms, next_check_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    // The trade's lock comes first: refunds of one trade wait for each other, and so do two calls of one refund.
    let trade = lock_trade::<E>(connection, &asked.trade_id).await?;
    let found = E::fetch(connection, REFUND.into(), values![asked.refund_id.as_str()]).await?;
    if let Some(known) = found.first().map(rows::refund).transpose()? {
        let same = (&known.trade_id, known.amount, known.fee) == (&asked.trade_id, asked.amount, asked.fee);
        return if same { Ok((known, false)) } else { Err(StoreError::Differs(asked.refund_id)) };
    }
    let refund = Refund {
        refund_id: asked.refund_id,
        trade_id: asked.trade_id,
        order_id: trade.order_id.clone(),
        amount: asked.amount,
        fee: asked.fee,
        state: RefundState::Pending,
        checks: 0,
    };
    let (trade, refund, effects) = begin_refund(&trade, refund)?;
    let pending = refund.state == RefundState::Pending;
    let values = values![
        refund.refund_id.as_str(),
        refund.trade_id.as_str(),
        refund.order_id.as_str(),
        refund.amount.as_fen(),
        refund.fee.as_fen(),
        rows::refund_state_name(refund.state),
        now.millis(),
        (!pending).then_some(now.millis()),
        next_check(pending, 0, times, now),
    ];
    E::execute(connection, INSERT.into(), values).await?;
    update_trade::<E>(connection, &trade, times, now).await?;
    for effect in effects {
        perform::<E>(connection, effect, &trade, Some(&refund), now).await?;
    }
    Ok((refund, true))
}

async fn lock_trade<E: Engine>(connection: &mut E::Connection, trade_id: &str) -> Result<Trade, StoreError> {
    let found = E::fetch(connection, locking!(select_trade!("WHERE trade_id = $1")), values![trade_id]).await?;
    let trade = found.first().map(rows::trade).transpose()?;
    trade.ok_or_else(|| StoreError::TradeNotFound(trade_id.to_owned()))
}

async fn update_trade<E: Engine>(
    connection: &mut E::Connection,
    trade: &Trade,
    times: CheckTimes,
    now: Time,
) -> Result<(), StoreError> {
    const UPDATE: &str = "UPDATE trade SET state = $2, submitted = $3, closing = $4, captured_fen = $5, \
                          refunded_fen = $6, fees_fen = $7, provider_charge_id = $8, checks = $9, \
                          next_check_at_ms = $10, captured_at_ms = COALESCE(captured_at_ms, $11) WHERE trade_id = $1";
    let captured_at = (trade.state == TradeState::Captured).then_some(now.millis());
    let values = values![
        trade.trade_id.as_str(),
        rows::trade_state_name(trade.state),
        trade.submitted,
        trade.closing,
        trade.captured().as_fen(),
        trade.refunded.as_fen(),
        trade.fees.as_fen(),
        trade.provider_charge_id.clone(),
        trade.checks,
        next_check(trade.state == TradeState::Pending, trade.checks, times, now),
        captured_at,
    ];
    E::execute(connection, UPDATE.into(), values).await?;
    Ok(())
}

/// Keeps an effect in the same transaction as the state it belongs to.
async fn perform<E: Engine>(
    connection: &mut E::Connection,
    effect: Effect,
    trade: &Trade,
    refund: Option<&Refund>,
    now: Time,
) -> Result<(), StoreError> {
    const NOTICE: &str = "INSERT INTO notice (order_id, trade_id, refund_id, outcome, amount_fen, due_at_ms) \
                          VALUES ($1, $2, $3, $4, $5, $6)";
    let refund_id = refund.map(|refund| refund.refund_id.clone());
    let (outcome, amount) = match effect {
        Effect::Post(posting) => return post::<E>(connection, posting, trade, refund_id, now).await,
        Effect::NoteTrade(outcome) => (Some(rows::trade_state_name(outcome).to_owned()), trade.captured()),
        Effect::NoteRefund => (None, refund.map_or(Money::ZERO, |refund| refund.amount)),
    };
    let ids = (trade.order_id.as_str(), trade.trade_id.as_str());
    let values = values![ids.0, ids.1, refund_id, outcome, amount.as_fen(), now.millis()];
    E::execute(connection, NOTICE.into(), values).await?;
    Ok(())
}

async fn post<E: Engine>(
    connection: &mut E::Connection,
    posting: Posting,
    trade: &Trade,
    refund_id: Option<String>,
    now: Time,
) -> Result<(), StoreError> {
    const POST: &str = "INSERT INTO ledger_posting (posting_id, kind, order_id, trade_id, at_ms, provider_fen, \
                        sales_fen, fees_fen, refunds_due_fen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let subject = match posting.kind {
        PostingKind::Capture => trade.trade_id.as_str(),
        PostingKind::Refund | PostingKind::Arrival => refund_id.as_deref().unwrap_or_default(),
    };
    let values = values![
        format!("{}:{subject}", posting.kind.name()),
        posting.kind.name(),
        trade.order_id.as_str(),
        trade.trade_id.as_str(),
        now.millis(),
        posting.provider.as_fen(),
        posting.sales.as_fen(),
        posting.fees.as_fen(),
        posting.refunds_due.as_fen(),
    ];
    E::execute(connection, POST.into(), values).await?;
    Ok(())
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
