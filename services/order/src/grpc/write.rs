//! Orders for their own account to read.

use domain::{Money, Time};
use privacy::DocumentVault;
use proto::order::v1 as wire;
use timetable::Timetable;

use crate::app::{Quote, Quoted, letter, passenger_context};
use crate::convert::{place_out, run_out};
use crate::order::{ChangeStage, Leg, Order, Phase, Swap, SwapPrice, Ticket, TicketChange, TicketState};

/// Writes orders with the names of stations and passengers.
pub(super) struct Writer<'a> {
    pub timetable: &'a Timetable,
    pub vault: &'a DocumentVault,
}

/// Where the page after an order begins.
pub(super) fn page_token(order: &Order) -> String {
    format!("{}.{}", order.created_at.millis(), order.id)
}

impl Writer<'_> {
    pub(super) fn order(&self, order: &Order) -> wire::Order {
        let balance = order.balance();
        let people: Vec<_> = (0..order.passengers.len()).map(|position| self.person(order, position)).collect();
        wire::Order {
            order_id: order.id.to_string(),
            account: order.account.to_string(),
            state: state(order.phase).into(),
            legs: order.legs.iter().map(|leg| self.leg(leg)).collect(),
            tickets: order.tickets.iter().map(|it| ticket(order, it, &people[usize::from(it.passenger)])).collect(),
            total_fen: order.total().as_fen(),
            refunded_fen: (balance.refunded + balance.refunding).as_fen(),
            fees_fen: balance.fees.as_fen(),
            pay_by_ms: order.pay_by.map_or(0, Time::millis),
            created_at_ms: order.created_at.millis(),
            // The first state has version 0 in the database; on the wire 0 means that none is known.
            version: order.version + 1,
            policy_version: order.policy_version,
            end_reason: order.phase.reason().map_or_else(String::new, |reason| reason.name().to_owned()),
            changes: order.changes.iter().map(|it| change(order, it)).collect(),
        }
    }

    fn leg(&self, leg: &Leg) -> wire::Leg {
        let train = self.timetable.train_by_code(leg.run.train);
        let station = |stop| {
            let stop = train.and_then(|train| self.timetable.train(train).stop(stop));
            stop.map_or_else(String::new, |stop| self.timetable.station(stop.station).name.to_string())
        };
        let (from, to) = (leg.interval.from(), leg.interval.to());
        let departure = train.and_then(|train| self.timetable.departure_civil(train, leg.run.date, from));
        let arrival = train.and_then(|train| self.timetable.arrival_civil(train, leg.run.date, to));
        let minute =
            |at: Option<jiff::civil::DateTime>| at.map_or_else(String::new, |at| at.strftime("%FT%H:%M").to_string());
        wire::Leg {
            run: Some(run_out(leg.run)),
            seat_class: i32::from(leg.class.code()),
            from_stop: from.into(),
            to_stop: to.into(),
            from_station: station(from),
            to_station: station(to),
            departure: minute(departure),
            arrival: minute(arrival),
        }
    }

    /// Name and masked number; empty where they cannot be read, which is logged.
    fn person(&self, order: &Order, position: usize) -> (String, String) {
        let context = passenger_context(order.id, position);
        match self.vault.open(&order.passengers[position].sealed, &context) {
            Ok((name, document)) => (name.as_str().to_owned(), masked(document.number())),
            Err(error) => {
                tracing::error!(order = %order.id, %error, "a passenger cannot be read");
                (String::new(), String::new())
            }
        }
    }
}

fn ticket(order: &Order, ticket: &Ticket, (name, document): &(String, String)) -> wire::Ticket {
    let leg = &order.legs[usize::from(ticket.leg)];
    let places = leg.places.iter().filter(|place| place.passenger == ticket.passenger);
    wire::Ticket {
        ticket_id: order.ticket_id(ticket),
        state: ticket_state(ticket.state).into(),
        leg: ticket.leg.into(),
        passenger: ticket.passenger.into(),
        passenger_name: name.clone(),
        document_masked: document.clone(),
        kind: i32::from(order.passengers[usize::from(ticket.passenger)].kind.code()),
        places: places.map(place_out).collect(),
        fare_fen: ticket.fare.as_fen(),
        refund_fen: ticket.refund.as_fen(),
        fee_fen: ticket.fee.as_fen(),
        changed_to: exchanged(order, ticket, |swap| (swap.old, swap.new)),
        changed_from: exchanged(order, ticket, |swap| (swap.new, swap.old)),
    }
}

/// The ticket on the other side of an exchange that was made.
fn exchanged(order: &Order, ticket: &Ticket, sides: fn(&Swap) -> (u8, u8)) -> String {
    let done = order.changes.iter().filter(|change| change.stage == ChangeStage::Done);
    let other = done.flat_map(|change| &change.swaps).map(sides).find_map(|(this, other)| {
        let same = order.tickets.get(usize::from(this)) == Some(ticket);
        if same { order.tickets.get(usize::from(other)) } else { None }
    });
    other.map_or_else(String::new, |other| order.ticket_id(other))
}

