//! Orders that something happened to.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use domain::Time;
use futures::future::BoxFuture;
use portable_sql::Type::{Bytes, Int, Text};
use portable_sql::{Engine, Many, Value, values};
use storage::{Lot, LotOutcomes};

use super::super::body::Body;
use super::super::{Change, StoreError};
use super::refusal::refusal_of;
use super::tickets::{self, NewTicket};
use super::{broken, read, unreadable};
use crate::order::{Order, Ticket};

/// Replaces orders whose version is still the one they were read at.
#[derive(Debug)]
pub(super) struct Updates;

/// An order of the version after the one that was read.
#[derive(Clone, Debug)]
pub(super) struct Update {
    pub after: Arc<Order>,
    pub tickets_before: Arc<[Ticket]>,
    pub change: Change,
}

impl<E: Engine> Lot<E> for Updates {
    type Item = Update;
    type Value = ();
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        items: &'c [Update],
    ) -> BoxFuture<'c, LotOutcomes<(), StoreError>> {
        Box::pin(update::<E>(connection, items))
    }
}

async fn update<E: Engine>(connection: &mut E::Connection, items: &[Update]) -> LotOutcomes<(), StoreError> {
    // Of two changes of one order only the first is tried: the second was decided before it.
    let mut seen = HashSet::with_capacity(items.len());
    let first: Vec<_> = items.iter().map(|item| seen.insert(item.after.id)).collect();
    let tried = || items.iter().zip(&first).filter(|(_, first)| **first).map(|(item, _)| item);

    // The accounts' rows first, as when orders are placed: two transactions never wait for each other's.
    let mut cancelled: Vec<_> = tried().filter(|item| item.change.cancellation.is_some()).collect();
    cancelled.sort_by_key(|item| &item.after.account);
    count_cancellations::<E>(connection, &cancelled).await?;

    let rows = tried().map(row).collect();
    let updated = E::many(connection, &UPDATE, rows).await.map_err(refusal_of)?;
    let updated = updated.iter().map(|row| read::order_id(row.bytes(0).map_err(unreadable)?));
    let updated = updated.collect::<Result<HashSet<_>, _>>()?;
    if cancelled.iter().any(|item| !updated.contains(&item.after.id)) {
        // What is counted for an account must not stay without its order: done alone, it goes with it.
        return Err(StoreError::Conflict);
    }
    let written = || tried().filter(|item| updated.contains(&item.after.id));
    update_tickets::<E>(connection, written()).await?;
    let added = written().flat_map(added).collect();
    tickets::insert::<E>(connection, added).await?;

    let outcome = |(item, first): (&Update, &bool)| {
        if *first && updated.contains(&item.after.id) { Ok(()) } else { Err(StoreError::Conflict) }
    };
    Ok(items.iter().zip(&first).map(outcome).collect())
}

static UPDATE: LazyLock<Many> = LazyLock::new(|| {
    const TEXT: &str = "UPDATE orders SET phase = sent.phase, end_reason = sent.end_reason, \
         unpaid_slot = CASE WHEN sent.is_unpaid = 1 THEN orders.unpaid_slot ELSE NULL END, \
         pay_by_ms = sent.pay_by_ms, hard_limit_ms = sent.hard_limit_ms, paid_at_ms = sent.paid_at_ms, \
         paid_attempt = sent.paid_attempt, version = sent.version, due_at_ms = sent.due_at_ms, \
         total_fen = sent.total_fen, captured_fen = sent.captured_fen, tickets_fen = sent.tickets_fen, \
         fees_fen = sent.fees_fen, refunded_fen = sent.refunded_fen, refunding_fen = sent.refunding_fen, \
         body = sent.body \
         FROM {sent} WHERE orders.order_id = sent.order_id AND orders.version = sent.version - 1 \
         RETURNING orders.order_id";
    let columns = [
        ("order_id", Bytes),
        ("version", Int),
        ("phase", Text),
        ("end_reason", Text),
        ("is_unpaid", Int),
        ("pay_by_ms", Int),
        ("hard_limit_ms", Int),
        ("paid_at_ms", Int),
        ("paid_attempt", Int),
        ("due_at_ms", Int),
        ("total_fen", Int),
        ("captured_fen", Int),
        ("tickets_fen", Int),
        ("fees_fen", Int),
        ("refunded_fen", Int),
        ("refunding_fen", Int),
        ("body", Text),
    ];
    Many::new(TEXT, &columns)
});

/// The columns of [`UPDATE`].
fn row(Update { after, change, .. }: &Update) -> Vec<Value> {
    let balance = after.balance();
    values![
        after.id.bytes().to_vec(),
        after.version as i64,
        after.phase.name(),
        after.phase.reason().map(|reason| reason.name().to_owned()),
        after.phase.is_unpaid(),
        after.pay_by.map(Time::millis),
        after.hard_limit.map(Time::millis),
        after.paid.map(|paid| paid.at.millis()),
        after.paid.map(|paid| i64::from(paid.attempt)),
        change.due_at.map(Time::millis),
        after.total().as_fen(),
        balance.captured.as_fen(),
        balance.tickets.as_fen(),
        balance.fees.as_fen(),
        balance.refunded.as_fen(),
        balance.refunding.as_fen(),
        Body::write(after),
    ]
}

async fn count_cancellations<E: Engine>(connection: &mut E::Connection, items: &[&Update]) -> Result<(), StoreError> {
    static CANCELLED: LazyLock<Many> = LazyLock::new(|| {
        let text = "INSERT INTO accounts (account, cancel_day, cancel_points) \
             SELECT sent.account, sent.day, sent.points FROM {sent} WHERE true \
             ON CONFLICT (account) DO UPDATE SET cancel_day = excluded.cancel_day, \
             cancel_points = excluded.cancel_points + \
             CASE WHEN accounts.cancel_day = excluded.cancel_day THEN accounts.cancel_points ELSE 0 END";
        Many::new(text, &[("account", Text), ("day", Int), ("points", Int)])
    });
    let row = |item: &&Update| {
        let cancellation = item.change.cancellation?;
        Some(values![item.after.account.as_str(), cancellation.day, cancellation.points])
    };
    let rows = items.iter().filter_map(row).collect();
    E::many(connection, &CANCELLED, rows).await.map(drop).map_err(broken)
}

/// Writes the tickets that have changed, those first that make room for others.
async fn update_tickets<'a, E: Engine>(
    connection: &mut E::Connection,
    items: impl Iterator<Item = &'a Update>,
) -> Result<(), StoreError> {
    let mut changed = Vec::new();
    for item in items {
        let tickets = item.tickets_before.iter().zip(&item.after.tickets).enumerate();
        changed.extend(tickets.filter(|(_, (old, new))| old != new).map(|(at, (old, _))| (&*item.after, at, old)));
    }
    tickets::update::<E>(connection, &changed).await
}

/// The tickets that a change adds.
fn added(item: &Update) -> impl Iterator<Item = NewTicket<'_>> {
    let positions = item.tickets_before.len()..item.after.tickets.len();
    positions.map(|position| NewTicket { order: &item.after, position, rules: item.change.added })
}
