//! The rows of tickets.

use std::sync::LazyLock;

use portable_sql::Type::{Bytes, Int, Text};
use portable_sql::{Engine, Many, Value, values};

use super::super::{AddedTickets, Refusal, StoreError};
use super::refusal::refusal_of;
use super::{broken, unreadable};
use crate::order::{Order, Ticket, TicketState};

/// A ticket to record.
pub(super) struct NewTicket<'a> {
    pub order: &'a Order,
    pub position: usize,
    pub rules: AddedTickets,
}

/// Records tickets of orders that are recorded.
pub(super) async fn insert<E: Engine>(
    connection: &mut E::Connection,
    tickets: Vec<NewTicket<'_>>,
) -> Result<(), StoreError> {
    const COLUMNS: [(&str, portable_sql::Type); 22] = [
        ("order_id", Bytes),
        ("position", Int),
        ("leg", Int),
        ("passenger", Int),
        ("account", Text),
        ("state", Text),
        ("live", Int),
        ("train_code", Text),
        ("service_day", Int),
        ("ordinal", Int),
        ("departs_at_ms", Int),
        ("arrives_at_ms", Int),
        ("rush", Int),
        ("kind", Int),
        ("document", Bytes),
        ("sealed", Bytes),
        ("fare_fen", Int),
        ("fee_fen", Int),
        ("refund_fen", Int),
        ("seats_returned", Int),
        ("student_year", Int),
        ("student_trip", Int),
    ];
    static INSERT: LazyLock<Many> = LazyLock::new(|| Many::insert("tickets", &COLUMNS));

    let mut rows = Vec::with_capacity(tickets.len());
    for new in tickets {
        let student_trip = student_trip::<E>(connection, &new).await?;
        rows.push(row(&new, student_trip));
    }
    E::many(connection, &INSERT, rows).await.map(drop).map_err(refusal_of)
}

fn row(NewTicket { order, position, rules }: &NewTicket<'_>, student_trip: Option<i64>) -> Vec<Value> {
    let ticket = &order.tickets[*position];
    let leg = &order.legs[usize::from(ticket.leg)];
    let passenger = &order.passengers[usize::from(ticket.passenger)];
    values![
        order.id.bytes().to_vec(),
        *position as i64,
        i64::from(ticket.leg),
        i64::from(ticket.passenger),
        order.account.as_str(),
        ticket.state.name(),
        live(order, *position),
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
    ]
}

/// Writes tickets of orders, of which it is known what they were before.
pub(super) async fn update<E: Engine>(
    connection: &mut E::Connection,
    changed: &[(&Order, usize, &Ticket)],
) -> Result<(), StoreError> {
    static UPDATE: LazyLock<Many> = LazyLock::new(|| {
        let text = "UPDATE tickets SET state = sent.state, live = sent.live, fee_fen = sent.fee_fen, \
             refund_fen = sent.refund_fen, seats_returned = sent.seats_returned, fare_fen = sent.fare_fen \
             FROM {sent} WHERE tickets.order_id = sent.order_id AND tickets.position = sent.position";
        let columns = [
            ("order_id", Bytes),
            ("position", Int),
            ("state", Text),
            ("live", Int),
            ("fee_fen", Int),
            ("refund_fen", Int),
            ("seats_returned", Int),
            ("fare_fen", Int),
        ];
        Many::new(text, &columns)
    });
    let row = |(order, position, _): &(&Order, usize, &Ticket)| {
        let ticket = &order.tickets[*position];
        values![
            order.id.bytes().to_vec(),
            *position as i64,
            ticket.state.name(),
            live(order, *position),
            ticket.fee.as_fen(),
            ticket.refund.as_fen(),
            ticket.seats_returned,
            ticket.fare.as_fen(),
        ]
    };
    // Those that are over go first: a ticket that comes to life may take the place of one of them.
    let (live, over): (Vec<_>, Vec<_>) = changed.iter().partition(|(order, at, _)| live(order, *at) > 0);
    for part in [over, live] {
        let rows = part.into_iter().map(row).collect();
        E::many(connection, &UPDATE, rows).await.map_err(refusal_of)?;
    }
    for (order, position, before) in changed {
        if before.state == TicketState::Replacing && order.tickets[*position].state == TicketState::Issued {
            take_trip_over::<E>(connection, order, *position).await?;
        }
    }
    Ok(())
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

/// Which trip of the student year a new ticket takes: the lowest that no live ticket has, since a refund gives its trip back.
async fn student_trip<E: Engine>(
    connection: &mut E::Connection,
    NewTicket { order, position, rules }: &NewTicket<'_>,
) -> Result<Option<i64>, StoreError> {
    const TRIPS: &str = "SELECT student_trip FROM tickets \
         WHERE document = $1 AND student_year = $2 AND live >= 1 AND student_trip IS NOT NULL";
    let ticket = &order.tickets[*position];
    let Some(year) = ticket.student_year else { return Ok(None) };
    // It takes over the trip of the ticket it replaces.
    if replaced(order, *position).is_some_and(|old| old.student_year == Some(year)) {
        return Ok(None);
    }
    let document = order.passengers[usize::from(ticket.passenger)].document.to_vec();
    let rows = E::fetch(connection, TRIPS.into(), values![document, year]).await.map_err(broken)?;
    let taken = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let max = rules.student_trips_max;
    let free = (1..=i64::from(max)).find(|trip| !taken.contains(trip));
    free.map(Some).ok_or_else(|| Refusal::StudentTrips { max }.into())
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
