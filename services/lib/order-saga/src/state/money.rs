//! The steps of the saga that move money.

use domain::{Money, Time};

use super::{Rejection, Terms, TradeNews, change};
use crate::order::{
    EndReason, Order, Paid, Phase, Refund, RefundCause, RefundState, Seats, TicketState, Trade, TradeState,
};

pub(super) fn trade_news(order: &mut Order, news: TradeNews, now: Time, terms: &Terms) -> Result<(), Rejection> {
    let position = find(order, &news)?;
    let trade = &mut order.trades[position];
    trade.id.get_or_insert_with(|| news.id.clone());
    match (trade.state, news.state) {
        (_, TradeState::Open) | (TradeState::Captured, _) => {}
        (_, TradeState::Captured) => {
            trade.state = TradeState::Captured;
            trade.captured = news.captured;
            captured(order, position, news.revive, now);
        }
        (TradeState::Open, over) => {
            trade.state = over;
        }
        // Declined and closed are both over: which one is told first does not matter.
        (TradeState::Declined | TradeState::Closed, TradeState::Declined | TradeState::Closed) => {}
    }
    let waits = order.trades.iter().any(|trade| trade.state == TradeState::Open);
    if order.phase == Phase::Paying && !waits {
        failed(order, now, terms);
    }
    if !waits {
        change::unpaid(order, now, terms);
    }
    Ok(())
}

/// The trade the news is about: by its attempt where the teller knows it, else by its id.
fn find(order: &Order, news: &TradeNews) -> Result<usize, Rejection> {
    let is_it = |trade: &Trade| match news.attempt {
        Some(attempt) => trade.attempt == attempt,
        None => order.trade_id(trade.attempt) == news.id,
    };
    order.trades.iter().position(is_it).ok_or(Rejection::NoTrade)
}

/// Money came.
fn captured(order: &mut Order, position: usize, revive: bool, now: Time) {
    let trade = &order.trades[position];
    let (attempt, amount, asked) = (trade.attempt, trade.captured, trade.amount);
    if let Some(change) = trade.change {
        if !change::paid(order, change, amount == asked) {
            give_surplus_back(order, attempt, amount);
        }
        return;
    }
    if order.paid.is_some() || amount != asked {
        // Paid twice, or not what was asked for: it goes back whatever becomes of the order.
        return give_surplus_back(order, attempt, amount);
    }
    match order.phase {
        Phase::Held | Phase::Paying => paid(order, attempt, now),
        // Late, but the seats may still stand; those already given back are held again if there is room.
        Phase::Closing(EndReason::Lapsed | EndReason::PaymentFailed) => {
            for leg in order.legs.iter_mut().filter(|leg| leg.seats == Seats::Ended) {
                leg.seats = Seats::Lost;
            }
            paid(order, attempt, now);
        }
        Phase::Released(EndReason::Lapsed | EndReason::PaymentFailed) if revive => {
            for leg in &mut order.legs {
                leg.seats = Seats::Lost;
            }
            for ticket in &mut order.tickets {
                ticket.state = TicketState::Reserved;
            }
            paid(order, attempt, now);
        }
        phase => {
            let reason = phase.reason().unwrap_or(EndReason::Cancelled);
            for ticket in order.tickets.iter_mut().filter(|ticket| ticket.state == TicketState::Void) {
                ticket.state = TicketState::Reserved;
            }
            order.paid = Some(Paid { attempt, at: now });
            give_all_back(order, reason);
        }
    }
}

fn paid(order: &mut Order, attempt: u32, at: Time) {
    order.paid = Some(Paid { attempt, at });
    order.phase = Phase::Captured;
}

/// A trade ended without money while the order waited for it: the client may try again in time.
fn failed(order: &mut Order, now: Time, terms: &Terms) {
    let late = order.pay_by.is_some_and(|pay_by| now >= pay_by);
    order.phase = if late {
        Phase::Closing(EndReason::Lapsed)
    } else if order.trades.len() as u32 >= terms.pay_attempts_max {
        Phase::Closing(EndReason::PaymentFailed)
    } else {
        Phase::Held
    };
}

