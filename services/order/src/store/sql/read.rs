//! Rows back to orders: one row per ticket, with its order's columns before it.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use domain::{Channel, Money, OrderId, PassengerKind, Time};
use futures::future::BoxFuture;
use portable_sql::{Engine, Many, Row, Type, values};
use storage::{Lot, LotOutcomes};

use super::super::body::Body;
use super::super::{SealedPassenger, StoreError, TicketKey};
use super::{broken, unreadable};
use crate::order::{EndReason, Order, Paid, Passenger, Phase, Ticket, TicketState};

macro_rules! select {
    ($which:expr) => {
        concat!(
            "SELECT o.order_id, o.account, o.channel, o.request, o.phase, o.end_reason, o.created_at_ms, o.pay_by_ms, ",
            "o.hard_limit_ms, o.paid_at_ms, o.paid_attempt, o.policy_version, o.version, o.body, ",
            "t.leg, t.passenger, t.state, t.kind, t.document, t.sealed, t.fare_fen, t.fee_fen, t.refund_fen, ",
            "t.seats_returned, t.student_year FROM ",
            $which,
            " o JOIN tickets t ON t.order_id = o.order_id ",
            "ORDER BY o.created_at_ms DESC, o.order_id DESC, t.position"
        )
    };
}

/// Reads orders by their ids.
#[derive(Debug)]
pub(super) struct ById;

impl<E: Engine> Lot<E> for ById {
    type Item = OrderId;
    type Value = Option<Order>;
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        ids: &'c [OrderId],
    ) -> BoxFuture<'c, LotOutcomes<Option<Order>, StoreError>> {
        static BY_ID: LazyLock<Many> = LazyLock::new(|| {
            let text = select!("(SELECT orders.* FROM {sent} JOIN orders ON orders.order_id = sent.order_id)");
            Many::new(text, &[("order_id", Type::Bytes)])
        });
        Box::pin(async move {
            let wanted: BTreeSet<_> = ids.iter().copied().collect();
            let rows = wanted.iter().map(|id| values![id.bytes().to_vec()]).collect();
            let rows = E::many(connection, &BY_ID, rows).await.map_err(broken)?;
            let found: HashMap<_, _> = orders(&rows)?.into_iter().map(|order| (order.id, order)).collect();
            Ok(ids.iter().map(|id| Ok(found.get(id).cloned())).collect())
        })
    }
}

/// The newest orders of an account before a moment and id.
pub(super) const PAGE: &str = select!(
    "(SELECT * FROM orders WHERE account = $1 AND (created_at_ms, order_id) < ($2, $3) \
     ORDER BY created_at_ms DESC, order_id DESC LIMIT $4)"
);

/// The orders of such rows, in their order.
pub(super) fn orders(rows: &[Row]) -> Result<Vec<Order>, StoreError> {
    rows.chunk_by(|a, b| a.bytes(0).ok() == b.bytes(0).ok()).map(order).collect()
}

pub(super) fn order_id(bytes: &[u8]) -> Result<OrderId, StoreError> {
    let bytes: [u8; 16] = fixed(bytes)?;
    Ok(OrderId::from_u128(u128::from_be_bytes(bytes)))
}

pub(super) fn sealed(row: &Row) -> Result<SealedPassenger, StoreError> {
    let position = row.int(1).map_err(unreadable)? as u32;
    Ok(SealedPassenger {
        ticket: TicketKey { order: order_id(row.bytes(0).map_err(unreadable)?)?, position },
        passenger: row.int(2).map_err(unreadable)? as u8,
        sealed: row.bytes(3).map_err(unreadable)?.to_vec(),
    })
}

