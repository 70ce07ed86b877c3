use std::collections::HashMap;

use crate::read::Row;
use crate::{AuditError, Invariant, Report};

/// How long after its expiry a trade's outcome may be unknown, in ms: payment settles within five minutes.
const SETTLE_MS: i64 = 300_000;

/// What payment's database has of one order.
pub struct Payment {
    pub trades: Vec<Trade>,
    pub refunds: Vec<Refund>,
    pub postings: Vec<Posting>,
}

/// A trade.
pub struct Trade {
    id: String,
    amount_fen: i64,
    state: String,
    captured_fen: i64,
    refunded_fen: i64,
    fees_fen: i64,
    expires_at_ms: i64,
}

/// A refund.
pub struct Refund {
    pub id: String,
    trade_id: String,
    pub amount_fen: i64,
    fee_fen: i64,
    pub succeeded: bool,
}

/// A posting: its amounts in the accounts provider, sales, fees and refunds due.
pub struct Posting {
    id: String,
    amounts: [i64; 4],
}

impl Payment {
    /// Reads the rows of one order.
    pub fn read(trades: &[Row], refunds: &[Row], postings: &[Row]) -> Result<Self, AuditError> {
        let trade = |row: &Row| {
            Ok(Trade {
                id: row.text(1)?.to_owned(),
                amount_fen: row.int(2)?,
                state: row.text(3)?.to_owned(),
                captured_fen: row.int(4)?,
                refunded_fen: row.int(5)?,
                fees_fen: row.int(6)?,
                expires_at_ms: row.int(7)?,
            })
        };
        let refund = |row: &Row| {
            Ok(Refund {
                id: row.text(1)?.to_owned(),
                trade_id: row.text(2)?.to_owned(),
                amount_fen: row.int(3)?,
                fee_fen: row.int(4)?,
                succeeded: row.text(5)? == "succeeded",
            })
        };
        let posting = |row: &Row| {
            let amounts = [row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?];
            Ok(Posting { id: row.text(1)?.to_owned(), amounts })
        };
        Ok(Self {
            trades: trades.iter().map(trade).collect::<Result<_, AuditError>>()?,
            refunds: refunds.iter().map(refund).collect::<Result<_, AuditError>>()?,
            postings: postings.iter().map(posting).collect::<Result<_, AuditError>>()?,
        })
    }

    /// What came in.
    pub fn captured_fen(&self) -> i64 {
        self.trades.iter().map(|trade| trade.captured_fen).sum()
    }

    /// Checks trades, refunds and the ledger against each other.
    pub fn check(&self, now_ms: Option<i64>, place: &str, report: &mut Report) {
        for trade in &self.trades {
            self.check_trade(trade, now_ms, place, report);
        }
        for refund in &self.refunds {
            if !self.trades.iter().any(|trade| trade.id == refund.trade_id) {
                let what = format!("refund {} is of trade {}, which does not exist", refund.id, refund.trade_id);
                report.found(Invariant::I8, place, what);
            }
        }
        self.check_ledger(place, report);
    }

    fn check_trade(&self, trade: &Trade, now_ms: Option<i64>, place: &str, report: &mut Report) {
        let captured = if trade.state == "captured" { trade.amount_fen } else { 0 };
        if trade.captured_fen != captured {
            let what = format!("trade {} is {} with {} fen captured", trade.id, trade.state, trade.captured_fen);
            report.found(Invariant::I2, place, what);
        }
        let of_trade = || self.refunds.iter().filter(|refund| refund.trade_id == trade.id);
        let refunded: i64 = of_trade().map(|refund| refund.amount_fen).sum();
        let fees: i64 = of_trade().map(|refund| refund.fee_fen).sum();
        if refunded + fees > trade.captured_fen {
            let what = format!("refunds of {refunded} fen and fees of {fees} of trade {} exceed what came", trade.id);
            report.found(Invariant::I8, place, what);
        } else if (refunded, fees) != (trade.refunded_fen, trade.fees_fen) {
            let what = format!(
                "trade {} says {} fen refunded and {} kept, its refunds come to {refunded} and {fees}",
                trade.id, trade.refunded_fen, trade.fees_fen
            );
            report.found(Invariant::I8, place, what);
        }
        if let Some(now) = now_ms.filter(|now| trade.state == "pending" && trade.expires_at_ms + SETTLE_MS < *now) {
            let what = format!("trade {} is pending at {now} ms, it expired at {} ms", trade.id, trade.expires_at_ms);
            report.found(Invariant::I3, place, what);
        }
    }

    /// Every capture, refund and arrival is posted once, with its amounts, and nothing else is.
    fn check_ledger(&self, place: &str, report: &mut Report) {
        let mut expected: HashMap<String, [i64; 4]> = HashMap::new();
        for trade in self.trades.iter().filter(|trade| trade.captured_fen != 0) {
            expected.insert(format!("capture:{}", trade.id), [trade.captured_fen, -trade.captured_fen, 0, 0]);
        }
        for refund in &self.refunds {
            let (amount, fee) = (refund.amount_fen, refund.fee_fen);
            expected.insert(format!("refund:{}", refund.id), [0, amount + fee, -fee, -amount]);
            if refund.succeeded && amount != 0 {
                expected.insert(format!("arrival:{}", refund.id), [-amount, 0, 0, amount]);
            }
        }
        for posting in &self.postings {
            let sum: i64 = posting.amounts.iter().sum();
            let right = expected.remove(&posting.id);
            if sum != 0 {
                report.found(Invariant::I2, place, format!("posting {} sums to {sum} fen", posting.id));
            } else if right != Some(posting.amounts) {
                report.found(Invariant::I2, place, format!("posting {} is not what happened", posting.id));
            }
        }
        let mut missing: Vec<_> = expected.into_keys().collect();
        missing.sort_unstable();
        for posting in missing {
            report.found(Invariant::I2, place, format!("posting {posting} is missing"));
        }
    }
}
