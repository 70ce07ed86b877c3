//! How rows read, and the names that stand in them.

use domain::{Money, Time};
use portable_sql::Row;

use crate::state::{Refund, RefundState, Trade, TradeState};
use crate::store::{News, Notice, Operation};

/// Columns of a trade, in the order [`trade`] reads them.
macro_rules! select_trade {
    ($rest:literal) => {
        concat!(
            "SELECT trade_id, order_id, amount_fen, payment_token, expires_at_ms, state, submitted, closing, ",
            "refunded_fen, fees_fen, provider_charge_id, checks FROM trade ",
            $rest
        )
    };
}

/// Columns of a refund, in the order [`refund`] reads them.
macro_rules! select_refund {
    ($rest:literal) => {
        concat!("SELECT refund_id, trade_id, order_id, amount_fen, fee_fen, state, checks FROM refund ", $rest)
    };
}

pub(super) use {select_refund, select_trade};

const TRADE_STATES: [(TradeState, &str); 4] = [
    (TradeState::Pending, "pending"),
    (TradeState::Captured, "captured"),
    (TradeState::Declined, "declined"),
    (TradeState::Closed, "closed"),
];

const REFUND_STATES: [(RefundState, &str); 2] =
    [(RefundState::Pending, "pending"), (RefundState::Succeeded, "succeeded")];

/// The name of a trade's state in the database.
pub fn trade_state_name(state: TradeState) -> &'static str {
    name_of(&TRADE_STATES, state)
}

/// The name of a refund's state in the database.
pub fn refund_state_name(state: RefundState) -> &'static str {
    name_of(&REFUND_STATES, state)
}

/// Reads a row of [`select_trade!`].
pub fn trade(row: &Row) -> Result<Trade, sqlx::Error> {
    Ok(Trade {
        trade_id: row.text(0)?.to_owned(),
        order_id: row.text(1)?.to_owned(),
        amount: Money::fen(row.int(2)?),
        payment_token: row.text(3)?.to_owned(),
        expires_at: Time::from_millis(row.int(4)?),
        state: state_of(&TRADE_STATES, row.text(5)?)?,
        submitted: row.int(6)? != 0,
        closing: row.int(7)? != 0,
        refunded: Money::fen(row.int(8)?),
        fees: Money::fen(row.int(9)?),
        provider_charge_id: row.optional_text(10)?.map(str::to_owned),
        checks: count(row.int(11)?),
    })
}

/// Reads a row of [`select_refund!`].
pub fn refund(row: &Row) -> Result<Refund, sqlx::Error> {
    Ok(Refund {
        refund_id: row.text(0)?.to_owned(),
        trade_id: row.text(1)?.to_owned(),
        order_id: row.text(2)?.to_owned(),
        amount: Money::fen(row.int(3)?),
        fee: Money::fen(row.int(4)?),
        state: state_of(&REFUND_STATES, row.text(5)?)?,
        checks: count(row.int(6)?),
    })
}

/// Reads notice_id, order_id, trade_id, refund_id, outcome, amount_fen, attempts.
pub fn notice(row: &Row) -> Result<Notice, sqlx::Error> {
    let news = match row.optional_text(3)? {
        Some(refund_id) => News::Refund { refund_id: refund_id.to_owned() },
        None => News::Trade { outcome: state_of(&TRADE_STATES, row.text(4)?)?, captured: Money::fen(row.int(5)?) },
    };
    Ok(Notice {
        notice_id: row.int(0)?,
        order_id: row.text(1)?.to_owned(),
        trade_id: row.text(2)?.to_owned(),
        news,
        attempts: count(row.int(6)?),
    })
}

/// Reads id, is_refund, amount_fen.
pub fn operation(row: &Row) -> Result<Operation, sqlx::Error> {
    Ok(Operation { id: row.text(0)?.to_owned(), is_refund: row.int(1)? != 0, amount: Money::fen(row.int(2)?) })
}

fn name_of<S: Copy + PartialEq>(names: &[(S, &'static str)], state: S) -> &'static str {
    names.iter().find(|(known, _)| *known == state).map_or("", |(_, name)| name)
}

fn state_of<S: Copy>(names: &[(S, &'static str)], name: &str) -> Result<S, sqlx::Error> {
    let known = names.iter().find(|(_, known)| *known == name).map(|(state, _)| *state);
    known.ok_or_else(|| sqlx::Error::Decode("a row has an unknown state".into()))
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