pub(super) fn give_surplus_back(order: &mut Order, attempt: u32, amount: Money) {
    let id = format!("{}-surplus-{attempt}", order.id);
    let cause = RefundCause::Surplus;
    order.refunds.push(Refund { id, cause, attempt, amount, fee: Money::ZERO, state: RefundState::Due });
}

/// The whole price goes back, for an order that was paid and cannot be served.
pub(super) fn give_all_back(order: &mut Order, reason: EndReason) {
    let Some(Paid { attempt, .. }) = order.paid else { return };
    let amount = order.total();
    for ticket in order.tickets.iter_mut().filter(|ticket| ticket.state.is_live()) {
        ticket.state = TicketState::Refunding;
        ticket.refund = ticket.fare;
    }
    let id = format!("{}-all", order.id);
    let cause = RefundCause::Order;
    order.refunds.push(Refund { id, cause, attempt, amount, fee: Money::ZERO, state: RefundState::Due });
    order.phase = Phase::Refunding(Some(reason));
}

pub(super) fn give_back(order: &mut Order, ticket: u8, fee: Money) -> Result<(), Rejection> {
    let position = usize::from(ticket);
    let (state, fare) = order.tickets.get(position).map(|it| (it.state, it.fare)).ok_or(Rejection::NoTicket)?;
    match (order.phase, state) {
        (_, TicketState::Refunding | TicketState::Refunded) => return Ok(()),
        (Phase::Confirmed, TicketState::Issued) => {}
        (Phase::Changing, TicketState::Issued) => return Err(Rejection::State(order.phase.name())),
        _ => return Err(Rejection::TicketState(state.name())),
    }
    if order.paid.is_none() {
        return Err(Rejection::State(order.phase.name()));
    }
    let amount = fare - fee;
    let id = order.ticket_id(&order.tickets[position]);
    let it = &mut order.tickets[position];
    (it.fee, it.refund) = (fee, amount);
    // Free of charge, or eaten by the fee: there is nothing to send.
    it.state = if amount == Money::ZERO { TicketState::Refunded } else { TicketState::Refunding };
    draw(order, &id, RefundCause::Ticket(ticket), amount, fee);
    Ok(())
}

/// Takes an amount to send back and a fee to keep out of what is left of the order's trades, the oldest first: a ticket
/// that was changed to a dearer one was paid by two of them.
pub(super) fn draw(order: &mut Order, id: &str, cause: RefundCause, mut amount: Money, mut fee: Money) {
    for attempt in order.trades.iter().map(|trade| trade.attempt).collect::<Vec<_>>() {
        let left = order.left_of(attempt);
        let of_amount = amount.min(left);
        let of_fee = fee.min(left - of_amount);
        if of_amount + of_fee == Money::ZERO {
            continue;
        }
        let known = order.refunds.iter().any(|refund| refund.id == id);
        let id = if known { format!("{id}-{attempt}") } else { id.to_owned() };
        (amount, fee) = (amount - of_amount, fee - of_fee);
        order.refunds.push(Refund { id, cause, attempt, amount: of_amount, fee: of_fee, state: RefundState::Due });
    }
    assert!(amount + fee == Money::ZERO, "I2: order {} gives back more than it was paid", order.id);
}

pub(super) fn refund_news(order: &mut Order, id: &str, arrived: bool) -> Result<(), Rejection> {
    let refund = order.refunds.iter_mut().find(|refund| refund.id == id).ok_or(Rejection::NoRefund)?;
    refund.state = match (refund.state, arrived) {
        (RefundState::Arrived, _) | (_, true) => RefundState::Arrived,
        _ => RefundState::Asked,
    };
    let cause = refund.cause;
    let all_arrived =
        order.refunds.iter().filter(|refund| refund.cause == cause).all(|refund| refund.state == RefundState::Arrived);
    if all_arrived {
        for (position, ticket) in order.tickets.iter_mut().enumerate() {
            if ticket.state == TicketState::Refunding && super::covers(cause, position) {
                ticket.state = TicketState::Refunded;
            }
        }
    }
    Ok(())
}
