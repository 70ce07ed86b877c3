//! Effects on shards and payment, and what their answers mean to an order.

use std::rc::Rc;

use domain::{HoldId, Money, Run};
use inventory::{Answer, Command, Refusal};
use order_saga::order::{Order, RefundCause, Seats, Swap, TicketState, TradeState};
use order_saga::state::{Effect, Event, TradeNews};

use super::Failed;
use super::change::price;
use crate::saga::World;
use crate::saga::executor::Role;
use crate::saga::faults::Step;
use crate::saga::payments::{self, TradeAsked};
use crate::saga::shards::hold_request;

type Shard = Result<Answer, Refusal>;

/// Performs an effect. `None`: it has to be tried again.
pub(super) async fn perform(world: &Rc<World>, order: &Order, effect: &Effect) -> Option<Event> {
    match effect {
        Effect::OpenHold { leg } => {
            let (run, hold) = hold_of(order, *leg);
            match at_shard(world, Step::OpenHold, run, Command::OpenHold { hold }).await? {
                Ok(Answer::HoldOpened { pay_by, hard_limit }) => {
                    Some(Event::HoldOpened { leg: *leg, pay_by, hard_limit })
                }
                _ => Some(Event::HoldLost { leg: *leg }),
            }
        }
        Effect::Confirm { leg } => confirm(world, order, *leg).await,
        Effect::Release { leg } => release(world, order, *leg).await,
        Effect::HoldAgain { leg } => hold_again(world, order, *leg).await,
        Effect::ReturnSeats { leg, passengers } => {
            let granted = return_seats(world, order, *leg, passengers).await || !world.rules.return_needs_answer;
            granted.then(|| Event::SeatsReturned { leg: *leg, passengers: passengers.clone() })
        }
        Effect::CreateTrade { attempt } => create_trade(world, order, *attempt).await,
        Effect::QueryTrade { attempt } => {
            let id = order.trade_id(*attempt);
            let ask = move |world: Rc<World>| {
                let id = id.clone();
                async move { payments::trade(&world, &id).await }
            };
            let trade = to_payment(world, Step::QueryTrade, ask).await?.ok()?;
            Some(news(*attempt, &trade))
        }
        Effect::CloseTrade { attempt } => {
            let id = order.trade_id(*attempt);
            let ask = move |world: Rc<World>| {
                let id = id.clone();
                async move { payments::close_trade(&world, &id).await }
            };
            match to_payment(world, Step::CloseTrade, ask).await? {
                Ok(trade) => Some(news(*attempt, &trade)),
                Err(failed) => (!failed.passes()).then(|| closed(order, *attempt)),
            }
        }
        Effect::CreateRefund { id } => create_refund(world, order, id).await,
        Effect::QueryRefund { id } => {
            let asked = id.clone();
            let ask = move |world: Rc<World>| {
                let id = asked.clone();
                async move { payments::refund_arrived(&world, &id) }
            };
            let arrived = to_payment(world, Step::QueryRefund, ask).await?.ok()?;
            Some(Event::Refund { id: id.clone(), arrived })
        }
    }
}

async fn confirm(world: &Rc<World>, order: &Order, leg: u8) -> Option<Event> {
    let (run, hold) = hold_of(order, leg);
    let begun = !world.orders.borrow_mut().confirms_begun.insert(hold);
    if begun && !world.rules.confirm_repeated {
        return None;
    }
    match at_shard(world, Step::Confirm, run, Command::Confirm { hold }).await {
        Some(Ok(_)) => Some(Event::LegConfirmed { leg }),
        Some(Err(_)) => Some(Event::HoldLost { leg }),
        None => (!world.rules.confirm_needs_answer).then_some(Event::LegConfirmed { leg }),
    }
}

async fn release(world: &Rc<World>, order: &Order, leg: u8) -> Option<Event> {
    let at = &order.legs[usize::from(leg)];
    let hold = if at.seats == Seats::Lost { at.next_hold() } else { at.hold };
    world.judge_release(order);
    match at_shard(world, Step::Release, at.run, Command::Release { hold }).await? {
        Err(Refusal::WrongState { stage, .. }) if stage.is_live() && at.seats == Seats::Opened => {
            Some(Event::LegConfirmed { leg })
        }
        _ => Some(Event::LegReleased { leg }),
    }
}

/// Asks for the seats of a leg anew, or for the first time where they are those of a change.
async fn hold_again(world: &Rc<World>, order: &Order, leg: u8) -> Option<Event> {
    let at = &order.legs[usize::from(leg)];
    let hold = at.next_hold();
    let change = order.change().filter(|change| change.leg == leg);
    let old = change.map(|change| &order.tickets[usize::from(change.swaps[0].old)]);
    let beside = old.is_some_and(|old| order.legs[usize::from(old.leg)].run == at.run);
    let document = |rider: &u8| {
        let mut document = order.passengers[usize::from(*rider)].document;
        // Beside the passenger's present place on the run only a token of its own is let in.
        document[0] = change.filter(|_| beside).map_or(0, |change| change.number + 1);
        document
    };
    let documents: Vec<[u8; 16]> = at.riders.iter().map(document).collect();
    let Some(change) = change else {
        let answer = at_shard(world, Step::HoldAgain, at.run, hold_request(hold, &documents)).await?;
        return Some(match answer {
            Ok(_) => Event::HeldAgain { leg, hold, places: Vec::new() },
            Err(_) => Event::HoldAgainRefused { leg },
        });
    };
    if !world.rules.change_holds_first {
        let passengers: Vec<u8> = at.riders.clone();
        return_seats(world, order, old.expect("a change is of tickets").leg, &passengers).await;
    }
    let answer = at_shard(world, Step::HoldForChange, at.run, hold_request(hold, &documents)).await?;
    Some(match answer {
        Ok(_) => {
            let of_swap = |swap: &Swap| {
                let old = &order.tickets[usize::from(swap.old)];
                price(old.fare, order.tickets[usize::from(swap.new)].fare, change.at)
            };
            let prices = change.swaps.iter().map(of_swap).collect();
            Event::HeldForChange { hold, places: Vec::new(), prices }
        }
        Err(_) => Event::ChangeRefused { reason: "SOLD_OUT".to_owned() },
    })
}

