//! Orders that are placed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use domain::Time;
use futures::future::BoxFuture;
use portable_sql::Type::{Bytes, Int, Text};
use portable_sql::{Engine, Many, Value, values};
use storage::{Lot, LotOutcomes};

use super::super::body::Body;
use super::super::{AccountLimits, AddedTickets, Admission, Refusal, StoreError};
use super::refusal::refusal_of;
use super::tickets::{self, NewTicket};
use super::{broken, number, unreadable};
use crate::order::Order;

/// Records orders that pass what spans orders.
#[derive(Debug)]
pub(super) struct Inserts;

/// An order to record, and what it must pass.
#[derive(Clone, Debug)]
pub(super) struct Insert {
    pub order: Arc<Order>,
    pub admission: Arc<Admission>,
}

impl<E: Engine> Lot<E> for Inserts {
    type Item = Insert;
    type Value = ();
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        items: &'c [Insert],
    ) -> BoxFuture<'c, LotOutcomes<(), StoreError>> {
        Box::pin(insert::<E>(connection, items))
    }
}

async fn insert<E: Engine>(connection: &mut E::Connection, items: &[Insert]) -> LotOutcomes<(), StoreError> {
    let mut outcomes: Vec<_> = items.iter().map(|_| Ok(())).collect();
    // Before anything else, so that a repeat is told so and not what its first sending brought about.
    for item in known::<E>(connection, items).await? {
        outcomes[item] = Err(StoreError::Exists);
    }
    let mut accounts: Vec<Buyer<'_>> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate().filter(|(number, _)| outcomes[*number].is_ok()) {
        let limits = item.admission.account.as_ref();
        accounts.extend(limits.map(|limits| Buyer { number, item, limits }));
    }
    let mut unpaid_slots = vec![None; items.len()];
    for (number, admitted) in admit::<E>(connection, accounts).await? {
        match admitted {
            Ok(slot) => unpaid_slots[number] = Some(slot),
            Err(refusal) => outcomes[number] = Err(refusal.into()),
        }
    }
    let accepted = || items.iter().enumerate().filter(|(number, _)| outcomes[*number].is_ok());
    let rows = accepted().map(|(number, item)| row(item, unpaid_slots[number])).collect();
    E::many(connection, &INSERT, rows).await.map_err(refusal_of)?;
    tickets::insert::<E>(connection, accepted().flat_map(|(_, item)| tickets_of(item)).collect()).await?;
    Ok(outcomes)
}

static INSERT: LazyLock<Many> = LazyLock::new(|| {
    const COLUMNS: [(&str, portable_sql::Type); 22] = [
        ("order_id", Bytes),
        ("account", Text),
        ("channel", Int),
        ("request", Bytes),
        ("phase", Text),
        ("end_reason", Text),
        ("unpaid_slot", Int),
        ("created_at_ms", Int),
        ("pay_by_ms", Int),
        ("hard_limit_ms", Int),
        ("paid_at_ms", Int),
        ("paid_attempt", Int),
        ("policy_version", Int),
        ("version", Int),
        ("due_at_ms", Int),
        ("total_fen", Int),
        ("captured_fen", Int),
        ("tickets_fen", Int),
        ("fees_fen", Int),
        ("refunded_fen", Int),
        ("refunding_fen", Int),
        ("body", Text),
    ];
    Many::insert("orders", &COLUMNS)
});

/// The columns of [`INSERT`].
fn row(Insert { order, admission }: &Insert, unpaid_slot: Option<i64>) -> Vec<Value> {
    let balance = order.balance();
    values![
        order.id.bytes().to_vec(),
        order.account.as_str(),
        i64::from(order.channel.code()),
        order.request.to_vec(),
        order.phase.name(),
        order.phase.reason().map(|reason| reason.name().to_owned()),
        unpaid_slot,
        order.created_at.millis(),
        order.pay_by.map(Time::millis),
        order.hard_limit.map(Time::millis),
        order.paid.map(|paid| paid.at.millis()),
        order.paid.map(|paid| i64::from(paid.attempt)),
        order.policy_version,
        order.version as i64,
        admission.due_at.millis(),
        order.total().as_fen(),
        balance.captured.as_fen(),
        balance.tickets.as_fen(),
        balance.fees.as_fen(),
        balance.refunded.as_fen(),
        balance.refunding.as_fen(),
        Body::write(order),
    ]
}

fn tickets_of(Insert { order, admission }: &Insert) -> impl Iterator<Item = NewTicket<'_>> {
    order.tickets.iter().enumerate().map(|(position, ticket)| NewTicket {
        order,
        position,
        rules: AddedTickets {
            rush: admission.rush[usize::from(ticket.leg)],
            student_trips_max: admission.student_trips_max,
        },
    })
}

/// The items whose orders are recorded already.
async fn known<E: Engine>(connection: &mut E::Connection, items: &[Insert]) -> Result<Vec<usize>, StoreError> {
    static KNOWN: LazyLock<Many> = LazyLock::new(|| {
        let text = "SELECT sent.item FROM {sent} JOIN orders ON orders.order_id = sent.order_id";
        Many::new(text, &[("item", Int), ("order_id", Bytes)])
    });
    let rows = items.iter().enumerate().map(|(item, it)| vec![number(item), it.order.id.bytes().to_vec().into()]);
    let known = E::many(connection, &KNOWN, rows.collect()).await.map_err(broken)?;
    known.iter().map(|row| row.int(0).map(|item| item as usize).map_err(unreadable)).collect()
}

/// An account that places an order, and what it may have.
struct Buyer<'a> {
    number: usize,
    item: &'a Insert,
    limits: &'a AccountLimits,
}

