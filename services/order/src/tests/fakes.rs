//! An inventory and a payment service that keep their word and fail when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use domain::{HoldId, Run};
use parking_lot::Mutex;
use proto::payment::v1::payment_service_server::PaymentService;
use proto::payment::v1::{self as wire, RefundState, TradeState};
use rpc::clock::ManualClock;
use rpc::{Clock, Failure, reason};
use tonic::{Request, Response, Status};

use super::MINUTE;
use crate::inventory::{Inventory, OpenedHold, Wanted};
use crate::order::Place;

/// How many of the next calls fail, and whether they do their work before.
#[derive(Debug, Default)]
pub(crate) struct Fails {
    before: AtomicU32,
    after: AtomicU32,
}

impl Fails {
    /// The next calls do not arrive.
    pub fn next(&self, calls: u32) {
        self.before.store(calls, Ordering::SeqCst);
    }

    /// The answers of the next calls are lost.
    pub fn answers(&self, calls: u32) {
        self.after.store(calls, Ordering::SeqCst);
    }

    fn take(counter: &AtomicU32) -> Result<(), Failure> {
        let one = |left: u32| left.checked_sub(1);
        match counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one) {
            Ok(_) => Err(Failure::unavailable(reason::UNREACHABLE, "told to fail", 1)),
            Err(_) => Ok(()),
        }
    }

    fn answer<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        Self::take(&self.before)?;
        let answer = work();
        Self::take(&self.after)?;
        answer
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Held,
    Opened,
    Confirmed,
    Ended,
}

#[derive(Debug)]
pub(crate) struct FakeInventory {
    clock: ManualClock,
    holds: Mutex<BTreeMap<HoldId, (Stage, BTreeSet<u8>)>>,
    /// Whether a hold is given once the first one has ended.
    pub room: Mutex<bool>,
    /// Everyone held again, to see that tokens and not documents arrive.
    pub wanted: Mutex<Vec<Wanted>>,
    pub fails: Fails,
}

impl FakeInventory {
    pub fn new(clock: ManualClock) -> Self {
        let (holds, room, wanted) = (Mutex::default(), Mutex::new(true), Mutex::default());
        Self { clock, holds, room, wanted, fails: Fails::default() }
    }

    /// Seats held by the gateway.
    pub fn hold(&self, hold: HoldId, passengers: &[u8]) {
        self.holds.lock().entry(hold).or_insert((Stage::Held, passengers.iter().copied().collect()));
    }

    /// As if a hold had never been.
    pub fn forget(&self, hold: HoldId) {
        self.holds.lock().remove(&hold);
    }

    /// Every hold that is not a ticket runs out.
    pub fn expire(&self) {
        for (stage, _) in self.holds.lock().values_mut().filter(|(stage, _)| *stage != Stage::Confirmed) {
            *stage = Stage::Ended;
        }
    }

    pub fn stage(&self, hold: HoldId) -> Option<Stage> {
        self.holds.lock().get(&hold).map(|(stage, _)| *stage)
    }

    /// Passengers that have seats.
    pub fn seated(&self) -> usize {
        self.holds.lock().values().filter(|(stage, _)| *stage == Stage::Confirmed).map(|(_, seats)| seats.len()).sum()
    }

    /// Moves a hold to a stage from one of these, or stays there.
    fn go(&self, hold: HoldId, from: &[Stage], to: Stage) -> Result<(), Failure> {
        let mut holds = self.holds.lock();
        let none = || Failure::not_found(reason::HOLD_NOT_FOUND, "no such hold");
        let (stage, _) = holds.get_mut(&hold).ok_or_else(none)?;
        if *stage == to || from.contains(stage) {
            *stage = to;
            Ok(())
        } else if *stage == Stage::Ended {
            Err(Failure::refused(reason::HOLD_ENDED, "the hold has ended"))
        } else {
            Err(Failure::refused(reason::HOLD_STATE, "not in that state"))
        }
    }
}

#[async_trait]
impl Inventory for FakeInventory {
    async fn open_hold(&self, _: Run, hold: HoldId) -> Result<OpenedHold, Failure> {
        self.fails.answer(|| {
            self.go(hold, &[Stage::Held], Stage::Opened)?;
            let now = self.clock.now();
            Ok(OpenedHold { pay_by: now.plus_millis(15 * MINUTE), hard_limit: now.plus_millis(20 * MINUTE) })
        })
    }

    async fn confirm(&self, _: Run, hold: HoldId) -> Result<(), Failure> {
        self.fails.answer(|| self.go(hold, &[Stage::Opened], Stage::Confirmed))
    }

    async fn release(&self, _: Run, hold: HoldId) -> Result<(), Failure> {
        self.fails.answer(|| self.go(hold, &[Stage::Held, Stage::Opened], Stage::Ended))
    }

    async fn refund(&self, _: Run, hold: HoldId, passengers: &[u8]) -> Result<(), Failure> {
        self.fails.answer(|| {
            let mut holds = self.holds.lock();
            let (_, seats) = holds.get_mut(&hold).expect("tickets of a hold");
            seats.retain(|passenger| !passengers.contains(passenger));
            Ok(())
        })
    }

