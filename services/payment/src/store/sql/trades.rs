//! Trades: recorded before they are charged, and what happens to them.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::{Money, Time};
use futures::future::BoxFuture;
use portable_sql::Type::{Int, Text};
use portable_sql::{Engine, Many, Row, Value, locking, values};
use storage::{Lot, LotOutcomes};

use super::super::rows::{self, select_trade};
use super::super::{CheckTimes, NewTrade, StoreError};
use super::effects::{self, Owed};
use super::next_check;
use crate::state::{Trade, TradeEvent, TradeState, step_trade};

/// Records trades.
pub(super) struct NewTrades {
    pub check_times: CheckTimes,
}

/// A trade to record.
pub(super) struct ToRecord {
    pub asked: NewTrade,
    pub now: Time,
}

impl<E: Engine> Lot<E> for NewTrades {
    type Item = ToRecord;
    /// The trade, and whether it was recorded just now.
    type Value = (Trade, bool);
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        items: &'c [ToRecord],
    ) -> BoxFuture<'c, LotOutcomes<(Trade, bool), StoreError>> {
        Box::pin(record::<E>(connection, items, self.check_times))
    }
}

async fn record<E: Engine>(
    connection: &mut E::Connection,
    items: &[ToRecord],
    times: CheckTimes,
) -> LotOutcomes<(Trade, bool), StoreError> {
    static OF_ORDERS: LazyLock<Many> = LazyLock::new(|| {
        let text = select_trade!("WHERE order_id IN (SELECT sent.order_id FROM {sent})");
        Many::new(text, &[("order_id", Text)]).locking()
    });
    static INSERT: LazyLock<Many> = LazyLock::new(|| {
        let columns = [
            ("trade_id", Text),
            ("order_id", Text),
            ("attempt", Int),
            ("amount_fen", Int),
            ("payment_token", Text),
            ("expires_at_ms", Int),
            ("state", Text),
            ("created_at_ms", Int),
            ("next_check_at_ms", Int),
        ];
        Many::insert("trade", &columns)
    });
    let rows = items.iter().map(|item| values![item.asked.order_id.as_str()]).collect();
    let mut of_orders: HashMap<String, Vec<Trade>> = HashMap::new();
    for trade in read(&E::many(connection, &OF_ORDERS, rows).await?)? {
        of_orders.entry(trade.order_id.clone()).or_default().push(trade);
    }
    let known = |item: &ToRecord| of_orders.get(&item.asked.order_id).map_or(&[] as &[_], Vec::as_slice);
    let outcomes: Vec<_> = items.iter().map(|item| decide(&item.asked, known(item))).collect();
    let created = items.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Ok((_, true))));
    let rows = created.map(|(item, _)| new_row(item, times)).collect();
    E::many(connection, &INSERT, rows).await?;
    Ok(outcomes)
}

/// What asking for a trade gives beside those that its order has: the trade, and whether it is new.
fn decide(asked: &NewTrade, of_order: &[Trade]) -> Result<(Trade, bool), StoreError> {
    let trade_id = asked.trade_id();
    if let Some(known) = of_order.iter().find(|trade| trade.trade_id == trade_id) {
        let same = known.amount == asked.amount && known.payment_token == asked.payment_token;
        return if same { Ok((known.clone(), false)) } else { Err(StoreError::Differs(trade_id)) };
    }
    let in_the_way = |trade: &&Trade| match trade.state {
        TradeState::Pending => true,
        TradeState::Captured => !asked.supplement,
        TradeState::Declined | TradeState::Closed => false,
    };
    if let Some(trade) = of_order.iter().find(in_the_way) {
        let (order_id, trade_id) = (asked.order_id.clone(), trade.trade_id.clone());
        return Err(StoreError::TradeStands { order_id, trade_id });
    }
    let trade = Trade {
        trade_id,
        order_id: asked.order_id.clone(),
        amount: asked.amount,
        payment_token: asked.payment_token.clone(),
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

fn new_row(ToRecord { asked, now }: &ToRecord, times: CheckTimes) -> Vec<Value> {
    values![
        asked.trade_id(),
        asked.order_id.as_str(),
        asked.attempt,
        asked.amount.as_fen(),
        asked.payment_token.as_str(),
        asked.expires_at.millis(),
        rows::trade_state_name(TradeState::Pending),
        now.millis(),
        next_check(true, 0, times, *now),
    ]
}

/// Records what happened to trades.
pub(super) struct TradeEvents {
    pub check_times: CheckTimes,
}

/// Something that happened to a trade.
pub(super) struct ToTell {
    pub trade_id: String,
    pub event: TradeEvent,
    pub now: Time,
}

impl<E: Engine> Lot<E> for TradeEvents {
    type Item = ToTell;
    /// The trade after it.
    type Value = Trade;
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        items: &'c [ToTell],
    ) -> BoxFuture<'c, LotOutcomes<Trade, StoreError>> {
        Box::pin(tell::<E>(connection, items, self.check_times))
    }
}

