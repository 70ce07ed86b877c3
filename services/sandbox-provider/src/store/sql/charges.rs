//! Charges: recorded once, decided once.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use domain::{Money, Time};
use futures::future::BoxFuture;
use portable_sql::Type::{Int, Text};
use portable_sql::{Engine, Many, Row, Value, locking, values};
use storage::{Lot, LotOutcomes};

use super::super::{Decision, StoreError};
use super::callbacks;
use crate::behaviour::ChargePlan;
use crate::model::{Charge, ChargeState, NewCharge, provider_charge_id};

/// Columns of a charge, in the order [`read`] reads them.
macro_rules! select_charge {
    ($rest:literal) => {
        concat!(
            "SELECT merchant_trade_id, provider_charge_id, amount_fen, token, callback_url, expires_at_ms, state, ",
            "succeeds, decide_at_ms, closable, refunded_fen FROM charge ",
            $rest
        )
    };
}

pub(super) use select_charge;

/// Takes charges on.
pub(super) struct Charges;

/// A charge that is asked for.
pub(super) struct NewlyAsked {
    pub asked: NewCharge,
    pub plan: ChargePlan,
    pub decision: Option<Decision>,
}

impl<E: Engine> Lot<E> for Charges {
    type Item = NewlyAsked;
    /// The charge, and whether it was recorded just now.
    type Value = (Charge, bool);
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        items: &'c [NewlyAsked],
    ) -> BoxFuture<'c, LotOutcomes<(Charge, bool), StoreError>> {
        Box::pin(record::<E>(connection, items))
    }
}

async fn record<E: Engine>(
    connection: &mut E::Connection,
    items: &[NewlyAsked],
) -> LotOutcomes<(Charge, bool), StoreError> {
    static INSERT: LazyLock<Many> = LazyLock::new(|| {
        let text = "INSERT INTO charge (merchant_trade_id, provider_charge_id, amount_fen, token, callback_url, \
             expires_at_ms, state, succeeds, decide_at_ms, closable) \
             SELECT sent.merchant_trade_id, sent.provider_charge_id, sent.amount_fen, sent.token, sent.callback_url, \
             sent.expires_at_ms, 'pending', sent.succeeds, sent.decide_at_ms, sent.closable FROM {sent} WHERE true \
             ON CONFLICT (merchant_trade_id) DO NOTHING RETURNING merchant_trade_id";
        let columns = [
            ("merchant_trade_id", Text),
            ("provider_charge_id", Text),
            ("amount_fen", Int),
            ("token", Text),
            ("callback_url", Text),
            ("expires_at_ms", Int),
            ("succeeds", Int),
            ("decide_at_ms", Int),
            ("closable", Int),
        ];
        Many::new(text, &columns)
    });
    static ASKED: LazyLock<Many> = LazyLock::new(|| {
        let text = select_charge!("WHERE merchant_trade_id IN (SELECT sent.merchant_trade_id FROM {sent})");
        Many::new(text, &[("merchant_trade_id", Text)])
    });
    let created = E::many(connection, &INSERT, items.iter().map(row).collect()).await?;
    let mut created = created.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<HashSet<_>, _>>()?;
    // The first of several calls under one id is the one that made it.
    let is_new: Vec<_> = items.iter().map(|item| created.remove(&item.asked.merchant_trade_id)).collect();
    let new = items.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
    let decided = new.filter_map(|(item, _)| Some((item.asked.merchant_trade_id.as_str(), item.decision.clone()?)));
    decide::<E>(connection, decided.collect()).await?;

    let rows = items.iter().map(|item| values![item.asked.merchant_trade_id.as_str()]).collect();
    let found = E::many(connection, &ASKED, rows).await?;
    let charges = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let charges: HashMap<_, _> =
        charges.iter().map(|charge| (charge.asked.merchant_trade_id.as_str(), charge)).collect();
    Ok(items.iter().zip(is_new).map(|(item, is_new)| answer(&charges, item, is_new)).collect())
}

