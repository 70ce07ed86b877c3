//! The store's statements, once for SQLite and Postgres.

mod read;
mod refusal;

use async_trait::async_trait;
use domain::{AccountId, OrderId, Run, Time};
use futures::future::BoxFuture;
use portable_sql::{Connected, Engine, values};
use sqlx::migrate::Migrator;
use storage::GroupError;

use super::body::Body;
use super::{
    AccountLimits, AddedTickets, Admission, Change, OrderStore, PageEnd, Refusal, SealedPassenger, StoreError,
    TicketKey,
};
use crate::order::{Order, Ticket, TicketState};
use refusal::refusal_of;

/// The tables on SQLite.
pub static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");
/// The tables on Postgres.
pub static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// A transaction that was certainly not written is tried so often in all: a lost lock, a broken connection.
const WRITES_MAX: u32 = 3;

/// Orders in a database of either engine.
#[derive(Debug)]
pub struct SqlStore<E: Engine> {
    database: Connected<E>,
}

impl<E: Engine> SqlStore<E> {
    /// Orders in this database, which has been migrated.
    pub const fn new(database: Connected<E>) -> Self {
        Self { database }
    }

    /// Runs a transaction until it is written or refused. One whose fate is unknown is not repeated here: the caller reads.
    async fn write<Work>(&self, work: Work) -> Result<(), StoreError>
    where
        Work: for<'c> Fn(&'c mut E::Connection) -> BoxFuture<'c, Result<(), StoreError>> + Clone + Send + 'static,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.database.write(work.clone()).await {
                Ok(()) => return Ok(()),
                Err(GroupError::Refused(error)) => return Err(error),
                Err(GroupError::Aborted(_)) if tries < WRITES_MAX => {}
                Err(error) => return Err(StoreError::Unavailable(Box::new(error))),
            }
        }
    }
}

