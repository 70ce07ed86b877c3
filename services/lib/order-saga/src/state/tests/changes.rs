//! Stories of changes: the old ticket is good until the new one is, whatever goes wrong, and every fen is accounted for.

use domain::ChangeId;

use super::stories::{Act, Story, tell, with_every_fault};
use super::*;
use crate::order::{ChangeStage, Changed, Swap, SwapPrice, TicketChange};

/// A change of one ticket to a new leg at a price of fare, fee, payment and refund in yuan.
pub(super) fn change(order: &Order, number: u8, old: u8, [fare, fee, pay, refund]: [i64; 4]) -> NewChange {
    let passenger = order.tickets[usize::from(old)].passenger;
    let index = order.legs.len() as u8;
    let (fare, fee) = (Money::yuan(fare), Money::yuan(fee));
    let price = SwapPrice { fare, fee, pay: Money::yuan(pay), refund: Money::yuan(refund) };
    let changed = Changed { from_departs_at: order.legs[0].departs_at, at: START, into_rush: false, times: 1 };
    let run = Run::first("G73".parse().unwrap(), "2027-01-21".parse().unwrap());
    let leg = Leg {
        run,
        riders: vec![passenger],
        hold: HoldId::of_order(order.id, index),
        seats: Seats::Lost,
        ..order.legs[0].clone()
    };
    let ticket = Ticket {
        leg: index,
        passenger,
        state: TicketState::Replacing,
        fare,
        fee: Money::ZERO,
        refund: Money::ZERO,
        seats_returned: false,
        student_year: None,
        changed: None,
    };
    let change = TicketChange {
        id: ChangeId::from_u128(100 + u128::from(number)),
        number,
        request: [number; 32],
        leg: index,
        swaps: vec![Swap { old, new: order.tickets.len() as u8, price, changed }],
        standing: false,
        seat_change: false,
        at: START,
        stage: ChangeStage::Holding,
        pay_by: None,
        refusal: String::new(),
    };
    NewChange { change, leg, tickets: vec![ticket] }
}

const PAID: TradeState = TradeState::Captured;
/// To the same fare; dearer with a fee; cheaper with a fee on the difference; nothing but a fee.
const EVEN: Act = Act::Change { number: 0, old: 1, price: [100, 0, 0, 0] };
const DEARER: Act = Act::Change { number: 0, old: 1, price: [150, 5, 55, 0] };
const CHEAPER: Act = Act::Change { number: 0, old: 1, price: [60, 2, 0, 38] };