fn row(NewlyAsked { asked, plan, .. }: &NewlyAsked) -> Vec<Value> {
    let id = asked.merchant_trade_id.as_str();
    values![
        id,
        provider_charge_id(id),
        asked.amount.as_fen(),
        asked.token.name(),
        asked.callback_url.as_str(),
        asked.expires_at.millis(),
        plan.succeeds,
        plan.decide_at.millis(),
        plan.closable,
    ]
}

fn answer(
    charges: &HashMap<&str, &Charge>,
    NewlyAsked { asked, .. }: &NewlyAsked,
    is_new: bool,
) -> Result<(Charge, bool), StoreError> {
    let id = &asked.merchant_trade_id;
    let charge = *charges.get(id.as_str()).ok_or_else(|| StoreError::NotCharged(id.clone()))?;
    // A charge that was closed before it was made stands for no amount; any other must be the same.
    let closed_first = charge.state == ChargeState::Closed && charge.asked.amount == Money::ZERO;
    let same = charge.asked.amount == asked.amount && charge.asked.token == asked.token;
    if same || closed_first {
        Ok((charge.clone(), is_new))
    } else {
        Err(StoreError::Differs { what: "charge", id: id.clone() })
    }
}

/// Decides charges, with the callbacks owed for them: the ids of those that were still undecided.
pub(super) async fn decide<E: Engine>(
    connection: &mut E::Connection,
    decisions: Vec<(&str, Decision)>,
) -> Result<HashSet<String>, StoreError> {
    static DECIDE: LazyLock<Many> = LazyLock::new(|| {
        let text = "UPDATE charge SET state = sent.state, decided_at_ms = sent.decided_at_ms FROM {sent} \
             WHERE charge.merchant_trade_id = sent.merchant_trade_id AND charge.state = 'pending' \
             RETURNING charge.merchant_trade_id";
        Many::new(text, &[("merchant_trade_id", Text), ("state", Text), ("decided_at_ms", Int)])
    });
    let row = |(id, decision): &(&str, Decision)| values![*id, decision.state.name(), decision.at.millis()];
    let decided = E::many(connection, &DECIDE, decisions.iter().map(row).collect()).await?;
    let decided = decided.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<HashSet<_>, _>>()?;
    let owed = decisions.into_iter().filter(|(id, _)| decided.contains(*id)).flat_map(|(_, decision)| decision.owed);
    callbacks::owe::<E>(connection, owed.collect()).await?;
    Ok(decided)
}

/// A charge, locked until the transaction ends.
pub(super) async fn lock<E: Engine>(connection: &mut E::Connection, id: &str) -> Result<Option<Charge>, StoreError> {
    let rows = E::fetch(connection, locking!(select_charge!("WHERE merchant_trade_id = $1")), values![id]).await?;
    rows.first().map(read).transpose().map_err(StoreError::from)
}

/// Reads a row of [`select_charge!`].
pub(super) fn read(row: &Row) -> Result<Charge, sqlx::Error> {
    let wrong = |what: &str| sqlx::Error::Decode(format!("a charge has an unknown {what}").into());
    Ok(Charge {
        asked: NewCharge {
            merchant_trade_id: row.text(0)?.to_owned(),
            amount: Money::fen(row.int(2)?),
            token: row.text(3)?.parse().map_err(|_| wrong("token"))?,
            callback_url: row.text(4)?.to_owned(),
            expires_at: Time::from_millis(row.int(5)?),
        },
        provider_charge_id: row.text(1)?.to_owned(),
        state: ChargeState::from_name(row.text(6)?).ok_or_else(|| wrong("state"))?,
        succeeds: row.int(7)? != 0,
        decide_at: Time::from_millis(row.int(8)?),
        closable: row.int(9)? != 0,
        refunded: Money::fen(row.int(10)?),
    })
}
