//! The provider: durable, true to what it did, and slow or silent as the token and the weather want.

use std::collections::BTreeMap;
use std::rc::Rc;

use domain::{Money, Time};
use trade::{ChargeState, RefundEvent, TradeEvent};

use super::executor::Role;
use super::faults::{STORM_MS, Step};
use super::{World, payments};

/// What becomes of a charge, by its token.
pub(super) const TOKENS: [&str; 8] = ["ok", "ok", "ok", "ok", "decline", "slow", "late", "late"];

/// Money that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub order: String,
    pub amount: Money,
    pub state: ChargeState,
    expires_at: Time,
    /// Whether it can be closed, or given up at its expiry, before it is decided.
    closable: bool,
}

/// Money that goes back.
#[derive(Clone, Debug)]
pub(super) struct PaidBack {
    pub trade: String,
    pub amount: Money,
    pub arrived: bool,
}

#[derive(Debug, Default)]
pub(super) struct Provider {
    pub charges: BTreeMap<String, Charge>,
    pub refunds: BTreeMap<String, PaidBack>,
}

/// A charge as payment asks for it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub id: String,
    pub order: String,
    pub amount: Money,
    pub token: String,
    pub expires_at: Time,
}

pub(super) fn charge(world: &Rc<World>, asked: Asked) -> TradeEvent {
    let known = world.provider.borrow().charges.get(&asked.id).map(|charge| charge.state);
    let state = known.unwrap_or(ChargeState::Pending);
    if known.is_none() {
        let charge = Charge {
            order: asked.order.clone(),
            amount: asked.amount,
            state,
            expires_at: asked.expires_at,
            closable: asked.token != "late",
        };
        world.provider.borrow_mut().charges.insert(asked.id.clone(), charge);
        world.note("charge", 0, || asked.id.clone());
        decide_later(world, asked.clone());
    }
    said(state, None, &asked.id)
}

fn decide_later(world: &Rc<World>, asked: Asked) {
    let expires_in_ms = asked.expires_at.millis_since(world.time());
    let delay_ms = world.chance(|chance| match &*asked.token {
        "slow" => chance.between(1_000, 60_000).cast_signed(),
        "late" => expires_in_ms + chance.between(1, 15_000).cast_signed(),
        _ => chance.below(2_000).cast_signed(),
    });
    let inner = Rc::clone(world);
    world.spawn(None, async move {
        inner.sleep(delay_ms).await;
        let outcome = if asked.token == "decline" { ChargeState::Declined } else { ChargeState::Succeeded };
        let decided = {
            let (now, mut provider) = (inner.time(), inner.provider.borrow_mut());
            let charge = provider.charges.get_mut(&asked.id).expect("it was asked for");
            give_up_if_expired(charge, now);
            let open = charge.state == ChargeState::Pending;
            if open {
                charge.state = outcome;
            }
            open
        };
        if decided {
            inner.note("decided", outcome as u64, || format!("{} {outcome:?}", asked.id));
            let (id, amount) = (asked.id, asked.amount);
            call_back(&inner, move |world| {
                let (id, charge_id) = (id.clone(), format!("ch_{id}"));
                let event = TradeEvent::ProviderSaid {
                    state: outcome,
                    amount: Some(amount),
                    provider_charge_id: Some(charge_id),
                };
                async move { payments::trade_told(&world, &id, event).await }
            });
        }
    });
}

fn give_up_if_expired(charge: &mut Charge, now: Time) {
    if charge.state == ChargeState::Pending && charge.closable && now >= charge.expires_at {
        charge.state = ChargeState::Closed;
    }
}

/// Calls back until it is taken, or never.
fn call_back<F: Future<Output = bool> + 'static>(world: &Rc<World>, tell: impl Fn(Rc<World>) -> F + Clone + 'static) {
    let calm = world.now_ms() >= STORM_MS;
    if !calm && world.chance(|chance| chance.per_mille(world.weather.callbacks_dropped)) {
        return;
    }
    let inner = Rc::clone(world);
    world.spawn(None, async move {
        for wait_ms in [0, 1_000, 4_000, 16_000] {
            inner.sleep(wait_ms).await;
            if inner.call(Step::Callback, None, Some(Role::Payment), tell.clone()).await == Some(true) {
                return;
            }
        }
    });
}

pub(super) fn query(world: &World, id: &str) -> TradeEvent {
    let (now, mut provider) = (world.time(), world.provider.borrow_mut());
    let Some(charge) = provider.charges.get_mut(id) else { return TradeEvent::NotKnown };
    give_up_if_expired(charge, now);
    said(charge.state, Some(charge.amount), id)
}

/// Closes a charge unless it is decided. One that never arrived is closed all the same: should it still come, it finds that.
pub(super) fn close(world: &World, asked: &Asked) -> TradeEvent {
    let mut provider = world.provider.borrow_mut();
    let charge = provider.charges.entry(asked.id.clone()).or_insert_with(|| Charge {
        order: asked.order.clone(),
        amount: asked.amount,
        state: ChargeState::Closed,
        expires_at: asked.expires_at,
        closable: true,
    });
    if charge.state == ChargeState::Pending && charge.closable {
        charge.state = ChargeState::Closed;
    }
    TradeEvent::ProviderSaid { state: charge.state, amount: None, provider_charge_id: None }
}

/// Pays back, once for each id, and never more than came.
pub(super) fn refund(world: &Rc<World>, id: &str, trade: &str, amount: Money) -> RefundEvent {
    let mut provider = world.provider.borrow_mut();
    if let Some(known) = provider.refunds.get(id) {
        return if known.arrived { RefundEvent::Arrived } else { RefundEvent::NotYet };
    }
    let given: Money = provider.refunds.values().filter(|one| one.trade == trade).map(|one| one.amount).sum();
    let succeeded = |charge: &&Charge| charge.state == ChargeState::Succeeded;
    let came = provider.charges.get(trade).filter(succeeded).map_or(Money::ZERO, |charge| charge.amount);
    if given + amount > came {
        return RefundEvent::NotYet;
    }
    provider.refunds.insert(id.to_owned(), PaidBack { trade: trade.to_owned(), amount, arrived: false });
    drop(provider);
    world.note("refund", 0, || id.to_owned());
    let (inner, id) = (Rc::clone(world), id.to_owned());
    let delay_ms = world.chance(|chance| chance.below(15_000));
    world.spawn(None, async move {
        inner.sleep(delay_ms.cast_signed()).await;
        inner.provider.borrow_mut().refunds.get_mut(&id).expect("it was asked for").arrived = true;
        call_back(&inner, move |world| {
            let id = id.clone();
            async move { payments::refund_told(&world, &id).await }
        });
    });
    RefundEvent::NotYet
}

fn said(state: ChargeState, amount: Option<Money>, id: &str) -> TradeEvent {
    TradeEvent::ProviderSaid { state, amount, provider_charge_id: Some(format!("ch_{id}")) }
}