/// Checks what accounts may have, behind locks on their rows, and gives the place that each one's unpaid order takes.
async fn admit<E: Engine>(
    connection: &mut E::Connection,
    mut buyers: Vec<Buyer<'_>>,
) -> Result<Vec<(usize, Result<i64, Refusal>)>, StoreError> {
    // Two transactions lock accounts in the same order. An account that is here twice fails the lot: each is done alone.
    buyers.sort_by_key(|buyer| &buyer.item.order.account);
    let points = cancel_points::<E>(connection, &buyers).await?;
    let taken = unpaid_slots::<E>(connection, &buyers).await?;
    let rush = rush_tickets::<E>(connection, &buyers).await?;
    let admitted = buyers.iter().map(|buyer| {
        let (number, limits) = (buyer.number, buyer.limits);
        let points = points.get(buyer.item.order.account.as_str()).copied().unwrap_or_default();
        let taken: &[i64] = taken.get(&number).map_or(&[], Vec::as_slice);
        let new = buyer.new_in_rush();
        let slot = if points >= i64::from(limits.cancel_points_max) {
            Err(Refusal::CancelledTooOften)
        } else if let Some(free) = (1..=i64::from(limits.unpaid_max)).find(|slot| !taken.contains(slot)) {
            let tickets = rush.get(&number).copied().unwrap_or_default() + new;
            let too_many = new > 0 && tickets > i64::from(limits.rush_tickets_max);
            if too_many { Err(Refusal::RushTickets { max: limits.rush_tickets_max }) } else { Ok(free) }
        } else {
            Err(Refusal::Unpaid)
        };
        (number, slot)
    });
    Ok(admitted.collect())
}

impl Buyer<'_> {
    fn account(&self) -> Value {
        self.item.order.account.as_str().into()
    }

    /// The order's tickets within rush periods.
    fn new_in_rush(&self) -> i64 {
        let rush = |leg: u8| self.item.admission.rush[usize::from(leg)];
        self.item.order.tickets.iter().filter(|ticket| rush(ticket.leg)).count() as i64
    }
}

/// The points of today's unpaid cancellations by account, whose rows are locked from here on.
async fn cancel_points<E: Engine>(
    connection: &mut E::Connection,
    buyers: &[Buyer<'_>],
) -> Result<HashMap<String, i64>, StoreError> {
    static LOCK: LazyLock<Many> = LazyLock::new(|| {
        let text = "INSERT INTO accounts (account, cancel_day, cancel_points) \
             SELECT sent.account, sent.day, 0 FROM {sent} WHERE true \
             ON CONFLICT (account) DO UPDATE SET account = excluded.account \
             RETURNING account, cancel_day, cancel_points";
        Many::new(text, &[("account", Text), ("day", Int)])
    });
    let rows = buyers.iter().map(|buyer| vec![buyer.account(), buyer.item.admission.day.into()]);
    let locked = E::many(connection, &LOCK, rows.collect()).await.map_err(broken)?;
    let mut points = HashMap::with_capacity(locked.len());
    for row in &locked {
        let (day, of_day) = (row.int(1).map_err(unreadable)?, row.int(2).map_err(unreadable)?);
        points.insert(row.text(0).map_err(unreadable)?.to_owned(), (day, of_day));
    }
    let today = |buyer: &Buyer<'_>| {
        let account = buyer.item.order.account.as_str();
        let (day, of_day) = points.get(account)?;
        Some((account.to_owned(), if *day == buyer.item.admission.day { *of_day } else { 0 }))
    };
    Ok(buyers.iter().filter_map(today).collect())
}

/// The places that unpaid orders take, by item.
async fn unpaid_slots<E: Engine>(
    connection: &mut E::Connection,
    buyers: &[Buyer<'_>],
) -> Result<HashMap<usize, Vec<i64>>, StoreError> {
    static UNPAID: LazyLock<Many> = LazyLock::new(|| {
        let text = "SELECT sent.item, orders.unpaid_slot FROM {sent} JOIN orders ON orders.account = sent.account \
             WHERE orders.unpaid_slot IS NOT NULL";
        Many::new(text, &[("item", Int), ("account", Text)])
    });
    let rows = buyers.iter().map(|buyer| vec![number(buyer.number), buyer.account()]);
    let mut taken: HashMap<usize, Vec<i64>> = HashMap::new();
    for row in E::many(connection, &UNPAID, rows.collect()).await.map_err(broken)? {
        let (item, slot) = (row.int(0).map_err(unreadable)?, row.int(1).map_err(unreadable)?);
        taken.entry(item as usize).or_default().push(slot);
    }
    Ok(taken)
}

/// Untravelled tickets within rush periods, by item, of accounts that want more of them.
async fn rush_tickets<E: Engine>(
    connection: &mut E::Connection,
    buyers: &[Buyer<'_>],
) -> Result<HashMap<usize, i64>, StoreError> {
    static RUSH: LazyLock<Many> = LazyLock::new(|| {
        let text = "SELECT sent.item, COUNT(*) FROM {sent} JOIN tickets ON tickets.account = sent.account \
             WHERE tickets.departs_at_ms > sent.now_ms AND tickets.live >= 1 AND tickets.rush = 1 GROUP BY sent.item";
        Many::new(text, &[("item", Int), ("account", Text), ("now_ms", Int)])
    });
    let rows = buyers.iter().filter(|buyer| buyer.new_in_rush() > 0);
    let rows = rows.map(|it| vec![number(it.number), it.account(), it.item.admission.now.millis().into()]);
    let mut tickets = HashMap::new();
    for row in E::many(connection, &RUSH, rows.collect()).await.map_err(broken)? {
        tickets.insert(row.int(0).map_err(unreadable)? as usize, row.int(1).map_err(unreadable)?);
    }
    Ok(tickets)
}
