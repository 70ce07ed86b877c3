//! Laws of payment's saga: whatever is interrupted, at any step, is taken up again and ends once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::{Money, ServiceDate, Time};
use rpc::clock::ManualClock;
use tonic::Status;

use super::*;
use crate::callback::CallbackRules;
use crate::provider::{Provider, StatementError};
use crate::state::{Call, ChargeState, RefundEvent, RefundState, TradeEvent, TradeState};
use crate::store::{self, CheckTimes, NewRefund, NewTrade, News, Operation, Store};
use crate::test_databases::databases;

const START: Time = Time::from_millis(1_795_305_600_000);

/// Where the process dies: at the n-th step, before it or after it was done.
struct Death {
    at: usize,
    after: bool,
    steps: AtomicUsize,
    died: Notify,
}

impl Death {
    fn at(at: usize, after: bool) -> Arc<Self> {
        Arc::new(Self { at, after, steps: AtomicUsize::new(0), died: Notify::new() })
    }

    /// Runs a step, or dies at it: a dead process never goes on.
    async fn step<T>(&self, work: impl Future<Output = T>) -> T {
        if self.steps.fetch_add(1, Ordering::SeqCst) != self.at {
            return work.await;
        }
        if self.after {
            work.await;
        }
        self.died.notify_one();
        std::future::pending().await
    }
}

/// A store of a process that may die.
struct Mortal {
    store: Arc<dyn Store>,
    death: Arc<Death>,
}

macro_rules! delegate {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $value:ty;)*) => {
        #[async_trait]
        impl Store for Mortal {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$value, StoreError> {
                self.death.step(self.store.$name($($argument),*)).await
            })*
        }
    };
}

delegate! {
    create_trade(asked: NewTrade, now: Time) -> (Trade, bool);
    trade(trade_id: &str) -> Option<Trade>;
    trade_event(trade_id: &str, event: TradeEvent, now: Time) -> Trade;
    due_trades(now: Time, limit: u32) -> Vec<Trade>;
    create_refund(asked: NewRefund, now: Time) -> (Refund, bool);
    refund(refund_id: &str) -> Option<Refund>;
    refund_event(refund_id: &str, event: RefundEvent, now: Time) -> Refund;
    due_refunds(now: Time, limit: u32) -> Vec<Refund>;
    due_notices(now: Time, limit: u32) -> Vec<Notice>;
    notice_taken(notice_id: i64) -> ();
    notice_failed(notice_id: i64, again: Time) -> ();
    operations(from: Time, to: Time, after: &str, limit: u32) -> Vec<Operation>;
    operation(id: &str) -> Option<Operation>;
}

/// What is outside of the process and lives on: the provider, and what order was told.
#[derive(Default)]
struct World {
    charges: Mutex<HashMap<String, ChargeState>>,
    refunds: Mutex<HashMap<String, u32>>,
    told: Mutex<Vec<Notice>>,
}

/// The world as a process that may die sees it.
struct Outside {
    world: Arc<World>,
    death: Arc<Death>,
}

#[async_trait]
impl Provider for Outside {
    async fn ask(&self, call: Call, trade: &Trade) -> TradeEvent {
        let answer = async {
            let mut charges = self.world.charges.lock().unwrap();
            let new = if call == Call::Charge { ChargeState::Succeeded } else { ChargeState::Closed };
            let state = *charges.entry(trade.trade_id.clone()).or_insert(new);
            TradeEvent::ProviderSaid { state, amount: Some(trade.amount), provider_charge_id: None }
        };
        self.death.step(answer).await
    }

    async fn refund(&self, refund: &Refund) -> RefundEvent {
        let answer = async {
            self.world.refunds.lock().unwrap().entry(refund.refund_id.clone()).or_insert(1);
            RefundEvent::Arrived
        };
        self.death.step(answer).await
    }

    async fn statement(&self, _: ServiceDate) -> Result<HashMap<String, Money>, StatementError> {
        Ok(HashMap::new())
    }
}

#[async_trait]
impl Orders for Outside {
    async fn tell(&self, notice: &Notice) -> Result<(), Status> {
        let told = async { self.world.told.lock().unwrap().push(notice.clone()) };
        self.death.step(told).await;
        Ok(())
    }
}

