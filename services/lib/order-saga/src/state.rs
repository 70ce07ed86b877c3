//! The saga of an order as a pure state machine.
//!
//! [`step`] takes what happened and gives the order after it; [`pending`] says what has to be done next, from the row
//! alone. So an effect is done again after a crash, and every event may arrive twice: it changes nothing the second time.

mod change;
mod effects;
mod money;
#[cfg(test)]
mod tests;

use domain::{HoldId, Money, Time};

use crate::order::{
    EndReason, Order, Phase, Place, RefundCause, RefundState, Seats, SwapPrice, Ticket, TicketState, Trade, TradeState,
};

pub use change::NewChange;
pub use effects::{Effect, awaited, concerns, next_deadline, pending};

/// Bounds of the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How often a client may try to pay one order.
    pub pay_attempts_max: u32,
    /// How often lost seats are held again before the money goes back.
    pub hold_again_max: u8,
    /// Whether the seats of a refunded ticket wait until its money has arrived.
    pub seats_wait_for_money: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { pay_attempts_max: 5, hold_again_max: 2, seats_wait_for_money: false }
    }
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The shard opened the hold of a leg.
    HoldOpened {
        /// Which leg.
        leg: u8,
        /// Until when it must be paid.
        pay_by: Time,
        /// When its seats are freed.
        hard_limit: Time,
    },
    /// The shard says that the hold of a leg has ended.
    HoldLost {
        /// Which leg.
        leg: u8,
    },
    /// The shard made tickets of the hold of a leg.
    LegConfirmed {
        /// Which leg.
        leg: u8,
    },
    /// The hold of a leg is gone because the order gave it back.
    LegReleased {
        /// Which leg.
        leg: u8,
    },
    /// The shard holds seats for a leg again.
    HeldAgain {
        /// Which leg.
        leg: u8,
        /// The new hold.
        hold: HoldId,
        /// The new places.
        places: Vec<Place>,
    },
    /// The shard has no seats for a leg any more.
    HoldAgainRefused {
        /// Which leg.
        leg: u8,
    },
    /// The shard holds the new seats of a change, which cost this, ticket by ticket.
    HeldForChange {
        /// The new hold.
        hold: HoldId,
        /// The new places.
        places: Vec<Place>,
        /// What each exchange costs, now that the places are known.
        prices: Vec<SwapPrice>,
    },
    /// The shard has no seats for a change.
    ChangeRefused {
        /// Its stable reason.
        reason: String,
    },
    /// Passengers' seats on a leg are free again.
    SeatsReturned {
        /// Which leg.
        leg: u8,
        /// Which passengers.
        passengers: Vec<u8>,
    },
    /// The client wants to pay.
    Pay {
        /// The provider's token.
        token: String,
    },
    /// The client wants other tickets for some of an order.
    Change(Box<NewChange>),
    /// The client gives an unpaid order up, or a change whose difference is not paid.
    Cancel,
    /// The operator ends an unpaid order: its train or class is no more.
    Withdraw,
    /// The client, or the operator, gives a ticket back.
    GiveBack {
        /// Its position in [`Order::tickets`].
        ticket: u8,
        /// What is kept.
        fee: Money,
    },
    /// Payment told what became of a trade, in an answer or on its own.
    Trade(TradeNews),
    /// Payment told how far a refund is.
    Refund {
        /// The refund's id.
        id: String,
        /// Whether the money has arrived.
        arrived: bool,
    },
    /// Time passed.
    Tick,
}

/// What became of a trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeNews {
    /// The attempt, where the teller knows it; else the trade's id decides.
    pub attempt: Option<u32>,
    /// The payment service's id.
    pub id: String,
    /// Where it stands.
    pub state: TradeState,
    /// What it brought.
    pub captured: Money,
    /// Whether money that comes after the end may bring the order back to life. The shell says no once the database has
    /// refused that because the passengers have other tickets by now.
    pub revive: bool,
}

