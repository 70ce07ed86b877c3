//! The payment service around the decisions about trades: what the product's shell does, on rows and calls of this world.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use domain::{Money, OrderId, Time};
use order_saga::state::TradeNews;
use trade::{
    Call, Effect, Posting, Refund, RefundEvent, RefundState, Trade, TradeEvent, TradeState, backoff_ms, begin_refund,
    next_call, step_refund, step_trade,
};

use super::World;
use super::executor::Role;
use super::faults::Step;
use super::orders::perform::state_of;
use super::orders::{self, Failed};
use super::provider::{self, Asked};

// The service's own settings.
const POLL_MS: i64 = 200;
const CHECK_FIRST_MS: u32 = 2_000;
const CHECK_MAX_MS: u32 = 20_000;
const NOTICE_FIRST_MS: u32 = 200;
const NOTICE_MAX_MS: u32 = 30_000;

/// The tables.
#[derive(Debug, Default)]
pub(super) struct PaymentRows {
    pub trades: BTreeMap<String, (Trade, Time)>,
    pub refunds: BTreeMap<String, (Refund, Time)>,
    /// The ledger: postings by order.
    pub postings: Vec<(String, Posting)>,
    pub notices: BTreeMap<u64, Notice>,
    notices_made: u64,
}

/// Something order must be told.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    id: u64,
    order: String,
    trade: String,
    /// The refund that arrived; else it is about the trade.
    refund: Option<String>,
    state: TradeState,
    captured: Money,
    due_at: Time,
    attempts: u32,
}

/// A trade as order asks for it.
#[derive(Clone, Debug)]
pub(super) struct TradeAsked {
    pub order: OrderId,
    pub attempt: u32,
    pub amount: Money,
    pub token: String,
    pub expires_at: Time,
    /// Whether it pays the difference of a change, beside what paid the order.
    pub supplement: bool,
}

/// Begins the sweepers.
pub(super) fn start(world: &Rc<World>) {
    sweep(world, |rows, now| {
        let due = rows.trades.values().filter(|(trade, at)| trade.state == TradeState::Pending && *at <= now);
        due.map(|(trade, _)| (trade.trade_id.clone(), Work::Trade(trade.clone()))).collect()
    });
    sweep(world, |rows, now| {
        let due = rows.refunds.values().filter(|(refund, at)| refund.state == RefundState::Pending && *at <= now);
        due.map(|(refund, _)| (refund.refund_id.clone(), Work::Refund(refund.clone()))).collect()
    });
    sweep(world, |rows, now| {
        let mut first = BTreeSet::new();
        // Only the first notice of each order, in order.
        let firsts = rows.notices.values().filter(|notice| first.insert(notice.order.clone())).collect::<Vec<_>>();
        let due = firsts.into_iter().filter(|notice| notice.due_at <= now);
        due.map(|notice| (notice.order.clone(), Work::Notice(notice.clone()))).collect()
    });
}

enum Work {
    Trade(Trade),
    Refund(Refund),
    Notice(Notice),
}

fn sweep(world: &Rc<World>, due: impl Fn(&PaymentRows, Time) -> Vec<(String, Work)> + 'static) {
    let inner = Rc::clone(world);
    world.spawn(Some(Role::Payment), async move {
        let in_flight = Rc::new(RefCell::new(BTreeSet::new()));
        loop {
            inner.sleep(POLL_MS).await;
            let now = inner.clock(Role::Payment);
            let found = due(&inner.payments.borrow(), now);
            for (key, work) in found {
                if !in_flight.borrow_mut().insert(key.clone()) {
                    continue;
                }
                let (world, in_flight) = (Rc::clone(&inner), Rc::clone(&in_flight));
                inner.spawn(Some(Role::Payment), async move {
                    // What failed is still due.
                    match work {
                        Work::Trade(trade) => drop(drive_trade(&world, trade).await),
                        Work::Refund(refund) => drop(drive_refund(&world, refund).await),
                        Work::Notice(notice) => tell(&world, notice).await,
                    }
                    in_flight.borrow_mut().remove(&key);
                });
            }
        }
    });
}