struct Process {
    app: App,
    outside: Arc<Outside>,
    clock: ManualClock,
}

impl Process {
    fn start(store: Arc<dyn Store>, world: &Arc<World>, death: Arc<Death>) -> Self {
        let outside = Arc::new(Outside { world: world.clone(), death: death.clone() });
        let clock = ManualClock::at(START);
        let callbacks = CallbackRules { secret: "secret".into(), window_ms: 1 };
        let app = App::new(Arc::new(Mortal { store, death }), outside.clone(), Arc::new(clock.clone()), callbacks);
        Self { app, outside, clock }
    }

    /// What order asks for, and what it is told: one purchase and one refund.
    async fn purchase(&self, order_id: &str) {
        let trade = NewTrade {
            order_id: order_id.to_owned(),
            attempt: 0,
            amount: Money::yuan(100),
            payment_token: "sandbox-ok".into(),
            expires_at: START.plus_millis(900_000),
            supplement: false,
        };
        let refund = NewRefund {
            refund_id: format!("{order_id}-refund"),
            trade_id: trade.trade_id(),
            amount: Money::yuan(60),
            fee: Money::yuan(4),
        };
        self.app.create_trade(trade).await.unwrap();
        self.settle().await;
        self.app.create_refund(refund).await.unwrap();
        self.settle().await;
    }

    /// The sweepers' work until nothing is left, with the clock running ahead of every wait.
    async fn settle(&self) {
        let (trades, refunds) = (DueTrades(&self.app), DueRefunds(&self.app));
        let notices = DueNotices { app: &self.app, orders: &*self.outside };
        loop {
            self.clock.advance_ms(100_000);
            let found = pass(&trades).await + pass(&refunds).await + pass(&notices).await;
            if found == 0 {
                return;
            }
        }
    }
}

async fn pass<W: DueWork<Error = StoreError>>(work: &W) -> usize {
    let items = work.due(100).await.unwrap();
    let found = items.len();
    for item in items {
        work.perform(item).await;
    }
    found
}

#[tokio::test]
async fn a_crash_before_or_after_any_step_ends_in_one_charge_and_one_refund() {
    let check_times = CheckTimes { first_ms: 1_000, most_ms: 60_000 };
    for database in databases("crash").await {
        let mut met_every_step = false;
        for number in 0..200 {
            let store = store::open(&database.url, check_times).await.unwrap();
            let world = Arc::new(World::default());
            let order_id = uuid::Uuid::from_u128(number + 1).to_string();
            let death = Death::at((number / 2) as usize, number % 2 == 1);
            let mortal = Process::start(store.clone(), &world, death.clone());
            let survived = tokio::select! {
                biased;
                () = death.died.notified() => false,
                () = mortal.purchase(&order_id) => true,
            };
            drop(mortal);
            // The next process sweeps, then hears order repeat what it was not answered.
            let next = Process::start(store.clone(), &world, Death::at(usize::MAX, false));
            next.settle().await;
            next.purchase(&order_id).await;
            check_outcome(&*store, &world, &order_id, number).await;
            if survived {
                met_every_step = true;
                break;
            }
        }
        assert!(met_every_step, "the purchase has more steps than were tried");
    }
}

async fn check_outcome(store: &dyn Store, world: &World, order_id: &str, number: u128) {
    let trade = store.trade(&format!("{order_id}-0")).await.unwrap().unwrap();
    assert_eq!((trade.state, trade.refunded), (TradeState::Captured, Money::yuan(60)), "{number}");
    let refund = store.refund(&format!("{order_id}-refund")).await.unwrap().unwrap();
    assert_eq!(refund.state, RefundState::Succeeded, "{number}");
    assert_eq!(*world.charges.lock().unwrap(), HashMap::from([(trade.trade_id, ChargeState::Succeeded)]));
    assert_eq!(*world.refunds.lock().unwrap(), HashMap::from([(refund.refund_id, 1)]));
    // Told at least once each, first of the trade and then of the refund.
    let mut told: Vec<_> = world.told.lock().unwrap().iter().map(|notice| notice.news.clone()).collect();
    told.dedup();
    let captured = News::Trade { outcome: TradeState::Captured, captured: Money::yuan(100) };
    assert_eq!(told, [captured, News::Refund { refund_id: format!("{order_id}-refund") }], "{number}");
}