fn order(rows: &[Row]) -> Result<Order, StoreError> {
    let first = rows.first().ok_or_else(|| damaged("an order without tickets"))?;
    let moment = |index| first.optional_int(index).map(|at| at.map(Time::from_millis)).map_err(unreadable);
    let paid_attempt = first.optional_int(10).map_err(unreadable)?;
    let paid = moment(9)?.zip(paid_attempt).map(|(at, attempt)| Paid { attempt: attempt as u32, at });

    let mut tickets = rows.iter().map(ticket).collect::<Result<Vec<_>, _>>()?;
    let passengers = tickets.iter().filter(|ticket| ticket.leg == 0).count() as u8;
    // Rows without the amounts of their trades are older than changes: every ticket is the order's.
    let price = tickets.iter().map(|ticket| ticket.fare).sum();
    let body = Body::read(first.text(13).map_err(unreadable)?, passengers, price)?;
    for (position, changed) in body.changed {
        tickets.get_mut(position).ok_or_else(|| damaged("a change of no ticket"))?.changed = Some(changed);
    }
    // Every passenger is on the first leg.
    let on_first_leg = rows.iter().zip(&tickets).filter(|(_, ticket)| ticket.leg == 0);
    let mut passengers = on_first_leg.map(|(row, _)| passenger(row)).collect::<Result<Vec<_>, _>>()?;
    for (position, home, school) in body.students {
        passengers.get_mut(position).ok_or_else(|| damaged("a student who is no passenger"))?.student =
            Some((home, school));
    }
    Ok(Order {
        id: order_id(first.bytes(0).map_err(unreadable)?)?,
        account: first.text(1).map_err(unreadable)?.parse().map_err(|_| damaged("account"))?,
        channel: u8::try_from(first.int(2).map_err(unreadable)?)
            .ok()
            .and_then(Channel::from_code)
            .ok_or_else(|| damaged("channel"))?,
        request: fixed(first.bytes(3).map_err(unreadable)?)?,
        phase: phase(first.text(4).map_err(unreadable)?, first.optional_text(5).map_err(unreadable)?)?,
        legs: body.legs,
        passengers,
        tickets,
        trades: body.trades,
        refunds: body.refunds,
        changes: body.changes,
        created_at: Time::from_millis(first.int(6).map_err(unreadable)?),
        pay_by: moment(7)?,
        hard_limit: moment(8)?,
        paid,
        policy_version: first.int(11).map_err(unreadable)? as u32,
        version: first.int(12).map_err(unreadable)? as u64,
    })
}

fn ticket(row: &Row) -> Result<Ticket, StoreError> {
    use TicketState::{Changed, Issued, Refunded, Refunding, Replacing, Reserved, Void};
    let state = row.text(16).map_err(unreadable)?;
    let known = [Reserved, Issued, Refunding, Refunded, Void, Replacing, Changed];
    let state = known.into_iter().find(|known| known.name() == state);
    let money = |index| row.int(index).map(Money::fen).map_err(unreadable);
    Ok(Ticket {
        leg: row.int(14).map_err(unreadable)? as u8,
        passenger: row.int(15).map_err(unreadable)? as u8,
        state: state.ok_or_else(|| damaged("ticket state"))?,
        fare: money(20)?,
        fee: money(21)?,
        refund: money(22)?,
        seats_returned: row.int(23).map_err(unreadable)? != 0,
        student_year: row.optional_int(24).map_err(unreadable)?,
        changed: None,
    })
}

fn passenger(row: &Row) -> Result<Passenger, StoreError> {
    let kind = u8::try_from(row.int(17).map_err(unreadable)?).ok().and_then(PassengerKind::from_code);
    Ok(Passenger {
        kind: kind.ok_or_else(|| damaged("passenger kind"))?,
        document: fixed(row.bytes(18).map_err(unreadable)?)?,
        sealed: row.bytes(19).map_err(unreadable)?.to_vec(),
        student: None,
    })
}

fn phase(name: &str, reason: Option<&str>) -> Result<Phase, StoreError> {
    let known = reason.and_then(|reason| EndReason::ALL.into_iter().find(|it| it.name() == reason));
    if known.is_none() && reason.is_some() {
        return Err(damaged("end reason"));
    }
    let ended = || known.ok_or_else(|| damaged("an end without reason"));
    Ok(match name {
        "opening" => Phase::Opening,
        "held" => Phase::Held,
        "paying" => Phase::Paying,
        "captured" => Phase::Captured,
        "confirmed" => Phase::Confirmed,
        "changing" => Phase::Changing,
        "closing" => Phase::Closing(ended()?),
        "released" => Phase::Released(ended()?),
        "refunding" => Phase::Refunding(known),
        "refunded" => Phase::Refunded(known),
        _ => return Err(damaged("phase")),
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| damaged("bytes of the wrong length"))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}