/// A quote.
pub(super) fn quote(quote: Quote) -> wire::QuoteOrderResponse {
    let fare = |(leg, passenger, berth, fare): (usize, usize, _, Money)| wire::QuotedFare {
        leg: leg as u32,
        passenger: passenger as u32,
        berth: letter(berth),
        fare_fen: fare.as_fen(),
    };
    wire::QuoteOrderResponse {
        quote: quote.token,
        expires_at_ms: quote.expires_at.millis(),
        total_fen: quote.total.as_fen(),
        fares: quote.fares.into_iter().map(fare).collect(),
    }
}

/// One exchange of tickets.
pub(super) fn change(order: &Order, change: &TicketChange) -> wire::TicketChange {
    let id = |position: u8| order.ticket_id(&order.tickets[usize::from(position)]);
    wire::TicketChange {
        change_id: change.id.to_string(),
        state: change_state(change.stage).into(),
        swaps: change.swaps.iter().map(|swap| swapped(id(swap.old), id(swap.new), swap.price)).collect(),
        due_fen: change.due().as_fen(),
        refund_fen: change.refund().as_fen(),
        fee_fen: change.fee().as_fen(),
        pay_by_ms: change.pay_by.map_or(0, Time::millis),
        end_reason: change.stage.reason().map_or_else(String::new, |reason| reason.name().to_owned()),
    }
}

/// What a change would cost.
pub(super) fn change_quote(quoted: &[Quoted]) -> wire::QuoteChangeResponse {
    let sum = |part: fn(&SwapPrice) -> Money| quoted.iter().map(|it| part(&it.price)).sum::<Money>().as_fen();
    wire::QuoteChangeResponse {
        swaps: quoted.iter().map(|it| swapped(it.ticket_id.clone(), String::new(), it.price)).collect(),
        due_fen: sum(|price| price.pay),
        refund_fen: sum(|price| price.refund),
        fee_fen: sum(|price| price.fee),
    }
}

fn swapped(ticket_id: String, new_ticket_id: String, price: SwapPrice) -> wire::TicketSwap {
    wire::TicketSwap {
        ticket_id,
        new_ticket_id,
        fare_fen: price.fare.as_fen(),
        fee_fen: price.fee.as_fen(),
        pay_fen: price.pay.as_fen(),
        refund_fen: price.refund.as_fen(),
    }
}

const fn change_state(stage: ChangeStage) -> wire::TicketChangeState {
    match stage {
        ChangeStage::Holding => wire::TicketChangeState::Holding,
        ChangeStage::Unpaid => wire::TicketChangeState::Unpaid,
        ChangeStage::Confirming => wire::TicketChangeState::Confirming,
        ChangeStage::GivingUp(_) => wire::TicketChangeState::GivingUp,
        ChangeStage::Failed(_) => wire::TicketChangeState::Failed,
        ChangeStage::Done => wire::TicketChangeState::Done,
    }
}

/// The ends of a number with its middle hidden: a quarter of it at each end stays. Numbers are ASCII.
fn masked(number: &str) -> String {
    let shown = number.len() / 4;
    let hidden = number.len() - 2 * shown;
    format!("{}{}{}", &number[..shown], "*".repeat(hidden), &number[shown + hidden..])
}

fn state(phase: Phase) -> wire::OrderState {
    match phase {
        Phase::Opening | Phase::Held => wire::OrderState::Held,
        Phase::Paying => wire::OrderState::Paying,
        Phase::Captured => wire::OrderState::Captured,
        Phase::Confirmed => wire::OrderState::Confirmed,
        Phase::Changing => wire::OrderState::Changing,
        Phase::Closing(_) => wire::OrderState::Closing,
        Phase::Released(_) => wire::OrderState::Released,
        Phase::Refunding(_) => wire::OrderState::Refunding,
        Phase::Refunded(_) => wire::OrderState::Refunded,
    }
}

fn ticket_state(state: TicketState) -> wire::TicketState {
    match state {
        TicketState::Reserved => wire::TicketState::Reserved,
        TicketState::Issued => wire::TicketState::Issued,
        TicketState::Refunding => wire::TicketState::Refunding,
        TicketState::Refunded => wire::TicketState::Refunded,
        TicketState::Void => wire::TicketState::Void,
        TicketState::Replacing => wire::TicketState::Replacing,
        TicketState::Changed => wire::TicketState::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_number_is_hidden() {
        assert_eq!(masked("11010519491231002X"), "1101**********002X");
        assert_eq!(masked("E12345678"), "E1*****78");
        assert_eq!(masked("E1234"), "E***4");
    }
}
