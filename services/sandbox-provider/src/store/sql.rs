mod callbacks;
mod charges;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Money, Time};
use portable_sql::{Connected, Engine, Row, values};
use sqlx::migrate::Migrator;
use storage::{Database, DatabaseUrl, GroupError, GroupWriterOptions, LotWriter, OpenError, OpenOptions};

use super::{Decision, OwedCallback, Store, StoreError};
use crate::behaviour::ChargePlan;
use crate::model::{Callback, Charge, ChargeState, NewCharge, NewRefund, Refund, StatementLine, provider_charge_id};
use callbacks::TakenCallbacks;
use charges::{Charges, NewlyAsked, select_charge};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Opens and migrates the provider's database.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(url: &DatabaseUrl) -> Result<Arc<dyn Store>, OpenError> {
    let options = OpenOptions { application_name: "chunyun-sandbox-provider", ..OpenOptions::default() };
    let database = Database::open(url, &options).await?;
    database.migrate(&SQLITE, &POSTGRES).await?;
    let writing = GroupWriterOptions::default();
    Ok(match database {
        Database::Sqlite(sqlite) => {
            Arc::new(SqlStore::new(Connected::new(sqlite.readers().clone(), sqlite.writer().clone(), writing)))
        }
        Database::Postgres(pool) => Arc::new(SqlStore::new(Connected::new(pool.clone(), pool, writing))),
    })
}

struct SqlStore<E: Engine> {
    database: Connected<E>,
    charges: LotWriter<E, Charges>,
    taken_callbacks: LotWriter<E, TakenCallbacks>,
}

impl<E: Engine> SqlStore<E> {
    fn new(database: Connected<E>) -> Self {
        Self { charges: database.lot(Charges), taken_callbacks: database.lot(TakenCallbacks), database }
    }
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    async fn charge(
        &self,
        asked: NewCharge,
        plan: ChargePlan,
        decision: Option<Decision>,
    ) -> Result<(Charge, bool), StoreError> {
        self.charges.submit(NewlyAsked { asked, plan, decision }).await.map_err(failed)
    }

    async fn find_charge(&self, merchant_trade_id: &str) -> Result<Option<Charge>, StoreError> {
        let rows =
            self.database.fetch(select_charge!("WHERE merchant_trade_id = $1"), values![merchant_trade_id]).await?;
        rows.first().map(charges::read).transpose().map_err(StoreError::from)
    }

    async fn close_charge(&self, merchant_trade_id: &str, now: Time) -> Result<(ChargeState, bool), StoreError> {
        let id = merchant_trade_id.to_owned();
        self.database.write(move |connection| Box::pin(close_charge::<E>(connection, id, now))).await.map_err(failed)
    }

    async fn decide_charge(&self, merchant_trade_id: &str, decision: Decision) -> Result<ChargeState, StoreError> {
        let id = merchant_trade_id.to_owned();
        self.database
            .write(move |connection| {
                Box::pin(async move {
                    let state = decision.state;
                    if charges::decide::<E>(connection, vec![(&id, decision)]).await?.contains(&id) {
                        return Ok(state);
                    }
                    Ok(charges::lock::<E>(connection, &id).await?.map_or(state, |charge| charge.state))
                })
            })
            .await
            .map_err(failed)
    }

    async fn due_charges(&self, now: Time, limit: u32) -> Result<Vec<Charge>, StoreError> {
        const DUE: &str = select_charge!(
            "WHERE state = 'pending' AND (decide_at_ms <= $1 OR (closable = 1 AND expires_at_ms <= $1)) \
             ORDER BY decide_at_ms LIMIT $2"
        );
        let rows = self.database.fetch(DUE, values![now.millis(), limit]).await?;
        rows.iter().map(|row| charges::read(row).map_err(StoreError::from)).collect()
    }

    async fn refund(&self, asked: NewRefund, settle_at: Time) -> Result<(Refund, bool), StoreError> {
        self.database.write(move |connection| Box::pin(refund::<E>(connection, asked, settle_at))).await.map_err(failed)
    }

