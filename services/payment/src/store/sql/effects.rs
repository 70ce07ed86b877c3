//! What is kept in the same transaction as the state it belongs to: postings to the ledger, and what orders must be told.

use std::sync::LazyLock;

use domain::{Money, Time};
use portable_sql::Type::{Int, Text};
use portable_sql::{Engine, Many, Value, values};

use super::super::StoreError;
use super::super::rows;
use crate::state::{Effect, Posting, PostingKind, Refund, Trade};

/// An effect as a row.
pub(super) enum Owed {
    /// Of the ledger.
    Posting(Vec<Value>),
    /// Of what an order must be told.
    Notice(Vec<Value>),
}

impl Owed {
    /// What an effect on a trade, or on a refund of it, leaves to be kept.
    pub(super) fn new(effect: Effect, trade: &Trade, refund: Option<&Refund>, now: Time) -> Self {
        let refund_id = refund.map(|refund| refund.refund_id.clone());
        let (outcome, amount) = match effect {
            Effect::Post(posting) => return Self::Posting(posting_row(posting, trade, refund_id, now)),
            Effect::NoteTrade(outcome) => (Some(rows::trade_state_name(outcome).to_owned()), trade.captured()),
            Effect::NoteRefund => (None, refund.map_or(Money::ZERO, |refund| refund.amount)),
        };
        let ids = (trade.order_id.as_str(), trade.trade_id.as_str());
        Self::Notice(values![ids.0, ids.1, refund_id, outcome, amount.as_fen(), now.millis()])
    }
}

/// Keeps effects. Notices are numbered in this order.
pub(super) async fn keep<E: Engine>(connection: &mut E::Connection, owed: Vec<Owed>) -> Result<(), StoreError> {
    static POST: LazyLock<Many> = LazyLock::new(|| {
        let columns = [
            ("posting_id", Text),
            ("kind", Text),
            ("order_id", Text),
            ("trade_id", Text),
            ("at_ms", Int),
            ("provider_fen", Int),
            ("sales_fen", Int),
            ("fees_fen", Int),
            ("refunds_due_fen", Int),
        ];
        Many::insert("ledger_posting", &columns)
    });
    static NOTICE: LazyLock<Many> = LazyLock::new(|| {
        let columns = [
            ("order_id", Text),
            ("trade_id", Text),
            ("refund_id", Text),
            ("outcome", Text),
            ("amount_fen", Int),
            ("due_at_ms", Int),
        ];
        Many::insert("notice", &columns)
    });
    let (mut postings, mut notices) = (Vec::new(), Vec::new());
    for owed in owed {
        match owed {
            Owed::Posting(row) => postings.push(row),
            Owed::Notice(row) => notices.push(row),
        }
    }
    E::many(connection, &POST, postings).await?;
    E::many(connection, &NOTICE, notices).await?;
    Ok(())
}

fn posting_row(posting: Posting, trade: &Trade, refund_id: Option<String>, now: Time) -> Vec<Value> {
    let subject = match posting.kind {
        PostingKind::Capture => trade.trade_id.as_str(),
        PostingKind::Refund | PostingKind::Arrival => refund_id.as_deref().unwrap_or_default(),
    };
    values![
        format!("{}:{subject}", posting.kind.name()),
        posting.kind.name(),
        trade.order_id.as_str(),
        trade.trade_id.as_str(),
        now.millis(),
        posting.provider.as_fen(),
        posting.sales.as_fen(),
        posting.fees.as_fen(),
        posting.refunds_due.as_fen(),
    ]
}