    async fn hold(&self, wanted: Wanted) -> Result<Vec<Place>, Failure> {
        self.fails.answer(|| {
            if !*self.room.lock() {
                return Err(Failure::refused(reason::SOLD_OUT, "sold out"));
            }
            let passengers: Vec<u8> = (0..wanted.passengers.len() as u8).collect();
            FakeInventory::hold(self, wanted.hold, &passengers);
            let place = |passenger: &u8| Place {
                passenger: *passenger,
                class: wanted.class,
                carriage: 16,
                label: "16F".into(),
                standing: false,
                interval: wanted.interval,
                berth: String::new(),
            };
            let places = passengers.iter().map(place).collect();
            self.wanted.lock().push(wanted);
            Ok(places)
        })
    }
}

/// A payment service. The token says what the provider does: `sandbox-ok` captures at once, `sandbox-decline` declines,
/// anything else stays pending until a test captures it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakePayment {
    state: Arc<Mutex<State>>,
    pub fails: Arc<Fails>,
}

#[derive(Debug, Default)]
struct State {
    trades: BTreeMap<String, wire::Trade>,
    refunds: BTreeMap<String, (i64, bool)>,
}

impl FakePayment {
    /// The provider captures a trade; gives how much.
    pub fn capture(&self, trade_id: &str) -> i64 {
        let mut state = self.state.lock();
        let trade = state.trades.get_mut(trade_id).expect("a trade");
        trade.set_state(TradeState::Captured);
        trade.captured_fen = trade.amount_fen;
        trade.amount_fen
    }

    /// Every refund arrives at the provider, without anybody being told.
    pub fn settle(&self) {
        for (_, arrived) in self.state.lock().refunds.values_mut() {
            *arrived = true;
        }
    }

    pub fn trades(&self) -> Vec<String> {
        self.state.lock().trades.keys().cloned().collect()
    }

    /// Captured and not given back or on its way back.
    pub fn kept_fen(&self) -> i64 {
        let state = self.state.lock();
        let captured: i64 = state.trades.values().map(|trade| trade.captured_fen).sum();
        captured - state.refunds.values().map(|(amount, _)| amount).sum::<i64>()
    }

    fn answer<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<Response<T>, Status> {
        let answer = self.fails.answer(|| work(&mut self.state.lock()))?;
        Ok(Response::new(answer))
    }
}

fn no_trade() -> Failure {
    Failure::not_found(reason::TRADE_NOT_FOUND, "no such trade")
}

#[tonic::async_trait]
impl PaymentService for FakePayment {
    async fn create_trade(
        &self,
        request: Request<wire::CreateTradeRequest>,
    ) -> Result<Response<wire::CreateTradeResponse>, Status> {
        let request = request.into_inner();
        self.answer(|state| {
            let trade_id = format!("{}-{}", request.order_id, request.attempt);
            let outcome = match &*request.payment_token {
                "sandbox-ok" => TradeState::Captured,
                "sandbox-decline" => TradeState::Declined,
                _ => TradeState::Pending,
            };
            let trade = state.trades.entry(trade_id.clone()).or_insert_with(|| wire::Trade {
                trade_id,
                order_id: request.order_id,
                amount_fen: request.amount_fen,
                state: outcome.into(),
                captured_fen: if outcome == TradeState::Captured { request.amount_fen } else { 0 },
                refunded_fen: 0,
            });
            Ok(wire::CreateTradeResponse { trade: Some(trade.clone()) })
        })
    }

    async fn get_trade(
        &self,
        request: Request<wire::GetTradeRequest>,
    ) -> Result<Response<wire::GetTradeResponse>, Status> {
        self.answer(|state| {
            let trade = state.trades.get(&request.get_ref().trade_id).ok_or_else(no_trade)?;
            Ok(wire::GetTradeResponse { trade: Some(trade.clone()) })
        })
    }

    async fn close_trade(
        &self,
        request: Request<wire::CloseTradeRequest>,
    ) -> Result<Response<wire::CloseTradeResponse>, Status> {
        self.answer(|state| {
            let trade = state.trades.get_mut(&request.get_ref().trade_id).ok_or_else(no_trade)?;
            if trade.state() == TradeState::Pending {
                trade.set_state(TradeState::Closed);
            }
            Ok(wire::CloseTradeResponse { trade: Some(trade.clone()) })
        })
    }

    async fn create_refund(
        &self,
        request: Request<wire::CreateRefundRequest>,
    ) -> Result<Response<wire::CreateRefundResponse>, Status> {
        let request = request.into_inner();
        self.answer(|state| {
            let (_, arrived) = *state.refunds.entry(request.refund_id).or_insert((request.amount_fen, false));
            let told = if arrived { RefundState::Succeeded } else { RefundState::Pending };
            Ok(wire::CreateRefundResponse { state: told.into() })
        })
    }

    async fn get_refund(
        &self,
        request: Request<wire::GetRefundRequest>,
    ) -> Result<Response<wire::GetRefundResponse>, Status> {
        self.answer(|state| {
            let (amount_fen, arrived) = *state.refunds.get(&request.get_ref().refund_id).ok_or_else(no_trade)?;
            let told = if arrived { RefundState::Succeeded } else { RefundState::Pending };
            Ok(wire::GetRefundResponse { state: told.into(), amount_fen })
        })
    }

    type ReconcileStream = futures::stream::Empty<Result<wire::ReconcileResponse, Status>>;

    async fn reconcile(&self, _: Request<wire::ReconcileRequest>) -> Result<Response<Self::ReconcileStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }
}