    async fn find_refund(&self, merchant_refund_id: &str) -> Result<Option<Refund>, StoreError> {
        let rows = self.database.fetch(REFUND, values![merchant_refund_id]).await?;
        rows.first().map(read_refund).transpose().map_err(StoreError::from)
    }

    async fn settle_refund(
        &self,
        merchant_refund_id: &str,
        now: Time,
        owed: Vec<OwedCallback>,
    ) -> Result<(), StoreError> {
        const SETTLE: &str =
            "UPDATE refund SET settled_at_ms = $2 WHERE merchant_refund_id = $1 AND settled_at_ms IS NULL";
        let values = values![merchant_refund_id, now.millis()];
        self.database
            .write(move |connection| {
                Box::pin(async move {
                    if E::execute(connection, SETTLE.into(), values).await? == 1 {
                        callbacks::owe::<E>(connection, owed).await?;
                    }
                    Ok(())
                })
            })
            .await
            .map_err(failed)
    }

    async fn due_refunds(&self, now: Time, limit: u32) -> Result<Vec<Refund>, StoreError> {
        const DUE: &str = "SELECT merchant_refund_id, merchant_trade_id, amount_fen, settle_at_ms, settled_at_ms \
                           FROM refund WHERE settled_at_ms IS NULL AND settle_at_ms <= $1 \
                           ORDER BY settle_at_ms LIMIT $2";
        let rows = self.database.fetch(DUE, values![now.millis(), limit]).await?;
        rows.iter().map(|row| read_refund(row).map_err(StoreError::from)).collect()
    }

    async fn due_callbacks(&self, now: Time, limit: u32) -> Result<Vec<Callback>, StoreError> {
        const DUE: &str = "SELECT callback_id, url, body, attempts FROM callback \
                           WHERE due_at_ms IS NOT NULL AND due_at_ms <= $1 ORDER BY due_at_ms LIMIT $2";
        let rows = self.database.fetch(DUE, values![now.millis(), limit]).await?;
        rows.iter().map(|row| callbacks::read(row).map_err(StoreError::from)).collect()
    }

    async fn callback_taken(&self, callback_id: &str) -> Result<(), StoreError> {
        self.taken_callbacks.submit(callback_id.to_owned()).await.map_err(failed)
    }

    async fn callback_failed(&self, callback_id: &str, again: Option<Time>) -> Result<(), StoreError> {
        const AGAIN: &str = "UPDATE callback SET attempts = attempts + 1, due_at_ms = $2 WHERE callback_id = $1";
        let values = values![callback_id, again.map(Time::millis)];
        self.database
            .write(move |connection| {
                Box::pin(async move {
                    E::execute(connection, AGAIN.into(), values).await?;
                    Ok(())
                })
            })
            .await
            .map_err(failed)
    }

    async fn statement(
        &self,
        from: Time,
        to: Time,
        after: Option<&StatementLine>,
        limit: u32,
    ) -> Result<Vec<StatementLine>, StoreError> {
        const LINES: &str = "SELECT id, is_refund, amount_fen, at_ms FROM ( \
               SELECT merchant_trade_id AS id, CAST(0 AS BIGINT) AS is_refund, amount_fen, decided_at_ms AS at_ms \
               FROM charge WHERE state = 'succeeded' AND decided_at_ms >= $1 AND decided_at_ms < $2 \
               UNION ALL \
               SELECT merchant_refund_id, CAST(1 AS BIGINT), amount_fen, settled_at_ms \
               FROM refund WHERE settled_at_ms >= $1 AND settled_at_ms < $2 \
             ) AS line WHERE at_ms > $3 OR (at_ms = $3 AND id > $4) ORDER BY at_ms, id LIMIT $5";
        let (after_ms, after_id) = after.map_or((i64::MIN, ""), |line| (line.at.millis(), line.merchant_id.as_str()));
        let rows = self.database.fetch(LINES, values![from.millis(), to.millis(), after_ms, after_id, limit]).await?;
        let read = |row: &Row| -> Result<_, StoreError> {
            Ok(StatementLine {
                merchant_id: row.text(0)?.to_owned(),
                is_refund: row.int(1)? != 0,
                amount: Money::fen(row.int(2)?),
                at: Time::from_millis(row.int(3)?),
            })
        };
        rows.iter().map(read).collect()
    }
}