/// Lets the events of a lot happen one after the other, so that a thousand repeats of one are one change.
async fn tell<E: Engine>(
    connection: &mut E::Connection,
    items: &[ToTell],
    times: CheckTimes,
) -> LotOutcomes<Trade, StoreError> {
    static TOLD: LazyLock<Many> = LazyLock::new(|| {
        let text = select_trade!("WHERE trade_id IN (SELECT sent.trade_id FROM {sent})");
        Many::new(text, &[("trade_id", Text)]).locking()
    });
    let rows = items.iter().map(|item| values![item.trade_id.as_str()]).collect();
    let found = read(&E::many(connection, &TOLD, rows).await?)?;
    let mut trades: HashMap<_, _> = found.into_iter().map(|trade| (trade.trade_id.clone(), trade)).collect();
    let mut changed: HashMap<&str, Time> = HashMap::new();
    let mut owed = Vec::new();
    let mut outcomes = Vec::with_capacity(items.len());
    for ToTell { trade_id, event, now } in items {
        let Some(trade) = trades.get_mut(trade_id) else {
            outcomes.push(Err(StoreError::TradeNotFound(trade_id.clone())));
            continue;
        };
        let (after, effects) = match step_trade(trade, event) {
            Ok(stepped) => stepped,
            Err(refusal) => {
                outcomes.push(Err(refusal.into()));
                continue;
            }
        };
        if after != *trade {
            changed.insert(trade_id, *now);
        }
        owed.extend(effects.into_iter().map(|effect| Owed::new(effect, &after, None, *now)));
        trade.clone_from(&after);
        outcomes.push(Ok(after));
    }
    let changed = changed.into_iter().filter_map(|(id, now)| trades.get(id).map(|trade| (trade, now)));
    update::<E>(connection, changed, times).await?;
    effects::keep::<E>(connection, owed).await?;
    Ok(outcomes)
}

/// A trade, locked until the transaction ends.
pub(super) async fn lock<E: Engine>(connection: &mut E::Connection, trade_id: &str) -> Result<Trade, StoreError> {
    let found = E::fetch(connection, locking!(select_trade!("WHERE trade_id = $1")), values![trade_id]).await?;
    read(&found)?.pop().ok_or_else(|| StoreError::TradeNotFound(trade_id.to_owned()))
}

/// Keeps trades as they are now, each with the moment of its change.
pub(super) async fn update<'a, E: Engine>(
    connection: &mut E::Connection,
    changed: impl Iterator<Item = (&'a Trade, Time)>,
    times: CheckTimes,
) -> Result<(), StoreError> {
    static UPDATE: LazyLock<Many> = LazyLock::new(|| {
        let text = "UPDATE trade SET state = sent.state, submitted = sent.submitted, closing = sent.closing, \
             captured_fen = sent.captured_fen, refunded_fen = sent.refunded_fen, fees_fen = sent.fees_fen, \
             provider_charge_id = sent.provider_charge_id, checks = sent.checks, \
             next_check_at_ms = sent.next_check_at_ms, \
             captured_at_ms = COALESCE(trade.captured_at_ms, sent.captured_at_ms) \
             FROM {sent} WHERE trade.trade_id = sent.trade_id";
        let columns = [
            ("trade_id", Text),
            ("state", Text),
            ("submitted", Int),
            ("closing", Int),
            ("captured_fen", Int),
            ("refunded_fen", Int),
            ("fees_fen", Int),
            ("provider_charge_id", Text),
            ("checks", Int),
            ("next_check_at_ms", Int),
            ("captured_at_ms", Int),
        ];
        Many::new(text, &columns)
    });
    let row = |(trade, now): (&Trade, Time)| {
        values![
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
            (trade.state == TradeState::Captured).then_some(now.millis()),
        ]
    };
    E::many(connection, &UPDATE, changed.map(row).collect()).await?;
    Ok(())
}

fn read(rows: &[Row]) -> Result<Vec<Trade>, sqlx::Error> {
    rows.iter().map(rows::trade).collect()
}