/// Frees the seats of passengers; true once that is answered.
async fn return_seats(world: &Rc<World>, order: &Order, leg: u8, passengers: &[u8]) -> bool {
    let at = &order.legs[usize::from(leg)];
    let riders = passengers.iter().filter_map(|passenger| at.rider(*passenger)).collect();
    let command = Command::Refund { hold: at.hold, passengers: riders };
    at_shard(world, Step::ReturnSeats, at.run, command).await.is_some()
}

async fn create_trade(world: &Rc<World>, order: &Order, attempt: u32) -> Option<Event> {
    let trade = &order.trades[attempt as usize];
    let of_change = trade.change.map(|number| &order.changes[usize::from(number)]);
    let mut asked = TradeAsked {
        order: order.id,
        attempt,
        amount: trade.amount,
        token: trade.token.clone(),
        expires_at: of_change.map_or(order.pay_by, |change| change.pay_by).unwrap_or_default(),
        supplement: of_change.is_some(),
    };
    if of_change.is_some() && !world.rules.difference_id_kept {
        let mut orders = world.orders.borrow_mut();
        asked.attempt += 100 * orders.differences_asked;
        orders.differences_asked += 1;
    }
    let ask = move |world: Rc<World>| {
        let asked = asked.clone();
        async move { payments::create_trade(&world, asked).await }
    };
    match to_payment(world, Step::CreateTrade, ask).await? {
        Ok(trade) => Some(news(attempt, &trade)),
        Err(failed) => (!failed.passes()).then(|| closed(order, attempt)),
    }
}

async fn create_refund(world: &Rc<World>, order: &Order, id: &str) -> Option<Event> {
    let refund = order.refunds.iter().find(|refund| refund.id == id)?;
    let mut asked = trade::Refund {
        refund_id: refund.id.clone(),
        trade_id: order.trade_id(refund.attempt),
        order_id: order.id.to_string(),
        amount: refund.amount,
        fee: refund.fee,
        state: trade::RefundState::Pending,
        checks: 0,
    };
    let of_change = matches!(refund.cause, RefundCause::Ticket(ticket)
        if order.tickets[usize::from(ticket)].state == TicketState::Changed);
    if of_change && !world.rules.change_fee_posted {
        asked.fee = Money::ZERO;
    }
    if !world.rules.refund_id_kept {
        let mut orders = world.orders.borrow_mut();
        orders.refunds_asked += 1;
        asked.refund_id = format!("{}?{}", asked.refund_id, orders.refunds_asked);
    }
    let ask = move |world: Rc<World>| {
        let asked = asked.clone();
        async move { payments::create_refund(&world, asked).await }
    };
    let arrived = to_payment(world, Step::CreateRefund, ask).await?.ok()?;
    Some(Event::Refund { id: id.to_owned(), arrived })
}

async fn at_shard(world: &Rc<World>, step: Step, run: Run, command: Command) -> Option<Shard> {
    let handle = move |world: Rc<World>| std::future::ready(world.at_shard(run, &command));
    world.call(step, Some(Role::Order), None, handle).await
}

async fn to_payment<T: 'static, F: Future<Output = Result<T, Failed>> + 'static>(
    world: &Rc<World>,
    step: Step,
    ask: impl Fn(Rc<World>) -> F + 'static,
) -> Option<Result<T, Failed>> {
    world.call(step, Some(Role::Order), Some(Role::Payment), ask).await
}

fn hold_of(order: &Order, leg: u8) -> (Run, HoldId) {
    let leg = &order.legs[usize::from(leg)];
    (leg.run, leg.hold)
}

fn news(attempt: u32, trade: &trade::Trade) -> Event {
    let state = state_of(trade.state);
    Event::Trade(TradeNews {
        attempt: Some(attempt),
        id: trade.trade_id.clone(),
        state,
        captured: trade.captured(),
        revive: true,
    })
}

fn closed(order: &Order, attempt: u32) -> Event {
    let id = order.trade_id(attempt);
    let (state, captured) = (TradeState::Closed, Money::ZERO);
    Event::Trade(TradeNews { attempt: Some(attempt), id, state, captured, revive: true })
}

/// Payment's word for a trade's state in order's.
pub(in crate::saga) const fn state_of(state: trade::TradeState) -> TradeState {
    match state {
        trade::TradeState::Pending => TradeState::Open,
        trade::TradeState::Captured => TradeState::Captured,
        trade::TradeState::Declined => TradeState::Declined,
        trade::TradeState::Closed => TradeState::Closed,
    }
}
