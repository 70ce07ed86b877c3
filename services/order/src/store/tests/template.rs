//! The order that the tests of the stores vary.

use domain::{Channel, HoldId, Interval, Money, OrderId, PassengerKind, Run, SeatClass};

use super::NOW;
use crate::order::{Leg, Order, Passenger, Phase, Seats, Ticket, TicketState};

/// An order of two passengers on so many legs, 100 yuan a ticket, right after it was recorded.
pub(crate) fn template(legs: u8) -> Order {
    let id = OrderId::from_u128(7);
    let run = Run::first("G71".parse().unwrap(), "2027-01-20".parse().unwrap());
    let leg = |leg: u8| Leg {
        run,
        class: SeatClass::Second,
        interval: Interval::new(0, 5).unwrap(),
        riders: vec![0, 1],
        places: Vec::new(),
        hold: HoldId::of_order(id, leg),
        seats: Seats::Held,
        held_again: 0,
        departs_at: NOW.plus_millis(3 * 24 * 60 * 60_000),
        arrives_at: NOW.plus_millis(3 * 24 * 60 * 60_000 + 300 * 60_000),
    };
    let ticket = |leg: u8, passenger: u8| Ticket {
        leg,
        passenger,
        state: TicketState::Reserved,
        fare: Money::yuan(100),
        fee: Money::ZERO,
        refund: Money::ZERO,
        seats_returned: false,
        student_year: None,
        changed: None,
    };
    let passenger = |n: u8| Passenger { kind: PassengerKind::Adult, document: [n; 16], sealed: vec![n], student: None };
    Order {
        id,
        account: "tester".parse().unwrap(),
        channel: Channel::Online,
        request: [1; 32],
        phase: Phase::Opening,
        legs: (0..legs).map(leg).collect(),
        passengers: vec![passenger(0), passenger(1)],
        tickets: (0..legs).flat_map(|at| [ticket(at, 0), ticket(at, 1)]).collect(),
        trades: Vec::new(),
        refunds: Vec::new(),
        changes: Vec::new(),
        created_at: NOW,
        pay_by: None,
        hard_limit: None,
        paid: None,
        policy_version: 1,
        version: 0,
    }
}
