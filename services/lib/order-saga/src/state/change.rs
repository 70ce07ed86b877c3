//! The steps of a change: the new seats are held before the old ones are given back, and the tickets are exchanged at one
//! moment. Until then the old ones are good, whatever fails.

use domain::{HoldId, Time};

use super::{Rejection, Terms, money, open_trade};
use crate::order::{
    ChangeStage, EndReason, LEGS_MAX, Leg, Order, Phase, Place, RefundCause, Seats, SwapPrice, Ticket, TicketChange,
    TicketState, TradeState,
};

/// A change as the rules have let it pass, with the leg and the tickets it would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChange {
    /// The change, with its prices as they are known before the places are.
    pub change: TicketChange,
    /// The new leg, not held yet.
    pub leg: Leg,
    /// The new tickets.
    pub tickets: Vec<Ticket>,
}

/// Records the intent.
pub(super) fn begin(order: &mut Order, new: NewChange) -> Result<(), Rejection> {
    if order.changes.iter().any(|known| known.id == new.change.id) {
        return Ok(());
    }
    // Prepared for the order as it was: another change may have come between.
    let fits = usize::from(new.change.leg) == order.legs.len()
        && usize::from(new.change.number) == order.changes.len()
        && new.change.swaps.iter().zip(order.tickets.len()..).all(|(swap, position)| usize::from(swap.new) == position);
    if order.phase != Phase::Confirmed || !fits {
        return Err(Rejection::State(order.phase.name()));
    }
    if order.legs.len() >= LEGS_MAX {
        return Err(Rejection::TooManyChanges);
    }
    let old = |swap: &crate::order::Swap| order.tickets.get(usize::from(swap.old)).map(|ticket| ticket.state);
    for swap in &new.change.swaps {
        match old(swap) {
            Some(TicketState::Issued) => {}
            Some(state) => return Err(Rejection::TicketState(state.name())),
            None => return Err(Rejection::NoTicket),
        }
    }
    order.legs.push(new.leg);
    order.tickets.extend(new.tickets);
    order.changes.push(new.change);
    order.phase = Phase::Changing;
    Ok(())
}

/// The change under way, if the order has one.
fn under_way(order: &mut Order) -> Option<&mut TicketChange> {
    let phase = order.phase;
    order.changes.last_mut().filter(|_| phase == Phase::Changing)
}

/// The new seats are held; what they cost is known now.
pub(super) fn held(order: &mut Order, hold: HoldId, places: Vec<Place>, prices: &[SwapPrice]) {
    let Some(change) = order.changes.last_mut() else { return };
    let leg = &mut order.legs[usize::from(change.leg)];
    if leg.seats != Seats::Lost || leg.next_hold() != hold {
        return;
    }
    (leg.hold, leg.places, leg.seats) = (hold, places, Seats::Held);
    leg.held_again += 1;
    // Seats that are held again keep their price: it is paid.
    if change.stage == ChangeStage::Holding {
        for (swap, price) in change.swaps.iter_mut().zip(prices) {
            swap.price = *price;
            order.tickets[usize::from(swap.new)].fare = price.fare;
        }
    }
}

/// The shard has no seats.
pub(super) fn refused(order: &mut Order, reason: String) {
    let Some(change) = under_way(order) else { return };
    let leg = usize::from(change.leg);
    if matches!(change.stage, ChangeStage::Holding | ChangeStage::Confirming) && order.legs[leg].seats == Seats::Lost {
        if let Some(change) = under_way(order) {
            change.refusal = reason;
        }
        order.legs[leg].seats = Seats::Ended;
        give_up(order, EndReason::SeatsLost);
    }
}

/// The new hold is open.
pub(super) fn opened(order: &mut Order, leg: u8, pay_by: Time) {
    let Some(change) = under_way(order).filter(|change| change.leg == leg) else { return };
    if change.stage == ChangeStage::Holding {
        change.pay_by = Some(pay_by);
        let owes = change.due() > domain::Money::ZERO;
        change.stage = if owes { ChangeStage::Unpaid } else { ChangeStage::Confirming };
    }
}

/// The new hold has ended before it became tickets.
pub(super) fn lost(order: &mut Order, leg: u8, terms: &Terms) {
    let held_again = order.legs[usize::from(leg)].held_again;
    let confirming = under_way(order).is_some_and(|change| change.stage == ChangeStage::Confirming);
    // The first hold of a change counts as a round too.
    if confirming && held_again <= terms.hold_again_max {
        order.legs[usize::from(leg)].seats = Seats::Lost;
        return;
    }
    order.legs[usize::from(leg)].seats = Seats::Ended;
    give_up(order, EndReason::SeatsLost);
}

