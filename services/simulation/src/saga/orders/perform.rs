//! Effects on shards and payment, and what their answers mean to an order.

use std::rc::Rc;

use domain::{HoldId, Money, Run};
use inventory::{Answer, Command, Refusal};
use order_saga::order::{Order, Seats, TradeState};
use order_saga::state::{Effect, Event, TradeNews};

use super::Failed;
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
        Effect::HoldAgain { leg } => {
            let at = &order.legs[usize::from(*leg)];
            let documents: Vec<[u8; 16]> = order.passengers.iter().map(|passenger| passenger.document).collect();
            let hold = at.next_hold();
            let answer = at_shard(world, Step::HoldAgain, at.run, hold_request(hold, &documents)).await?;
            Some(match answer {
                Ok(_) => Event::HeldAgain { leg: *leg, hold, places: Vec::new() },
                Err(_) => Event::HoldAgainRefused { leg: *leg },
            })
        }
        Effect::ReturnSeats { leg, passengers } => {
            let (run, hold) = hold_of(order, *leg);
            let command = Command::Refund { hold, passengers: passengers.iter().copied().collect() };
            let answer = at_shard(world, Step::ReturnSeats, run, command).await;
            let granted = answer.is_some() || !world.rules.return_needs_answer;
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

async fn create_trade(world: &Rc<World>, order: &Order, attempt: u32) -> Option<Event> {
    let asked = TradeAsked {
        order: order.id,
        attempt,
        amount: order.trades[attempt as usize].amount,
        token: order.trades[attempt as usize].token.clone(),
        expires_at: order.pay_by.unwrap_or_default(),
    };
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
