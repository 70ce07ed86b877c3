//! Refunds of captured trades.

use std::iter;

use domain::Time;
use portable_sql::{Engine, Sql, locking, values};

use super::super::rows::{self, select_refund};
use super::super::{CheckTimes, NewRefund, StoreError};
use super::effects::{self, Owed};
use super::{next_check, trades};
use crate::state::{Refund, RefundEvent, RefundState, begin_refund, step_refund};

/// Records a refund unless its id is known; says whether it was recorded just now.
pub(super) async fn create<E: Engine>(
    connection: &mut E::Connection,
    asked: NewRefund,
    times: CheckTimes,
    now: Time,
) -> Result<(Refund, bool), StoreError> {
    const REFUND: &str = select_refund!("WHERE refund_id = $1");
    const INSERT: &str = "INSERT INTO refund (refund_id, trade_id, order_id, amount_fen, fee_fen, state, \
                          created_at_ms, succeeded_at_ms, next_check_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    // The trade's lock comes first: refunds of one trade wait for each other, and so do two calls of one refund.
    let trade = trades::lock::<E>(connection, &asked.trade_id).await?;
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
    trades::update::<E>(connection, iter::once((&trade, now)), times).await?;
    let owed = effects.into_iter().map(|effect| Owed::new(effect, &trade, Some(&refund), now));
    effects::keep::<E>(connection, owed.collect()).await?;
    Ok((refund, true))
}

/// Records what happened to a refund: the refund after it.
pub(super) async fn tell<E: Engine>(
    connection: &mut E::Connection,
    id: String,
    event: RefundEvent,
    times: CheckTimes,
    now: Time,
) -> Result<Refund, StoreError> {
    const REFUND: Sql = locking!(select_refund!("WHERE refund_id = $1"));
    const UPDATE: &str = "UPDATE refund SET state = $2, checks = $3, next_check_at_ms = $4, succeeded_at_ms = $5 \
                          WHERE refund_id = $1";
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
    let trade = trades::lock::<E>(connection, &after.trade_id).await?;
    let owed = effects.into_iter().map(|effect| Owed::new(effect, &trade, Some(&after), now));
    effects::keep::<E>(connection, owed.collect()).await?;
    Ok(after)
}