/// The client pays the difference.
pub(super) fn pay(order: &mut Order, token: String, now: Time, terms: &Terms) -> Result<(), Rejection> {
    let Some(change) = order.change().cloned() else { return Err(Rejection::State(order.phase.name())) };
    let of_change = || order.trades.iter().filter(|trade| trade.change == Some(change.number));
    if of_change().next_back().is_some_and(|trade| trade.token == token && trade.state != TradeState::Declined) {
        return Ok(());
    }
    match change.stage {
        ChangeStage::Unpaid => {}
        ChangeStage::Holding => return Err(Rejection::NotOpen),
        _ => return Err(Rejection::State(change.stage.name())),
    }
    if of_change().any(|trade| trade.state == TradeState::Open) {
        return Err(Rejection::PaidOtherwise);
    }
    if let Some(pay_by) = change.pay_by.filter(|pay_by| now >= *pay_by) {
        return Err(Rejection::TooLate { pay_by });
    }
    if of_change().count() as u32 >= terms.pay_attempts_max {
        return Err(Rejection::State(change.stage.name()));
    }
    open_trade(order, token, change.due(), Some(change.number));
    Ok(())
}

/// Money for a change came. Whether the change can use it: if not, it goes back and the old tickets stay good.
pub(super) fn paid(order: &mut Order, number: u8, as_asked: bool) -> bool {
    let usable =
        under_way(order).filter(|change| change.number == number && change.stage == ChangeStage::Unpaid && as_asked);
    usable.map(|change| change.stage = ChangeStage::Confirming).is_some()
}

/// No trade is open: another attempt may be made, in time and not too often.
pub(super) fn unpaid(order: &mut Order, now: Time, terms: &Terms) {
    let Some(change) = order.change().filter(|change| change.stage == ChangeStage::Unpaid) else { return };
    let attempts = order.trades.iter().filter(|trade| trade.change == Some(change.number)).count();
    if attempts as u32 >= terms.pay_attempts_max {
        give_up(order, EndReason::PaymentFailed);
    }
    lapse_if_due(order, now);
}

/// The difference had to be paid by now.
pub(super) fn lapse_if_due(order: &mut Order, now: Time) {
    let late = |change: &&mut TicketChange| {
        change.stage == ChangeStage::Unpaid && change.pay_by.is_some_and(|pay_by| now >= pay_by)
    };
    if under_way(order).filter(late).is_some() {
        give_up(order, EndReason::Lapsed);
    }
}

/// The client, or the operator, gives the change up.
pub(super) fn cancel(order: &mut Order, reason: EndReason) -> Result<(), Rejection> {
    match order.change().map(|change| (change.is_open(), change.stage)) {
        Some((true, _)) => give_up(order, reason),
        Some((_, ChangeStage::GivingUp(_))) => {}
        _ => return Err(Rejection::State(order.phase.name())),
    }
    Ok(())
}

/// The old tickets stay; whatever was paid for the new ones goes back.
fn give_up(order: &mut Order, reason: EndReason) {
    let Some(change) = under_way(order) else { return };
    change.stage = ChangeStage::GivingUp(reason);
    let number = change.number;
    let new: Vec<u8> = change.swaps.iter().map(|swap| swap.new).collect();
    for ticket in new {
        order.tickets[usize::from(ticket)].state = TicketState::Void;
    }
    let paid: Vec<_> = order.trades.iter().filter(|trade| trade.change == Some(number)).map(|it| it.attempt).collect();
    for attempt in paid {
        let left = order.left_of(attempt);
        if left > domain::Money::ZERO {
            money::give_surplus_back(order, attempt, left);
        }
    }
}

/// Exchanges the tickets once the new seats are confirmed, or ends the change once nothing of it is left.
pub(super) fn settle(order: &mut Order) {
    let Some(change) = order.change().cloned() else { return };
    let seats = order.legs[usize::from(change.leg)].seats;
    match change.stage {
        ChangeStage::Confirming if seats == Seats::Confirmed => {
            exchange(order, &change);
            end(order, ChangeStage::Done);
        }
        ChangeStage::GivingUp(reason) => {
            let over = order.trades.iter().all(|trade| trade.state != TradeState::Open);
            if over && seats == Seats::Ended {
                end(order, ChangeStage::Failed(reason));
            }
        }
        _ => {}
    }
}

fn end(order: &mut Order, stage: ChangeStage) {
    if let Some(change) = under_way(order) {
        change.stage = stage;
    }
    order.phase = Phase::Confirmed;
}

fn exchange(order: &mut Order, change: &TicketChange) {
    for swap in &change.swaps {
        let (old, new, price) = (usize::from(swap.old), usize::from(swap.new), swap.price);
        let id = format!("{}-change", order.ticket_id(&order.tickets[old]));
        let ticket = &mut order.tickets[old];
        (ticket.state, ticket.fee, ticket.refund) = (TicketState::Changed, price.fee, price.refund);
        let ticket = &mut order.tickets[new];
        (ticket.state, ticket.changed) = (TicketState::Issued, Some(swap.changed));
        money::draw(order, &id, RefundCause::Ticket(swap.old), price.refund, price.fee);
    }
}