/// Opens the one trade of an order's attempt.
pub(super) async fn create_trade(world: &Rc<World>, asked: TradeAsked) -> Result<Trade, Failed> {
    let new = Trade {
        trade_id: format!("{}-{}", asked.order, asked.attempt),
        order_id: asked.order.to_string(),
        amount: asked.amount,
        payment_token: asked.token,
        expires_at: asked.expires_at,
        state: TradeState::Pending,
        submitted: false,
        closing: false,
        refunded: Money::ZERO,
        fees: Money::ZERO,
        provider_charge_id: None,
        checks: 0,
    };
    if !world.rules.trade_recorded_first {
        ask(world, Call::Charge, &new).await;
    }
    let supplement = asked.supplement;
    let record =
        move |world: &World| world.payments.borrow_mut().create_trade(new, supplement, world.clock(Role::Payment));
    let (trade, created) = world.commit(Step::RecordTrade, Role::Payment, record).await?;
    if created { drive_trade(world, trade).await } else { Ok(trade) }
}

/// A trade; the provider is asked where its outcome is not known.
pub(super) async fn trade(world: &Rc<World>, id: &str) -> Result<Trade, Failed> {
    let trade = world.payments.borrow().trade(id)?;
    drive_trade(world, trade).await
}

/// Closes a trade unless it is captured.
pub(super) async fn close_trade(world: &Rc<World>, id: &str) -> Result<Trade, Failed> {
    let trade = record(world, id, TradeEvent::CloseAsked).await?;
    drive_trade(world, trade).await
}

async fn drive_trade(world: &Rc<World>, trade: Trade) -> Result<Trade, Failed> {
    let Some(call) = next_call(&trade, world.clock(Role::Payment)) else { return Ok(trade) };
    let event = ask(world, call, &trade).await;
    match record(world, &trade.trade_id, event).await {
        Err(Failed::Refused) => record(world, &trade.trade_id, TradeEvent::NoAnswer).await,
        recorded => recorded,
    }
}

async fn ask(world: &Rc<World>, call: Call, trade: &Trade) -> TradeEvent {
    let asked = Asked {
        id: trade.trade_id.clone(),
        order: trade.order_id.clone(),
        amount: trade.amount,
        token: trade.payment_token.clone(),
        expires_at: trade.expires_at,
    };
    let step = match call {
        Call::Charge => Step::Charge,
        Call::Query => Step::QueryCharge,
        Call::Close => Step::CloseCharge,
    };
    let handle = move |world: Rc<World>| {
        let event = match call {
            Call::Charge => provider::charge(&world, asked.clone()),
            Call::Query => provider::query(&world, &asked.id),
            Call::Close => provider::close(&world, &asked),
        };
        std::future::ready(event)
    };
    match world.call(step, Some(Role::Payment), None, handle).await {
        Some(event) => event,
        None if call == Call::Close && !world.rules.close_needs_answer => {
            TradeEvent::ProviderSaid { state: trade::ChargeState::Closed, amount: None, provider_charge_id: None }
        }
        None => TradeEvent::NoAnswer,
    }
}

async fn record(world: &Rc<World>, id: &str, event: TradeEvent) -> Result<Trade, Failed> {
    let told = (id.to_owned(), event);
    let apart = !world.rules.posted_with_state;
    let write = move |world: &World| world.payments.borrow_mut().trade_event(&told.0, &told.1, world, apart);
    let (trade, later) = world.commit(Step::RecordTradeEvent, Role::Payment, write).await?;
    for posting in later {
        let order = trade.order_id.clone();
        let post = move |world: &World| {
            world.payments.borrow_mut().postings.push((order, posting));
            Ok::<(), Failed>(())
        };
        world.commit(Step::RecordTradeEvent, Role::Payment, post).await?;
    }
    Ok(trade)
}

/// The provider tells of a trade on its own. True when it was taken.
pub(super) async fn trade_told(world: &Rc<World>, id: &str, event: TradeEvent) -> bool {
    let Ok(trade) = world.payments.borrow().trade(id) else { return false };
    match step_trade(&trade, &event) {
        Ok((after, effects)) if after == trade && effects.is_empty() && world.rules.captured_once => true,
        Ok(_) => record(world, id, event).await.is_ok(),
        Err(_) => false,
    }
}

