//! The laws of the saga: whatever step is repeated, fails, or loses its answer, an order ends finished or leaves nothing.

mod changes;
mod deadlines;
mod stories;

use domain::{Channel, Interval, OrderId, PassengerKind, Run, SeatClass};

use super::*;
use crate::order::{Leg, Passenger, Refund, Ticket};

const START: Time = Time::from_millis(1_800_000_000_000);
const MINUTE: i64 = 60_000;
const FARE: Money = Money::yuan(100);

/// An order of two passengers on so many legs, 100 yuan a ticket, right after it was recorded.
fn order(legs: u8) -> Order {
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
        departs_at: START.plus_millis(3 * 24 * 60 * MINUTE),
        arrives_at: START.plus_millis(3 * 24 * 60 * MINUTE + 300 * MINUTE),
    };
    let ticket = |leg: u8, passenger: u8| Ticket {
        leg,
        passenger,
        state: TicketState::Reserved,
        fare: FARE,
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
        created_at: START,
        pay_by: None,
        hard_limit: None,
        paid: None,
        policy_version: 1,
        version: 0,
    }
}

const TERMS: Terms = Terms { pay_attempts_max: 3, hold_again_max: 2, seats_wait_for_money: false };

fn news(attempt: u32, state: TradeState, captured: Money) -> Event {
    let id = format!("trade-{attempt}");
    Event::Trade(TradeNews { attempt: Some(attempt), id, state, captured, revive: true })
}

fn held(legs: u8) -> Order {
    let mut order = order(legs);
    for leg in 0..legs {
        let opened = Event::HoldOpened {
            leg,
            pay_by: START.plus_millis(15 * MINUTE),
            hard_limit: START.plus_millis(20 * MINUTE),
        };
        order = step(&order, opened, START, &TERMS).unwrap().0;
    }
    order
}

#[test]
fn an_order_is_payable_up_to_the_last_millisecond() {
    let pay = |at_ms: i64| {
        step(&held(1), Event::Pay { token: "t".into() }, START.plus_millis(at_ms), &TERMS).map(|(order, _)| order.phase)
    };
    assert_eq!(pay(15 * MINUTE - 1), Ok(Phase::Paying));
    assert_eq!(pay(15 * MINUTE), Err(Rejection::TooLate { pay_by: START.plus_millis(15 * MINUTE) }));
}

#[test]
fn a_second_payment_by_other_means_is_refused_and_a_repeat_is_not() {
    let (paying, effects) = step(&held(1), Event::Pay { token: "t".into() }, START, &TERMS).unwrap();
    assert_eq!(effects, [Effect::CreateTrade { attempt: 0 }]);
    assert_eq!(step(&paying, Event::Pay { token: "t".into() }, START, &TERMS).unwrap().0, paying);
    assert_eq!(step(&paying, Event::Pay { token: "u".into() }, START, &TERMS), Err(Rejection::PaidOtherwise));
}

#[test]
fn seats_are_given_back_only_when_no_money_can_come_for_them() {
    let (paying, _) = step(&held(2), Event::Pay { token: "t".into() }, START, &TERMS).unwrap();
    let (closing, effects) = step(&paying, Event::Cancel, START, &TERMS).unwrap();
    assert_eq!(effects, [Effect::CloseTrade { attempt: 0 }]);
    let (_, effects) = step(&closing, news(0, TradeState::Closed, Money::ZERO), START, &TERMS).unwrap();
    assert_eq!(effects, [Effect::Release { leg: 0 }, Effect::Release { leg: 1 }]);
}

#[test]
fn money_of_the_wrong_amount_goes_back_and_issues_nothing() {
    let (paying, _) = step(&held(1), Event::Pay { token: "t".into() }, START, &TERMS).unwrap();
    let (order, effects) = step(&paying, news(0, TradeState::Captured, Money::yuan(199)), START, &TERMS).unwrap();
    assert_eq!(order.phase, Phase::Held);
    assert_eq!(effects, [Effect::CreateRefund { id: format!("{}-surplus-0", order.id) }]);
    assert_eq!(order.refunds[0].amount, Money::yuan(199));
}

#[test]
fn a_ticket_is_given_back_once_and_only_when_it_is_good() {
    let early = Event::GiveBack { ticket: 0, fee: Money::ZERO };
    assert_eq!(step(&held(1), early, START, &TERMS), Err(Rejection::TicketState("reserved")));
    let (paying, _) = step(&held(1), Event::Pay { token: "t".into() }, START, &TERMS).unwrap();
    let (captured, _) = step(&paying, news(0, TradeState::Captured, Money::yuan(200)), START, &TERMS).unwrap();
    let (confirmed, _) = step(&captured, Event::LegConfirmed { leg: 0 }, START, &TERMS).unwrap();
    let fee = Money::yuan(20);
    let (once, effects) = step(&confirmed, Event::GiveBack { ticket: 1, fee }, START, &TERMS).unwrap();
    let refund = Effect::CreateRefund { id: format!("{}-0-1", once.id) };
    assert_eq!(effects, [Effect::ReturnSeats { leg: 0, passengers: vec![1] }, refund]);
    let amounts: Vec<_> = once.refunds.iter().map(|refund: &Refund| (refund.amount, refund.fee)).collect();
    assert_eq!(amounts, [(Money::yuan(80), fee)]);
    // A later repeat, at a higher fee, answers what was decided.
    let again = step(&once, Event::GiveBack { ticket: 1, fee: FARE }, START, &TERMS).unwrap().0;
    assert_eq!(again, once);
    assert_eq!(step(&once, Event::GiveBack { ticket: 9, fee }, START, &TERMS), Err(Rejection::NoTicket));
}

#[test]
fn a_fee_that_eats_the_fare_sends_nothing() {
    let (paying, _) = step(&held(1), Event::Pay { token: "t".into() }, START, &TERMS).unwrap();
    let (captured, _) = step(&paying, news(0, TradeState::Captured, Money::yuan(200)), START, &TERMS).unwrap();
    let (confirmed, _) = step(&captured, Event::LegConfirmed { leg: 0 }, START, &TERMS).unwrap();
    let (order, effects) = step(&confirmed, Event::GiveBack { ticket: 0, fee: FARE }, START, &TERMS).unwrap();
    // Payment is told of the fee all the same: its ledger has it as one.
    let fee = Effect::CreateRefund { id: format!("{}-0-0", order.id) };
    assert_eq!(effects, [Effect::ReturnSeats { leg: 0, passengers: vec![0] }, fee]);
    assert_eq!((order.tickets[0].state, order.refunds[0].amount), (TicketState::Refunded, Money::ZERO));
}

#[test]
fn the_seats_of_a_refund_may_wait_for_its_money() {
    let terms = Terms { seats_wait_for_money: true, ..TERMS };
    let (paying, _) = step(&held(1), Event::Pay { token: "t".into() }, START, &terms).unwrap();
    let (captured, _) = step(&paying, news(0, TradeState::Captured, Money::yuan(200)), START, &terms).unwrap();
    let (confirmed, _) = step(&captured, Event::LegConfirmed { leg: 0 }, START, &terms).unwrap();
    let (order, effects) = step(&confirmed, Event::GiveBack { ticket: 0, fee: Money::ZERO }, START, &terms).unwrap();
    let id = format!("{}-0-0", order.id);
    assert_eq!(effects, [Effect::CreateRefund { id: id.clone() }]);
    let (_, effects) = step(&order, Event::Refund { id, arrived: true }, START, &terms).unwrap();
    assert_eq!(effects, [Effect::ReturnSeats { leg: 0, passengers: vec![0] }]);
}
