//! Orders, tickets, trades, refunds and postings, one order at a time, each beside the seats it has in the journal.

mod money;
mod order;

use crate::journal::{ConfirmedHold, Seats};
use crate::read::{Database, Groups, Row, Sql};
use crate::{AuditError, Invariant, Progress, Report};
use money::Payment;
use order::Order;

/// How often progress is told, in orders.
const PROGRESS_ORDERS: u64 = 1_000;

/// The books that are compared.
pub struct Books<'a> {
    pub order: Option<&'a Database>,
    pub payment: Option<&'a Database>,
    /// What the journal says, where it was read.
    pub seats: Option<&'a Seats>,
    pub now_ms: Option<i64>,
}

/// Everything about one order id.
struct Dossier<'a> {
    id: u128,
    order: Option<Order>,
    payment: Option<Payment>,
    seats: Option<(&'a Seats, &'a [ConfirmedHold])>,
    now_ms: Option<i64>,
}

const ORDERS: &str = "SELECT order_id, phase, created_at_ms, hard_limit_ms, paid_at_ms, due_at_ms, captured_fen, \
                      tickets_fen, fees_fen, refunded_fen, refunding_fen, body FROM orders ORDER BY order_id";
const TICKETS: &str = "SELECT order_id, leg, passenger, state, fare_fen, fee_fen, seats_returned \
                       FROM tickets ORDER BY order_id, position";

/// The same sorted by the bytes of the id, whatever the database's language.
macro_rules! by_order_id {
    ($select:literal) => {
        Sql {
            sqlite: concat!($select, " ORDER BY order_id"),
            postgres: concat!($select, " ORDER BY order_id COLLATE \"C\""),
        }
    };
}

const TRADES: Sql = by_order_id!(
    "SELECT order_id, trade_id, amount_fen, state, captured_fen, refunded_fen, fees_fen, expires_at_ms FROM trade"
);
const REFUNDS: Sql = by_order_id!("SELECT order_id, refund_id, trade_id, amount_fen, fee_fen, state FROM refund");
const POSTINGS: Sql =
    by_order_id!("SELECT order_id, posting_id, provider_fen, sales_fen, fees_fen, refunds_due_fen FROM ledger_posting");

impl Books<'_> {
    /// Audits order by order.
    pub async fn audit(&self, report: &mut Report, progress: &mut impl FnMut(Progress)) -> Result<(), AuditError> {
        let total = match self.order {
            Some(database) => Some(database.rows("SELECT COUNT(*) FROM orders", &[]).await?[0].int(0)? as u64),
            None => None,
        };
        let mut orders = groups(self.order, ORDERS.into(), id_of_bytes).await?;
        let mut tickets = groups(self.order, TICKETS.into(), id_of_bytes).await?;
        let mut trades = groups(self.payment, TRADES, id_of_text).await?;
        let mut refunds = groups(self.payment, REFUNDS, id_of_text).await?;
        let mut postings = groups(self.payment, POSTINGS, id_of_text).await?;
        let mut holds = self.seats.map_or(&[][..], |seats| &seats.confirmed);
        let mut done = 0;
        loop {
            let of_rows = [orders.key(), tickets.key(), trades.key(), refunds.key(), postings.key()];
            let of_seats = holds.first().map(|hold| &hold.owner);
            let Some(id) = of_rows.into_iter().chain([of_seats]).flatten().min().copied() else { break };
            let (confirmed, later) = holds.split_at(holds.partition_point(|hold| hold.owner == id));
            holds = later;
            let (order, tickets) = (orders.take(&id).await?, tickets.take(&id).await?);
            let payment = (trades.take(&id).await?, refunds.take(&id).await?, postings.take(&id).await?);
            let dossier = Dossier {
                id,
                order: order.first().map(|row| Order::read(row, &tickets)).transpose()?,
                payment: self.payment.map(|_| Payment::read(&payment.0, &payment.1, &payment.2)).transpose()?,
                seats: self.seats.map(|seats| (seats, confirmed)),
                now_ms: self.now_ms,
            };
            if dossier.order.is_none() && !tickets.is_empty() {
                report.found(Invariant::I2, dossier.place(), "has tickets and no order");
            }
            dossier.audit(self.order.is_some(), report);
            done += 1;
            if done % PROGRESS_ORDERS == 0 {
                progress(Progress { stage: "orders", done, total });
            }
        }
        progress(Progress { stage: "orders", done, total });
        Ok(())
    }
}

impl Dossier<'_> {
    fn place(&self) -> String {
        format!("order {}", uuid::Uuid::from_u128(self.id))
    }

    fn audit(&self, has_orders: bool, report: &mut Report) {
        let place = self.place();
        if let Some(order) = &self.order {
            report.counts.orders += 1;
            report.counts.tickets += order.tickets.len() as u64;
            order.check_money(&place, report);
            order.check_changes(&place, report);
            order.check_time(&place, self.now_ms, report);
            if let Some((seats, confirmed)) = self.seats {
                order.check_seats(seats, confirmed, &place, report);
            }
        }
        if let Some(payment) = &self.payment {
            report.counts.trades += payment.trades.len() as u64;
            report.counts.refunds += payment.refunds.len() as u64;
            report.counts.postings += payment.postings.len() as u64;
            payment.check(self.now_ms, &place, report);
        }
        if let (Some(order), Some(payment)) = (&self.order, &self.payment) {
            order.compare(payment, &place, report);
        }
        if has_orders && self.order.is_none() {
            self.check_nobody_owns_it(&place, report);
        }
    }

    /// Seats and money that no order knows of.
    fn check_nobody_owns_it(&self, place: &str, report: &mut Report) {
        if let Some((seats, confirmed)) = self.seats {
            for hold in confirmed {
                let run = &seats.runs[hold.run as usize];
                report.found(Invariant::I1, place, format!("has confirmed seats on {run} and does not exist"));
            }
        }
        let captured = self.payment.as_ref().map_or(0, Payment::captured_fen);
        if captured != 0 {
            report.found(Invariant::I2, place, format!("was paid {captured} fen and does not exist"));
        }
    }
}

async fn groups<'a>(
    database: Option<&'a Database>,
    sql: Sql,
    key: fn(&Row) -> Result<u128, AuditError>,
) -> Result<Groups<'a, u128>, AuditError> {
    match database {
        Some(database) => Groups::new(database.stream(sql, &[]), key).await,
        None => Ok(Groups::empty(key)),
    }
}

fn id_of_bytes(row: &Row) -> Result<u128, AuditError> {
    row.array(0).map(u128::from_be_bytes)
}

fn id_of_text(row: &Row) -> Result<u128, AuditError> {
    let id = uuid::Uuid::try_parse(row.text(0)?).map_err(|_| AuditError::Column { index: 0 })?;
    Ok(id.as_u128())
}
