//! What has to be done next, derived from the row alone.

use domain::Time;

use super::Terms;
use crate::order::{ChangeStage, Order, Phase, RefundState, Seats, TicketState, TradeState};

/// Something to be done outside the order service. Each may be done twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Claim the hold of a leg at its shard.
    OpenHold {
        /// Which leg.
        leg: u8,
    },
    /// Make tickets of the hold of a leg.
    Confirm {
        /// Which leg.
        leg: u8,
    },
    /// Give the hold of a leg back.
    Release {
        /// Which leg.
        leg: u8,
    },
    /// Hold seats for a leg whose hold has ended.
    HoldAgain {
        /// Which leg.
        leg: u8,
    },
    /// Free the seats of passengers whose tickets were given back.
    ReturnSeats {
        /// Which leg.
        leg: u8,
        /// Which passengers.
        passengers: Vec<u8>,
    },
    /// Ask payment for the money.
    CreateTrade {
        /// Which attempt.
        attempt: u32,
    },
    /// Ask payment what became of a trade.
    QueryTrade {
        /// Which attempt.
        attempt: u32,
    },
    /// Have payment close a trade, and hear what became of it.
    CloseTrade {
        /// Which attempt.
        attempt: u32,
    },
    /// Ask payment to send money back.
    CreateRefund {
        /// The refund's id.
        id: String,
    },
    /// Ask payment whether a refund has arrived.
    QueryRefund {
        /// The refund's id.
        id: String,
    },
}

/// What has to be done now. Empty: the order waits for somebody, or is over.
pub fn pending(order: &Order, terms: &Terms) -> Vec<Effect> {
    let mut effects = Vec::new();
    let open_trades = order.trades.iter().filter(|trade| trade.state == TradeState::Open);
    match order.phase {
        Phase::Opening => for_seats(order, Seats::Held, |leg| Effect::OpenHold { leg }, &mut effects),
        Phase::Paying => {
            let unknown = open_trades.filter(|trade| trade.id.is_none());
            effects.extend(unknown.map(|trade| Effect::CreateTrade { attempt: trade.attempt }));
        }
        Phase::Captured => secure_seats(order, &mut effects),
        Phase::Closing(_) => {
            effects.extend(open_trades.map(|trade| Effect::CloseTrade { attempt: trade.attempt }));
            // The seats stay until it is certain that no money comes for them.
            if effects.is_empty() {
                give_up_holds(order, &mut effects);
            }
        }
        Phase::Changing => of_change(order, terms, &mut effects),
        Phase::Confirmed | Phase::Refunding(_) => {
            return_seats(order, terms, &mut effects);
            if order.phase != Phase::Confirmed {
                give_up_holds(order, &mut effects);
            }
        }
        Phase::Held | Phase::Released(_) | Phase::Refunded(_) => {}
    }
    let due = order.refunds.iter().filter(|refund| refund.state == RefundState::Due);
    effects.extend(due.map(|refund| Effect::CreateRefund { id: refund.id.clone() }));
    effects
}

/// What a change needs: its own leg's seats first, its difference, then the tickets. Meanwhile nothing else of the order
/// waits: what was given back before goes on.
fn of_change(order: &Order, terms: &Terms, effects: &mut Vec<Effect>) {
    let Some(change) = order.change() else { return };
    return_seats(order, terms, effects);
    let open_trades = order.trades.iter().filter(|trade| trade.state == TradeState::Open);
    match change.stage {
        ChangeStage::Holding => {
            for_seats(order, Seats::Lost, |leg| Effect::HoldAgain { leg }, effects);
            for_seats(order, Seats::Held, |leg| Effect::OpenHold { leg }, effects);
        }
        ChangeStage::Unpaid => {
            let unknown = open_trades.filter(|trade| trade.id.is_none());
            effects.extend(unknown.map(|trade| Effect::CreateTrade { attempt: trade.attempt }));
        }
        ChangeStage::Confirming => secure_seats(order, effects),
        ChangeStage::GivingUp(_) => {
            let before = effects.len();
            effects.extend(open_trades.map(|trade| Effect::CloseTrade { attempt: trade.attempt }));
            if effects.len() == before {
                give_up_holds(order, effects);
            }
        }
        ChangeStage::Failed(_) | ChangeStage::Done => {}
    }
}