async fn close_charge<E: Engine>(
    connection: &mut E::Connection,
    id: String,
    now: Time,
) -> Result<(ChargeState, bool), StoreError> {
    const CLOSE: &str = "UPDATE charge SET state = 'closed', decided_at_ms = $2 \
                         WHERE merchant_trade_id = $1 AND state = 'pending' AND closable = 1";
    const CLOSE_UNKNOWN: &str = "INSERT INTO charge (merchant_trade_id, provider_charge_id, amount_fen, token, \
                                 callback_url, expires_at_ms, state, succeeds, decide_at_ms, closable, decided_at_ms) \
                                 VALUES ($1, $2, 0, 'sandbox-ok', '', $3, 'closed', 0, $3, 1, $3) \
                                 ON CONFLICT (merchant_trade_id) DO NOTHING";
    if E::execute(connection, CLOSE.into(), values![id.as_str(), now.millis()]).await? == 1 {
        return Ok((ChargeState::Closed, true));
    }
    let values = values![id.as_str(), provider_charge_id(&id), now.millis()];
    let recorded = E::execute(connection, CLOSE_UNKNOWN.into(), values).await? == 1;
    let charge = charges::lock::<E>(connection, &id).await?;
    Ok((charge.map_or(ChargeState::Closed, |charge| charge.state), recorded))
}

async fn refund<E: Engine>(
    connection: &mut E::Connection,
    asked: NewRefund,
    settle_at: Time,
) -> Result<(Refund, bool), StoreError> {
    const INSERT: &str = "INSERT INTO refund (merchant_refund_id, merchant_trade_id, amount_fen, settle_at_ms) \
                          VALUES ($1, $2, $3, $4)";
    const TAKE: &str = "UPDATE charge SET refunded_fen = refunded_fen + $2 WHERE merchant_trade_id = $1";
    let (id, trade) = (asked.merchant_refund_id.clone(), asked.merchant_trade_id.clone());
    // The charge's lock comes first: two refunds of one charge wait for each other, two calls of one refund too.
    let charge = charges::lock::<E>(connection, &trade).await?;
    if let Some(known) = E::fetch(connection, REFUND.into(), values![id.as_str()]).await?.first() {
        let known = read_refund(known)?;
        return if known.asked == asked { Ok((known, false)) } else { Err(StoreError::Differs { what: "refund", id }) };
    }
    let charge = charge
        .filter(|charge| charge.state == ChargeState::Succeeded)
        .ok_or_else(|| StoreError::NotCharged(trade.clone()))?;
    if charge.refunded + asked.amount > charge.asked.amount {
        return Err(StoreError::ExceedsCharge(trade));
    }
    let amount_fen = asked.amount.as_fen();
    E::execute(connection, INSERT.into(), values![id, trade.as_str(), amount_fen, settle_at.millis()]).await?;
    E::execute(connection, TAKE.into(), values![trade, amount_fen]).await?;
    Ok((Refund { asked, settle_at, settled_at: None }, true))
}

const REFUND: &str = "SELECT merchant_refund_id, merchant_trade_id, amount_fen, settle_at_ms, settled_at_ms \
                      FROM refund WHERE merchant_refund_id = $1";

fn read_refund(row: &Row) -> Result<Refund, sqlx::Error> {
    Ok(Refund {
        asked: NewRefund {
            merchant_refund_id: row.text(0)?.to_owned(),
            merchant_trade_id: row.text(1)?.to_owned(),
            amount: Money::fen(row.int(2)?),
        },
        settle_at: Time::from_millis(row.int(3)?),
        settled_at: row.optional_int(4)?.map(Time::from_millis),
    })
}

fn failed(error: GroupError<StoreError>) -> StoreError {
    match error {
        GroupError::Refused(refused) => refused,
        other => StoreError::Database(Box::new(other)),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Box::new(error))
    }
}