/// Pays a part of a trade back; true when it has arrived.
pub(super) async fn create_refund(world: &Rc<World>, asked: Refund) -> Result<bool, Failed> {
    let write = move |world: &World| world.payments.borrow_mut().create_refund(asked, world.clock(Role::Payment));
    let (refund, created) = world.commit(Step::RecordRefund, Role::Payment, write).await?;
    let refund = if created { drive_refund(world, refund).await? } else { refund };
    Ok(refund.state == RefundState::Succeeded)
}

pub(super) fn refund_arrived(world: &World, id: &str) -> Result<bool, Failed> {
    let payments = world.payments.borrow();
    let (refund, _) = payments.refunds.get(id).ok_or(Failed::NotFound)?;
    Ok(refund.state == RefundState::Succeeded)
}

async fn drive_refund(world: &Rc<World>, refund: Refund) -> Result<Refund, Failed> {
    if refund.state != RefundState::Pending {
        return Ok(refund);
    }
    let (mut id, trade, amount) = (refund.refund_id.clone(), refund.trade_id.clone(), refund.amount);
    if !world.rules.provider_refund_id_kept {
        id = format!("{id}?{}", refund.checks);
    }
    let handle = move |world: Rc<World>| std::future::ready(provider::refund(&world, &id, &trade, amount));
    let answer = world.call(Step::Refund, Some(Role::Payment), None, handle).await;
    record_refund(world, &refund.refund_id, answer.unwrap_or(RefundEvent::NotYet)).await
}

async fn record_refund(world: &Rc<World>, id: &str, event: RefundEvent) -> Result<Refund, Failed> {
    let id = id.to_owned();
    let write = move |world: &World| world.payments.borrow_mut().refund_event(&id, event, world.clock(Role::Payment));
    world.commit(Step::RecordRefundEvent, Role::Payment, write).await
}

/// The provider tells that a refund has arrived. True when it was taken.
pub(super) async fn refund_told(world: &Rc<World>, id: &str) -> bool {
    let pending = world.payments.borrow().refunds.get(id).map(|(refund, _)| refund.state == RefundState::Pending);
    match pending {
        None => false,
        Some(false) => true,
        Some(true) => record_refund(world, id, RefundEvent::Arrived).await.is_ok(),
    }
}

/// Tells an order what it must know, until it takes it.
async fn tell(world: &Rc<World>, notice: Notice) {
    let id = notice.id;
    let cross_off = move |world: &World| {
        world.payments.borrow_mut().notices.remove(&id);
        Ok::<(), Failed>(())
    };
    if !world.rules.told_before_crossed_off {
        // Whether or not it is written: this process believes that it has told.
        let _ = world.commit(Step::RecordTold, Role::Payment, cross_off).await;
    }
    let told = notice.clone();
    let handle = move |world: Rc<World>| {
        let told = told.clone();
        async move {
            let order: OrderId = told.order.parse().expect("an order's id");
            match told.refund {
                Some(refund) => orders::note_refund(&world, order, refund).await,
                None => {
                    let (state, captured) = (state_of(told.state), told.captured);
                    let news = TradeNews { attempt: None, id: told.trade, state, captured, revive: true };
                    orders::note_trade(&world, order, news).await
                }
            }
        }
    };
    let taken = world.call(Step::Tell, Some(Role::Payment), Some(Role::Order), handle).await;
    if taken == Some(Ok(())) {
        // Not crossed off, it is told again: the order takes it twice.
        let _ = world.commit(Step::RecordTold, Role::Payment, cross_off).await;
    } else if let Some(notice) = world.payments.borrow_mut().notices.get_mut(&id) {
        let wait_ms = backoff_ms(notice.attempts, NOTICE_FIRST_MS, NOTICE_MAX_MS);
        notice.attempts += 1;
        notice.due_at = world.clock(Role::Payment).plus_millis(wait_ms);
    }
}

impl PaymentRows {
    fn trade(&self, id: &str) -> Result<Trade, Failed> {
        self.trades.get(id).map(|(trade, _)| trade.clone()).ok_or(Failed::NotFound)
    }