/// Seats that are paid for become tickets.
fn secure_seats(order: &Order, effects: &mut Vec<Effect>) {
    let before = effects.len();
    for_seats(order, Seats::Lost, |leg| Effect::HoldAgain { leg }, effects);
    for_seats(order, Seats::Held, |leg| Effect::OpenHold { leg }, effects);
    // Every seat must stand before the first is confirmed: less to undo if one has gone.
    if effects.len() == before {
        for_seats(order, Seats::Opened, |leg| Effect::Confirm { leg }, effects);
    }
}

/// What to ask about when nothing was heard for a while: notices may be lost.
pub fn awaited(order: &Order) -> Vec<Effect> {
    let pays = order.phase == Phase::Paying || order.change().is_some_and(|it| it.stage == ChangeStage::Unpaid);
    let trades = order.trades.iter().filter(|trade| pays && trade.state == TradeState::Open);
    let refunds = order.refunds.iter().filter(|refund| refund.state == RefundState::Asked);
    trades
        .filter(|trade| trade.id.is_some())
        .map(|trade| Effect::QueryTrade { attempt: trade.attempt })
        .chain(refunds.map(|refund| Effect::QueryRefund { id: refund.id.clone() }))
        .collect()
}

/// Whether what came of an effect that was begun on `asked` still concerns the order as it is `now`. Two tasks may perform
/// the same effect, and one of them may be heard after the other went on: news of a hold that has ended must not be taken
/// for news of the hold that followed it.
pub fn concerns(effect: &Effect, asked: &Order, now: &Order) -> bool {
    let hold = |order: &Order, leg: u8| order.legs.get(usize::from(leg)).map(|leg| leg.hold);
    match effect {
        Effect::OpenHold { leg } | Effect::Confirm { leg } | Effect::Release { leg } | Effect::HoldAgain { leg } => {
            hold(asked, *leg) == hold(now, *leg)
        }
        _ => true,
    }
}

/// When the order changes by itself.
pub fn next_deadline(order: &Order) -> Option<Time> {
    let of_change = order.change().filter(|change| change.stage == ChangeStage::Unpaid);
    match order.phase {
        Phase::Held | Phase::Paying => order.pay_by,
        _ => of_change.and_then(|change| change.pay_by),
    }
}

fn give_up_holds(order: &Order, effects: &mut Vec<Effect>) {
    for_seats(order, Seats::Held, |leg| Effect::Release { leg }, effects);
    for_seats(order, Seats::Opened, |leg| Effect::Release { leg }, effects);
    // Perhaps held again by a request whose answer was lost: releasing what does not exist does no harm.
    for_seats(order, Seats::Lost, |leg| Effect::Release { leg }, effects);
}

fn for_seats(order: &Order, seats: Seats, effect: impl Fn(u8) -> Effect, effects: &mut Vec<Effect>) {
    let legs = order.legs.iter().enumerate().filter(|(_, leg)| leg.seats == seats);
    effects.extend(legs.map(|(leg, _)| effect(leg as u8)));
}

fn return_seats(order: &Order, terms: &Terms, effects: &mut Vec<Effect>) {
    for leg in 0..order.legs.len() as u8 {
        if order.legs[usize::from(leg)].seats != Seats::Confirmed {
            continue;
        }
        let waits = |state| match state {
            TicketState::Refunding => !terms.seats_wait_for_money,
            // A void ticket of a confirmed hold: the answer that it was confirmed was lost while it was given up.
            TicketState::Refunded | TicketState::Changed | TicketState::Void => true,
            TicketState::Reserved | TicketState::Issued | TicketState::Replacing => false,
        };
        let given_back = order.tickets_of(leg).filter(|ticket| waits(ticket.state) && !ticket.seats_returned);
        let passengers: Vec<u8> = given_back.map(|ticket| ticket.passenger).collect();
        if !passengers.is_empty() {
            effects.push(Effect::ReturnSeats { leg, passengers });
        }
    }
}
