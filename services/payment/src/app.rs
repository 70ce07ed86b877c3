use std::sync::Arc;

use domain::Time;
use failpoints::Point;
use rpc::Clock;
use tokio::sync::Notify;

use crate::callback::{CallbackRefusal, CallbackRules, Told};
use crate::error::Error;
use crate::metrics;
use crate::provider::Provider;
use crate::state::{Call, Refund, RefundEvent, RefundState, Trade, TradeEvent, next_call};
use crate::store::{NewRefund, NewTrade, Store, StoreError};

/// What payment does: record first, then ask the provider, then record what it said. Whatever a crash interrupts is taken
/// up again by the sweepers from what was recorded.
pub struct App {
    store: Arc<dyn Store>,
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    callbacks: CallbackRules,
    wake_notices: Notify,
}

impl App {
    /// Payment on its store, with its provider.
    pub fn new(
        store: Arc<dyn Store>,
        provider: Arc<dyn Provider>,
        clock: Arc<dyn Clock>,
        callbacks: CallbackRules,
    ) -> Self {
        Self { store, provider, clock, callbacks, wake_notices: Notify::new() }
    }

    /// Opens the one trade of an order's attempt. Whoever repeats it gets the same trade in its present state.
    pub async fn create_trade(&self, asked: NewTrade) -> Result<Trade, Error> {
        failpoints::at(Point::PaymentBeforeTradeRecorded).await?;
        let (trade, created) = self.store.create_trade(asked, self.now()).await?;
        failpoints::at(Point::PaymentAfterTradeRecorded).await?;
        // Only the call that recorded it asks the provider: a thousand repeats are one charge and one question.
        if created { self.drive_trade(trade).await } else { Ok(trade) }
    }

    /// A trade; the provider is asked where its outcome is not known.
    pub async fn trade(&self, trade_id: &str) -> Result<Trade, Error> {
        let trade = self.store.trade(trade_id).await?;
        let trade = trade.ok_or_else(|| StoreError::TradeNotFound(trade_id.to_owned()))?;
        self.drive_trade(trade).await
    }

    /// Closes a trade unless it is captured: the trade afterwards, still pending where the provider does not say.
    pub async fn close_trade(&self, trade_id: &str) -> Result<Trade, Error> {
        let trade = self.store.trade_event(trade_id, TradeEvent::CloseAsked, self.now()).await?;
        self.drive_trade(trade).await
    }

    /// Makes the next call about a pending trade and records what came of it.
    pub async fn drive_trade(&self, trade: Trade) -> Result<Trade, Error> {
        let Some(call) = next_call(&trade, self.now()) else { return Ok(trade) };
        let (before, after) = match call {
            Call::Charge => (Point::PaymentBeforeCharge, Point::PaymentAfterCharge),
            Call::Query => (Point::PaymentBeforeQuery, Point::PaymentAfterQuery),
            Call::Close => (Point::PaymentBeforeClose, Point::PaymentAfterClose),
        };
        failpoints::at(before).await?;
        let event = self.provider.ask(call, &trade).await;
        failpoints::at(after).await?;
        match self.record(&trade.trade_id, event).await {
            Err(Error::Store(StoreError::Refused(refusal))) => {
                tracing::error!(trade = trade.trade_id, %refusal, "the provider contradicts the trade");
                metrics::contradiction();
                self.record(&trade.trade_id, TradeEvent::NoAnswer).await
            }
            recorded => recorded,
        }
    }

    /// Pays a part of a trade back. Whoever repeats it gets the same refund in its present state.
    pub async fn create_refund(&self, asked: NewRefund) -> Result<Refund, Error> {
        failpoints::at(Point::PaymentBeforeRefundRecorded).await?;
        let (refund, created) = self.store.create_refund(asked, self.now()).await?;
        failpoints::at(Point::PaymentAfterRefundRecorded).await?;
        self.wake_notices.notify_one();
        if created { self.drive_refund(refund).await } else { Ok(refund) }
    }

    /// A refund.
    pub async fn refund(&self, refund_id: &str) -> Result<Refund, Error> {
        let refund = self.store.refund(refund_id).await?;
        Ok(refund.ok_or_else(|| StoreError::RefundNotFound(refund_id.to_owned()))?)
    }

    /// Asks the provider for a pending refund and records what came of it.
    pub async fn drive_refund(&self, refund: Refund) -> Result<Refund, Error> {
        if refund.state != RefundState::Pending {
            return Ok(refund);
        }
        failpoints::at(Point::PaymentBeforeRefund).await?;
        let event = self.provider.refund(&refund).await;
        failpoints::at(Point::PaymentAfterRefund).await?;
        self.record_refund(&refund.refund_id, event).await
    }

    async fn record_refund(&self, refund_id: &str, event: RefundEvent) -> Result<Refund, Error> {
        failpoints::at(Point::PaymentBeforeRefundEventRecorded).await?;
        let refund = self.store.refund_event(refund_id, event, self.now()).await?;
        failpoints::at(Point::PaymentAfterRefundEventRecorded).await?;
        self.wake_notices.notify_one();
        Ok(refund)
    }

    /// Takes a callback in. A repeat changes nothing and is taken like the first.
    pub async fn take_callback(&self, signature: &str, body: &[u8]) -> Result<(), Error> {
        failpoints::at(Point::PaymentBeforeCallback).await?;
        self.callback_told(self.callbacks.read(signature, body, self.now())?).await?;
        Ok(failpoints::at(Point::PaymentAfterCallback).await?)
    }

    async fn callback_told(&self, told: Told) -> Result<(), Error> {
        match told {
            Told::Trade { trade_id, state, amount, provider_charge_id } => {
                let event = TradeEvent::ProviderSaid {
                    state,
                    amount: Some(amount),
                    provider_charge_id: Some(provider_charge_id),
                };
                self.trade_told(&trade_id, event).await
            }
            Told::Refund { refund_id, trade_id, amount } => {
                let refund = self.store.refund(&refund_id).await?.ok_or(CallbackRefusal::NotFound)?;
                if (&refund.trade_id, refund.amount) != (&trade_id, amount) {
                    return Err(CallbackRefusal::Mismatch.into());
                }
                if refund.state == RefundState::Pending {
                    self.record_refund(&refund_id, RefundEvent::Arrived).await?;
                }
                Ok(())
            }
        }
    }

    async fn trade_told(&self, trade_id: &str, event: TradeEvent) -> Result<(), Error> {
        match self.record(trade_id, event).await {
            Err(Error::Store(StoreError::TradeNotFound(_))) => Err(CallbackRefusal::NotFound.into()),
            Err(Error::Store(StoreError::Refused(_))) => Err(CallbackRefusal::Mismatch.into()),
            recorded => recorded.map(drop),
        }
    }

    async fn record(&self, trade_id: &str, event: TradeEvent) -> Result<Trade, Error> {
        failpoints::at(Point::PaymentBeforeTradeEventRecorded).await?;
        let trade = self.store.trade_event(trade_id, event, self.now()).await?;
        failpoints::at(Point::PaymentAfterTradeEventRecorded).await?;
        self.wake_notices.notify_one();
        Ok(trade)
    }

    /// What payment remembers.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The provider.
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// The present moment.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Told when an order may have to be told something.
    pub fn wake_notices(&self) -> &Notify {
        &self.wake_notices
    }
}