/// Why an event cannot happen to an order as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The holds are not open yet; trying again soon helps.
    #[error("the order's seats are still being claimed")]
    NotOpen,
    /// It must have been paid by then.
    #[error("the order had to be paid by {pay_by}")]
    TooLate {
        /// The moment.
        pay_by: Time,
    },
    /// The order is past that, or not there yet.
    #[error("the order is {0}")]
    State(&'static str),
    /// Another payment of it is under way or done.
    #[error("the order is paid, or being paid, by other means")]
    PaidOtherwise,
    /// No such ticket.
    #[error("the order has no such ticket")]
    NoTicket,
    /// The ticket is not one that can be given back.
    #[error("the ticket is {0}")]
    TicketState(&'static str),
    /// The order has had as many changes as it can have.
    #[error("the order has had too many changes")]
    TooManyChanges,
    /// A trade this order knows nothing of.
    #[error("the order has no such trade")]
    NoTrade,
    /// A refund this order knows nothing of.
    #[error("the order has no such refund")]
    NoRefund,
}

/// The order after an event at `now`; equal to the one before when the event changes nothing.
///
/// # Errors
/// See [`Rejection`]; the order is as it was.
///
/// # Panics
/// When money would be unaccounted for (I2): a bug, and better a stopped order than a wrong one.
pub fn step(before: &Order, event: Event, now: Time, terms: &Terms) -> Result<(Order, Vec<Effect>), Rejection> {
    let mut order = before.clone();
    match event {
        Event::HoldOpened { leg, pay_by, hard_limit } => hold_opened(&mut order, leg, pay_by, hard_limit),
        Event::HoldLost { leg } => hold_lost(&mut order, leg, terms),
        Event::LegConfirmed { leg } => set_seats(&mut order, leg, &[Seats::Held, Seats::Opened], Seats::Confirmed),
        Event::LegReleased { leg } => {
            set_seats(&mut order, leg, &[Seats::Held, Seats::Opened, Seats::Lost], Seats::Ended);
        }
        Event::HeldAgain { leg, hold, places } => held_again(&mut order, leg, hold, places),
        Event::HeldForChange { hold, places, prices } => change::held(&mut order, hold, places, &prices),
        Event::ChangeRefused { reason } => change::refused(&mut order, reason),
        Event::HoldAgainRefused { leg } => {
            if order.phase == Phase::Captured && order.legs[usize::from(leg)].seats == Seats::Lost {
                money::give_all_back(&mut order, EndReason::SeatsLost);
            }
        }
        Event::SeatsReturned { leg, passengers } => seats_returned(&mut order, leg, &passengers),
        Event::Pay { token } => pay(&mut order, token, now, terms)?,
        Event::Change(new) => change::begin(&mut order, *new)?,
        Event::Cancel => end_unpaid(&mut order, EndReason::Cancelled)?,
        Event::Withdraw => end_unpaid(&mut order, EndReason::Withdrawn)?,
        Event::GiveBack { ticket, fee } => money::give_back(&mut order, ticket, fee)?,
        Event::Trade(news) => money::trade_news(&mut order, news, now, terms)?,
        Event::Refund { id, arrived } => money::refund_news(&mut order, &id, arrived)?,
        Event::Tick => lapse_if_due(&mut order, now),
    }
    settle(&mut order);
    let balance = order.balance();
    assert!(balance.is_even(), "I2: order {} has money unaccounted for: {balance:?}", order.id);
    let effects = pending(&order, terms);
    Ok((order, effects))
}

fn hold_opened(order: &mut Order, leg: u8, pay_by: Time, hard_limit: Time) {
    if order.legs[usize::from(leg)].seats != Seats::Held {
        return;
    }
    order.legs[usize::from(leg)].seats = Seats::Opened;
    change::opened(order, leg, pay_by);
    // Several legs, or one held again: the earliest moment counts. A paid order has nothing to pay by any more.
    if order.phase == Phase::Opening {
        order.pay_by = Some(order.pay_by.map_or(pay_by, |earlier| earlier.min(pay_by)));
        order.hard_limit = Some(order.hard_limit.map_or(hard_limit, |earlier| earlier.min(hard_limit)));
    }
}

fn hold_lost(order: &mut Order, leg: u8, terms: &Terms) {
    let (seats, held_again) = (order.legs[usize::from(leg)].seats, order.legs[usize::from(leg)].held_again);
    if !matches!(seats, Seats::Held | Seats::Opened) {
        return;
    }
    match order.phase {
        Phase::Captured if held_again < terms.hold_again_max => order.legs[usize::from(leg)].seats = Seats::Lost,
        Phase::Changing => change::lost(order, leg, terms),
        Phase::Captured => {
            order.legs[usize::from(leg)].seats = Seats::Ended;
            money::give_all_back(order, EndReason::SeatsLost);
        }
        Phase::Opening | Phase::Held | Phase::Paying => {
            order.legs[usize::from(leg)].seats = Seats::Ended;
            order.phase = Phase::Closing(EndReason::SeatsLost);
        }
        _ => order.legs[usize::from(leg)].seats = Seats::Ended,
    }
}

fn set_seats(order: &mut Order, leg: u8, from: &[Seats], to: Seats) {
    let leg = &mut order.legs[usize::from(leg)];
    if from.contains(&leg.seats) {
        leg.seats = to;
    }
}

fn held_again(order: &mut Order, leg: u8, hold: HoldId, places: Vec<Place>) {
    let leg = &mut order.legs[usize::from(leg)];
    if leg.seats == Seats::Lost && leg.next_hold() == hold {
        // In any phase: if the order is being given up by now, the new hold is the one to give back.
        (leg.hold, leg.places, leg.seats) = (hold, places, Seats::Held);
        leg.held_again += 1;
    }
}

fn seats_returned(order: &mut Order, leg: u8, passengers: &[u8]) {
    for ticket in order.tickets.iter_mut().filter(|ticket| ticket.leg == leg && !ticket.state.is_live()) {
        ticket.seats_returned |= passengers.contains(&ticket.passenger);
    }
    let keeps = |ticket: &Ticket| !ticket.seats_returned && ticket.state != TicketState::Void;
    if !order.tickets_of(leg).any(keeps) {
        set_seats(order, leg, &[Seats::Confirmed], Seats::Ended);
    }
}

fn pay(order: &mut Order, token: String, now: Time, terms: &Terms) -> Result<(), Rejection> {
    match order.phase {
        Phase::Held => {}
        Phase::Changing => return change::pay(order, token, now, terms),
        Phase::Opening => return Err(Rejection::NotOpen),
        Phase::Closing(_) | Phase::Released(_) => return Err(Rejection::State(order.phase.name())),
        // A repeat of the payment that is under way or done.
        _ if order.trades.last().is_some_and(|trade| trade.token == token) => return Ok(()),
        _ => return Err(Rejection::PaidOtherwise),
    }
    if let Some(pay_by) = order.pay_by.filter(|pay_by| now >= *pay_by) {
        return Err(Rejection::TooLate { pay_by });
    }
    if order.trades.len() as u32 >= terms.pay_attempts_max {
        return Err(Rejection::State(order.phase.name()));
    }
    open_trade(order, token, order.total(), None);
    order.phase = Phase::Paying;
    Ok(())
}

fn open_trade(order: &mut Order, token: String, amount: Money, change: Option<u8>) {
    let attempt = order.trades.len() as u32;
    let (state, captured) = (TradeState::Open, Money::ZERO);
    order.trades.push(Trade { attempt, id: None, token, amount, change, state, captured });
}

fn end_unpaid(order: &mut Order, reason: EndReason) -> Result<(), Rejection> {
    match order.phase {
        Phase::Opening | Phase::Held | Phase::Paying => {
            order.phase = Phase::Closing(reason);
            Ok(())
        }
        Phase::Closing(_) | Phase::Released(_) => Ok(()),
        Phase::Changing => change::cancel(order, reason),
        phase => Err(Rejection::State(phase.name())),
    }
}

fn lapse_if_due(order: &mut Order, now: Time) {
    let due = order.pay_by.is_some_and(|pay_by| now >= pay_by);
    if due && matches!(order.phase, Phase::Held | Phase::Paying) {
        order.phase = Phase::Closing(EndReason::Lapsed);
    }
    change::lapse_if_due(order, now);
}

/// Moves on when everything a phase waits for is there. One pass is enough but for an order that is over at once.
fn settle(order: &mut Order) {
    let all_seats = |order: &Order, seats: Seats| order.legs.iter().all(|leg| leg.seats == seats);
    if order.phase == Phase::Opening && all_seats(order, Seats::Opened) {
        order.phase = Phase::Held;
    }
    if order.phase == Phase::Captured && all_seats(order, Seats::Confirmed) {
        order.phase = Phase::Confirmed;
        set_tickets(order, TicketState::Reserved, TicketState::Issued);
    }
    change::settle(order);
    if order.phase == Phase::Confirmed && !order.tickets.iter().any(|ticket| ticket.state.is_live()) {
        order.phase = Phase::Refunding(None);
    }
    if let Phase::Closing(reason) = order.phase {
        let trades_over = order.trades.iter().all(|trade| trade.state != TradeState::Open);
        if trades_over && all_seats(order, Seats::Ended) {
            order.phase = Phase::Released(reason);
            set_tickets(order, TicketState::Reserved, TicketState::Void);
        }
    }
    let arrived = order.refunds.iter().all(|refund| refund.state == RefundState::Arrived);
    if let Phase::Refunding(reason) = order.phase
        && arrived
        && all_seats(order, Seats::Ended)
    {
        order.phase = Phase::Refunded(reason);
    }
}

fn set_tickets(order: &mut Order, from: TicketState, to: TicketState) {
    for ticket in order.tickets.iter_mut().filter(|ticket| ticket.state == from) {
        ticket.state = to;
    }
}

/// Whether a refund gives this ticket back.
fn covers(cause: RefundCause, position: usize) -> bool {
    match cause {
        RefundCause::Ticket(ticket) => usize::from(ticket) == position,
        RefundCause::Order => true,
        RefundCause::Surplus => false,
    }
}