    fn create_trade(&mut self, new: Trade, supplement: bool, now: Time) -> Result<(Trade, bool), Failed> {
        if let Some((known, _)) = self.trades.get(&new.trade_id) {
            let same = known.amount == new.amount && known.payment_token == new.payment_token;
            return if same { Ok((known.clone(), false)) } else { Err(Failed::Reused) };
        }
        let stands = |trade: &Trade| match trade.state {
            TradeState::Pending => true,
            TradeState::Captured => !supplement,
            TradeState::Declined | TradeState::Closed => false,
        };
        if self.trades.values().any(|(trade, _)| trade.order_id == new.order_id && stands(trade)) {
            return Err(Failed::Refused);
        }
        self.trades.insert(new.trade_id.clone(), (new.clone(), next_check(0, now)));
        Ok((new, true))
    }

    /// The trade after an event, and the postings that are still to be made: none, unless a defect makes them apart.
    fn trade_event(
        &mut self,
        id: &str,
        event: &TradeEvent,
        world: &World,
        apart: bool,
    ) -> Result<(Trade, Vec<Posting>), Failed> {
        let (before, now) = (self.trade(id)?, world.clock(Role::Payment));
        let (after, mut effects) = step_trade(&before, event).map_err(|_| Failed::Refused)?;
        let told_again = before.state == TradeState::Captured
            && matches!(event, TradeEvent::ProviderSaid { state: trade::ChargeState::Succeeded, .. });
        if told_again && !world.rules.captured_once {
            let captured = Trade { state: TradeState::Pending, ..before.clone() };
            effects = step_trade(&captured, event).map(|(_, effects)| effects).unwrap_or_default();
        }
        self.trades.insert(id.to_owned(), (after.clone(), next_check(after.checks, now)));
        let (postings, effects): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|effect| apart && matches!(effect, Effect::Post(_)));
        self.perform(effects, &after, None, now);
        let later = postings.into_iter().filter_map(|effect| match effect {
            Effect::Post(posting) => Some(posting),
            Effect::NoteTrade(_) | Effect::NoteRefund => None,
        });
        Ok((after, later.collect()))
    }

    fn create_refund(&mut self, asked: Refund, now: Time) -> Result<(Refund, bool), Failed> {
        let trade = self.trade(&asked.trade_id)?;
        if let Some((known, _)) = self.refunds.get(&asked.refund_id) {
            let same = (&known.trade_id, known.amount, known.fee) == (&asked.trade_id, asked.amount, asked.fee);
            return if same { Ok((known.clone(), false)) } else { Err(Failed::Reused) };
        }
        let (trade, refund, effects) = begin_refund(&trade, asked).map_err(|_| Failed::Refused)?;
        self.refunds.insert(refund.refund_id.clone(), (refund.clone(), next_check(0, now)));
        let check = self.trades.get(&trade.trade_id).map_or(now, |(_, at)| *at);
        self.trades.insert(trade.trade_id.clone(), (trade.clone(), check));
        self.perform(effects, &trade, Some(&refund), now);
        Ok((refund, true))
    }

    fn refund_event(&mut self, id: &str, event: RefundEvent, now: Time) -> Result<Refund, Failed> {
        let (before, _) = self.refunds.get(id).cloned().ok_or(Failed::NotFound)?;
        let (after, effects) = step_refund(&before, event);
        self.refunds.insert(id.to_owned(), (after.clone(), next_check(after.checks, now)));
        let trade = self.trade(&after.trade_id)?;
        self.perform(effects, &trade, Some(&after), now);
        Ok(after)
    }

    fn perform(&mut self, effects: Vec<Effect>, trade: &Trade, refund: Option<&Refund>, now: Time) {
        for effect in effects {
            let (refund, state) = match effect {
                Effect::Post(posting) => {
                    self.postings.push((trade.order_id.clone(), posting));
                    continue;
                }
                Effect::NoteTrade(state) => (None, state),
                Effect::NoteRefund => (refund.map(|refund| refund.refund_id.clone()), trade.state),
            };
            self.notices_made += 1;
            let notice = Notice {
                id: self.notices_made,
                order: trade.order_id.clone(),
                trade: trade.trade_id.clone(),
                refund,
                state,
                captured: trade.captured(),
                due_at: now,
                attempts: 0,
            };
            self.notices.insert(notice.id, notice);
        }
    }
}

fn next_check(checks: u32, now: Time) -> Time {
    now.plus_millis(backoff_ms(checks, CHECK_FIRST_MS, CHECK_MAX_MS))
}