#[async_trait]
impl<E: Engine> OrderStore for SqlStore<E>
where
    SqlStore<E>: std::fmt::Debug,
{
    async fn insert(&self, order: &Order, admission: &Admission) -> Result<(), StoreError> {
        let (order, admission) = (order.clone(), admission.clone());
        self.write(move |connection| {
            let (order, admission) = (order.clone(), admission.clone());
            Box::pin(async move { insert::<E>(connection, &order, &admission).await })
        })
        .await
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let rows = self.database.fetch(read::ONE, values![id.bytes().to_vec()]).await.map_err(broken)?;
        Ok(read::orders(&rows)?.pop())
    }

    async fn list(&self, account: &AccountId, after: Option<PageEnd>, limit: u32) -> Result<Vec<Order>, StoreError> {
        let end = after.map_or((i64::MAX, vec![0xff; 17]), |end| (end.created_at.millis(), end.id.bytes().to_vec()));
        let values = values![account.as_str(), end.0, end.1, limit];
        let rows = self.database.fetch(read::PAGE, values).await.map_err(broken)?;
        read::orders(&rows)
    }

    async fn update(&self, before: &Order, after: Order, change: Change) -> Result<Order, StoreError> {
        let after = Order { version: before.version + 1, ..after };
        let (old, new) = (before.clone(), after.clone());
        self.write(move |connection| {
            let (old, new) = (old.clone(), new.clone());
            Box::pin(async move { update::<E>(connection, &old, &new, change).await })
        })
        .await?;
        Ok(after)
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        const DUE: &str = "SELECT order_id FROM orders WHERE due_at_ms <= $1 ORDER BY due_at_ms LIMIT $2";
        let values = values![now.millis(), i64::try_from(limit).unwrap_or(i64::MAX)];
        let rows = self.database.fetch(DUE, values).await.map_err(broken)?;
        rows.iter().map(|row| read::order_id(row.bytes(0).map_err(unreadable)?)).collect()
    }

    async fn of_run(&self, run: Run, after: Option<OrderId>, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const OF_RUN: &str = "SELECT DISTINCT order_id FROM tickets \
             WHERE train_code = $1 AND service_day = $2 AND ordinal = $3 AND live >= 1 AND order_id > $4 \
             ORDER BY order_id LIMIT $5";
        let after = after.map_or_else(Vec::new, |id| id.bytes().to_vec());
        let (day, ordinal) = (i64::from(run.date.days()), i64::from(run.ordinal));
        let values = values![run.train.as_str(), day, ordinal, after, limit];
        let rows = self.database.fetch(OF_RUN, values).await.map_err(broken)?;
        rows.iter().map(|row| read::order_id(row.bytes(0).map_err(unreadable)?)).collect()
    }

    async fn count_of_run(&self, run: Run) -> Result<u32, StoreError> {
        const COUNT: &str = "SELECT COUNT(DISTINCT order_id) FROM tickets \
             WHERE train_code = $1 AND service_day = $2 AND ordinal = $3 AND live >= 1";
        let (day, ordinal) = (i64::from(run.date.days()), i64::from(run.ordinal));
        let rows = self.database.fetch(COUNT, values![run.train.as_str(), day, ordinal]).await.map_err(broken)?;
        let count = rows.first().map_or(Ok(0), |row| row.int(0)).map_err(unreadable)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn sealed_after(&self, after: Option<TicketKey>, limit: u32) -> Result<Vec<SealedPassenger>, StoreError> {
        const SEALED: &str = "SELECT order_id, position, passenger, sealed FROM tickets \
             WHERE (order_id, position) > ($1, $2) ORDER BY order_id, position LIMIT $3";
        let (order, position) =
            after.map_or((Vec::new(), -1), |key| (key.order.bytes().to_vec(), i64::from(key.position)));
        let rows = self.database.fetch(SEALED, values![order, position, limit]).await.map_err(broken)?;
        rows.iter().map(read::sealed).collect()
    }

    async fn count_sealed(&self) -> Result<u64, StoreError> {
        let rows = self.database.fetch("SELECT COUNT(*) FROM tickets", Vec::new()).await.map_err(broken)?;
        let count = rows.first().map_or(Ok(0), |row| row.int(0)).map_err(unreadable)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn reseal(&self, before: &SealedPassenger, sealed: Vec<u8>) -> Result<(), StoreError> {
        const RESEAL: &str = "UPDATE tickets SET sealed = $4 WHERE order_id = $1 AND position = $2 AND sealed = $3";
        let before = before.clone();
        self.write(move |connection| {
            let (before, sealed) = (before.clone(), sealed.clone());
            Box::pin(async move {
                let (order, position) = (before.ticket.order.bytes().to_vec(), i64::from(before.ticket.position));
                let values = values![order, position, before.sealed, sealed];
                E::execute(connection, RESEAL.into(), values).await.map(drop).map_err(broken)
            })
        })
        .await
    }

    async fn postpone(&self, id: OrderId, due_at: Time) -> Result<(), StoreError> {
        const POSTPONE: &str = "UPDATE orders SET due_at_ms = $2 WHERE order_id = $1 AND due_at_ms IS NOT NULL";
        self.write(move |connection| {
            Box::pin(async move {
                let values = values![id.bytes().to_vec(), due_at.millis()];
                E::execute(connection, POSTPONE.into(), values).await.map(drop).map_err(broken)
            })
        })
        .await
    }
}

async fn insert<E: Engine>(
    connection: &mut E::Connection,
    order: &Order,
    admission: &Admission,
) -> Result<(), StoreError> {
    const EXISTS: &str = "SELECT version FROM orders WHERE order_id = $1";
    const INSERT: &str = "INSERT INTO orders (order_id, account, channel, request, phase, end_reason, unpaid_slot, \
         created_at_ms, pay_by_ms, hard_limit_ms, paid_at_ms, paid_attempt, policy_version, version, due_at_ms, \
         total_fen, captured_fen, tickets_fen, fees_fen, refunded_fen, refunding_fen, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

    // Before anything else, so that a repeat is told so and not what its first sending brought about.
    if !E::fetch(connection, EXISTS.into(), values![order.id.bytes().to_vec()]).await.map_err(broken)?.is_empty() {
        return Err(StoreError::Exists);
    }
    let unpaid_slot = match &admission.account {
        Some(limits) => Some(admit::<E>(connection, order, admission, limits).await?),
        None => None,
    };
    let balance = order.balance();
    let values = values![
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
    ];
    E::execute(connection, INSERT.into(), values).await.map_err(refusal_of)?;
    for (position, ticket) in order.tickets.iter().enumerate() {
        let rules = AddedTickets {
            rush: admission.rush[usize::from(ticket.leg)],
            student_trips_max: admission.student_trips_max,
        };
        insert_ticket::<E>(connection, order, position, ticket, rules).await?;
    }
    Ok(())
}

/// Checks what an account may have, behind a lock on its row, and gives the place its unpaid order takes.
async fn admit<E: Engine>(
    connection: &mut E::Connection,
    order: &Order,
    admission: &Admission,
    limits: &AccountLimits,
) -> Result<i64, StoreError> {
    const LOCK: &str = "INSERT INTO accounts (account, cancel_day, cancel_points) VALUES ($1, $2, 0) \
         ON CONFLICT (account) DO UPDATE SET account = excluded.account RETURNING cancel_day, cancel_points";
    const UNPAID: &str = "SELECT unpaid_slot FROM orders WHERE account = $1 AND unpaid_slot IS NOT NULL";
    const RUSH: &str = "SELECT COUNT(*) FROM tickets \
         WHERE account = $1 AND departs_at_ms > $2 AND live >= 1 AND rush = 1";

    let account = order.account.as_str();
    let rows = E::fetch(connection, LOCK.into(), values![account, admission.day]).await.map_err(broken)?;
    let row = rows.first().ok_or_else(|| StoreError::Unreadable("no account row".to_owned()))?;
    let (day, points) = (row.int(0).map_err(unreadable)?, row.int(1).map_err(unreadable)?);
    if day == admission.day && points >= i64::from(limits.cancel_points_max) {
        return Err(Refusal::CancelledTooOften.into());
    }
    let rows = E::fetch(connection, UNPAID.into(), values![account]).await.map_err(broken)?;
    let taken = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let free = (1..=i64::from(limits.unpaid_max)).find(|slot| !taken.contains(slot)).ok_or(Refusal::Unpaid)?;

    let new = order.tickets.iter().filter(|ticket| admission.rush[usize::from(ticket.leg)]).count() as i64;
    if new > 0 {
        let rows = E::fetch(connection, RUSH.into(), values![account, admission.now.millis()]).await.map_err(broken)?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("no count".to_owned()))?;
        if row.int(0).map_err(unreadable)? + new > i64::from(limits.rush_tickets_max) {
            return Err(Refusal::RushTickets { max: limits.rush_tickets_max }.into());
        }
    }
    Ok(free)
}

async fn insert_ticket<E: Engine>(
    connection: &mut E::Connection,
    order: &Order,
    position: usize,
    ticket: &Ticket,
    rules: AddedTickets,
) -> Result<(), StoreError> {
    const INSERT: &str = "INSERT INTO tickets (order_id, position, leg, passenger, account, state, live, train_code, \
         service_day, ordinal, departs_at_ms, arrives_at_ms, rush, kind, document, sealed, fare_fen, fee_fen, \
         refund_fen, seats_returned, student_year, student_trip) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

    let leg = &order.legs[usize::from(ticket.leg)];
    let passenger = &order.passengers[usize::from(ticket.passenger)];
    let student_trip = match ticket.student_year {
        // It takes over the trip of the ticket it replaces.
        Some(year) if replaced(order, position).is_some_and(|old| old.student_year == Some(year)) => None,
        Some(year) => Some(free_trip::<E>(connection, &passenger.document, year, rules.student_trips_max).await?),
        None => None,
    };
    let values = values![
        order.id.bytes().to_vec(),
        position as i64,
        i64::from(ticket.leg),
        i64::from(ticket.passenger),
        order.account.as_str(),
        ticket.state.name(),
        live(order, position),
        leg.run.train.as_str(),
        i64::from(leg.run.date.days()),
        i64::from(leg.run.ordinal),
        leg.departs_at.millis(),
        leg.arrives_at.millis(),
        rules.rush,
        i64::from(passenger.kind.code()),
        passenger.document.to_vec(),
        passenger.sealed.clone(),
        ticket.fare.as_fen(),
        ticket.fee.as_fen(),
        ticket.refund.as_fen(),
        ticket.seats_returned,
        ticket.student_year,
        student_trip,
    ];
    E::execute(connection, INSERT.into(), values).await.map(drop).map_err(refusal_of)
}

/// The ticket that the one at a position replaces, or is to replace.
fn replaced(order: &Order, position: usize) -> Option<&Ticket> {
    let mut swaps = order.changes.iter().flat_map(|change| &change.swaps);
    let swap = swaps.rfind(|swap| usize::from(swap.new) == position)?;
    order.tickets.get(usize::from(swap.old))
}

/// The column of that name: 1 while its passenger may have no other ticket beside it, 2 for one that is to replace a ticket
/// for the same run, 0 when it is over.
fn live(order: &Order, position: usize) -> i64 {
    let ticket = &order.tickets[position];
    let run = |ticket: &Ticket| order.legs[usize::from(ticket.leg)].run;
    match ticket.state {
        TicketState::Replacing if replaced(order, position).is_some_and(|old| run(old) == run(ticket)) => 2,
        TicketState::Replacing => 1,
        state => i64::from(state.is_live()),
    }
}

/// The lowest trip of the student year that no live ticket has: a refund gives its trip back.
async fn free_trip<E: Engine>(
    connection: &mut E::Connection,
    document: &[u8; 16],
    year: i64,
    max: u32,
) -> Result<i64, StoreError> {
    const TRIPS: &str = "SELECT student_trip FROM tickets \
         WHERE document = $1 AND student_year = $2 AND live >= 1 AND student_trip IS NOT NULL";
    let rows = E::fetch(connection, TRIPS.into(), values![document.to_vec(), year]).await.map_err(broken)?;
    let taken = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    (1..=i64::from(max)).find(|trip| !taken.contains(trip)).ok_or_else(|| Refusal::StudentTrips { max }.into())
}

async fn update<E: Engine>(
    connection: &mut E::Connection,
    before: &Order,
    after: &Order,
    change: Change,
) -> Result<(), StoreError> {
    // The account's row first, as when an order is placed: two transactions never wait for each other's.
    const CANCELLED: &str = "INSERT INTO accounts (account, cancel_day, cancel_points) VALUES ($1, $2, $3) \
         ON CONFLICT (account) DO UPDATE SET cancel_day = excluded.cancel_day, cancel_points = excluded.cancel_points + \
         CASE WHEN accounts.cancel_day = excluded.cancel_day THEN accounts.cancel_points ELSE 0 END";
    const UPDATE: &str = "UPDATE orders SET phase = $3, end_reason = $4, \
         unpaid_slot = CASE WHEN $5 = 1 THEN unpaid_slot ELSE NULL END, \
         pay_by_ms = $6, hard_limit_ms = $7, paid_at_ms = $8, paid_attempt = $9, version = version + 1, \
         due_at_ms = $10, total_fen = $11, captured_fen = $12, tickets_fen = $13, fees_fen = $14, refunded_fen = $15, \
         refunding_fen = $16, body = $17 WHERE order_id = $1 AND version = $2";
    const TICKET: &str = "UPDATE tickets SET state = $3, live = $4, fee_fen = $5, refund_fen = $6, \
         seats_returned = $7, fare_fen = $8 WHERE order_id = $1 AND position = $2";

    let id = after.id.bytes().to_vec();
    if let Some(cancellation) = change.cancellation {
        let values = values![after.account.as_str(), cancellation.day, cancellation.points];
        E::execute(connection, CANCELLED.into(), values).await.map_err(broken)?;
    }
    let balance = after.balance();
    let values = values![
        id.clone(),
        before.version as i64,
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
    ];
    if E::execute(connection, UPDATE.into(), values).await.map_err(refusal_of)? == 0 {
        return Err(StoreError::Conflict);
    }
    for (position, (old, new)) in before.tickets.iter().zip(&after.tickets).enumerate() {
        if old == new {
            continue;
        }
        let values = values![
            id.clone(),
            position as i64,
            new.state.name(),
            live(after, position),
            new.fee.as_fen(),
            new.refund.as_fen(),
            new.seats_returned,
            new.fare.as_fen(),
        ];
        E::execute(connection, TICKET.into(), values).await.map_err(refusal_of)?;
        if old.state == TicketState::Replacing && new.state == TicketState::Issued {
            take_trip_over::<E>(connection, after, position).await?;
        }
    }
    for (position, ticket) in after.tickets.iter().enumerate().skip(before.tickets.len()) {
        insert_ticket::<E>(connection, after, position, ticket, change.added).await?;
    }
    Ok(())
}

/// Gives the trip at the student fare of an exchanged ticket, which is not live any more, to the one that replaces it.
async fn take_trip_over<E: Engine>(
    connection: &mut E::Connection,
    order: &Order,
    position: usize,
) -> Result<(), StoreError> {
    const TAKE_OVER: &str = "UPDATE tickets SET student_trip = ( \
             SELECT old.student_trip FROM tickets AS old WHERE old.order_id = $1 AND old.position = $2) \
         WHERE order_id = $1 AND position = $3 AND student_year IS NOT NULL AND student_trip IS NULL";
    let mut swaps = order.changes.iter().flat_map(|change| &change.swaps);
    let Some(swap) = swaps.rfind(|swap| usize::from(swap.new) == position) else { return Ok(()) };
    let values = values![order.id.bytes().to_vec(), i64::from(swap.old), position as i64];
    E::execute(connection, TAKE_OVER.into(), values).await.map(drop).map_err(refusal_of)
}

fn broken(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

fn unreadable(error: sqlx::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