const STORIES: &[Story] = &[
    Story {
        name: "to the same fare",
        legs: 1,
        room: true,
        provider: &[PAID],
        acts: &[Act::Pay, EVEN],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "to a dearer train, and both tickets given back later",
        legs: 2,
        room: true,
        provider: &[PAID, PAID],
        acts: &[Act::Pay, DEARER, Act::Pay, Act::GiveBack(4), Act::GiveBack(0), Act::GiveBack(2), Act::GiveBack(3)],
        ends: &[Phase::Refunded(None)],
    },
    Story {
        name: "to a cheaper train",
        legs: 1,
        room: true,
        provider: &[PAID],
        acts: &[Act::Pay, CHEAPER],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "no room on the new train",
        legs: 1,
        room: false,
        provider: &[PAID],
        acts: &[Act::Pay, DEARER],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "the difference is never paid",
        legs: 1,
        room: true,
        provider: &[PAID, TradeState::Open],
        acts: &[Act::Pay, DEARER, Act::Pay, Act::Clock(15)],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "the difference is declined, then paid",
        legs: 1,
        room: true,
        provider: &[PAID, TradeState::Declined, PAID],
        acts: &[Act::Pay, DEARER, Act::Pay, Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "the difference is declined too often",
        legs: 1,
        room: true,
        provider: &[PAID, TradeState::Declined, TradeState::Declined, TradeState::Declined],
        acts: &[Act::Pay, DEARER, Act::Pay, Act::Pay, Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "given up, the money comes all the same",
        legs: 1,
        room: true,
        provider: &[PAID, TradeState::Open],
        acts: &[Act::Pay, DEARER, Act::Pay, Act::Cancel, Act::LateCapture(1)],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "the money comes after the new seats have gone, no room",
        legs: 1,
        room: true,
        provider: &[PAID, PAID],
        acts: &[Act::Pay, DEARER, Act::HoldsExpire, Act::Fill, Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "the money comes after the new seats have gone, room left",
        legs: 1,
        room: true,
        provider: &[PAID, PAID],
        acts: &[Act::Pay, DEARER, Act::HoldsExpire, Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "one change after another",
        legs: 1,
        room: true,
        provider: &[PAID],
        acts: &[Act::Pay, CHEAPER, Act::Change { number: 1, old: 0, price: [100, 0, 0, 0] }],
        ends: &[Phase::Confirmed],
    },
];

#[test]
fn every_change_ends_whatever_single_effect_goes_wrong() {
    assert!(with_every_fault(STORIES) > 200);
}

fn told(name: &str) -> Order {
    tell(STORIES.iter().find(|story| story.name == name).unwrap(), None).0
}

fn states(order: &Order) -> Vec<TicketState> {
    order.tickets.iter().map(|ticket| ticket.state).collect()
}

#[test]
fn an_exchanged_ticket_is_replaced_and_the_money_follows() {
    use TicketState::{Changed, Issued, Void};
    let cheaper = told("to a cheaper train");
    assert_eq!(states(&cheaper), [Issued, Changed, Issued]);
    // 200 paid: 100 and 60 are worth tickets, 2 are kept, 38 went back.
    let balance = cheaper.balance();
    assert_eq!((balance.tickets, balance.fees, balance.refunded), (Money::yuan(160), Money::yuan(2), Money::yuan(38)));
    assert_eq!(cheaper.total(), Money::yuan(160));
    let back: Vec<_> = cheaper.refunds.iter().map(|refund| (refund.id.as_str(), refund.amount)).collect();
    assert_eq!(back, [(&*format!("{}-0-1-change", cheaper.id), Money::yuan(38))]);

    let declined = told("the difference is declined, then paid");
    assert_eq!(states(&declined), [Issued, Changed, Issued]);
    assert_eq!(declined.balance().captured, Money::yuan(255));
    assert_eq!(declined.balance().fees, Money::yuan(5));

    for (name, reason) in [
        ("no room on the new train", EndReason::SeatsLost),
        ("the difference is never paid", EndReason::Lapsed),
        ("the difference is declined too often", EndReason::PaymentFailed),
        ("given up, the money comes all the same", EndReason::Cancelled),
        ("the money comes after the new seats have gone, no room", EndReason::SeatsLost),
    ] {
        let failed = told(name);
        assert_eq!(states(&failed), [Issued, Issued, Void], "{name}");
        assert_eq!(failed.changes[0].stage, ChangeStage::Failed(reason), "{name}");
        let balance = failed.balance();
        assert_eq!((balance.captured - balance.refunded, balance.fees), (Money::yuan(200), Money::ZERO), "{name}");
    }
    assert_eq!(told("no room on the new train").changes[0].refusal, "SOLD_OUT");
    assert_eq!(told("the money comes after the new seats have gone, room left").legs[1].held_again, 2);
}

#[test]
fn a_ticket_of_two_payments_goes_back_out_of_both() {
    let order = told("to a dearer train, and both tickets given back later");
    let sent: Money = order.refunds.iter().map(|refund| refund.amount).sum();
    let captured: Money = order.trades.iter().map(|trade| trade.captured).sum();
    assert_eq!(captured, Money::yuan(455));
    // 5 for the change and 5 for each of four refunds.
    assert_eq!(captured - sent, Money::yuan(25));
    for trade in &order.trades {
        assert_eq!(order.left_of(trade.attempt), Money::ZERO, "every fen has gone back or is a fee");
    }
}

#[test]
fn a_change_is_recorded_once_and_only_for_good_tickets() {
    let paid = Story { name: "", legs: 1, room: true, provider: &[PAID], acts: &[Act::Pay], ends: &[Phase::Confirmed] };
    let (confirmed, _) = tell(&paid, None);
    let new = change(&confirmed, 0, 1, [100, 0, 0, 0]);
    let (changing, effects) = step(&confirmed, Event::Change(Box::new(new.clone())), START, &TERMS).unwrap();
    assert_eq!(effects, [Effect::HoldAgain { leg: 1 }]);
    let (again, _) = step(&changing, Event::Change(Box::new(new)), START, &TERMS).unwrap();
    assert_eq!(again, changing);
    let second = change(&changing, 1, 0, [100, 0, 0, 0]);
    let refused = step(&changing, Event::Change(Box::new(second)), START, &TERMS).unwrap_err();
    assert_eq!(refused, Rejection::State("changing"));
    let give_back = Event::GiveBack { ticket: 0, fee: Money::ZERO };
    assert_eq!(step(&changing, give_back, START, &TERMS).unwrap_err(), Rejection::State("changing"));
    let (after, _) = step(&confirmed, Event::GiveBack { ticket: 1, fee: Money::ZERO }, START, &TERMS).unwrap();
    let gone = change(&after, 0, 1, [100, 0, 0, 0]);
    let refused = step(&after, Event::Change(Box::new(gone)), START, &TERMS).unwrap_err();
    assert_eq!(refused, Rejection::TicketState("refunding"));
}
