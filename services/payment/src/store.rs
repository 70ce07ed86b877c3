mod rows;
mod sql;

use async_trait::async_trait;
use domain::{Money, Time};

use crate::state::{Refund, RefundEvent, RefundRefusal, Refusal, Trade, TradeEvent, TradeState};
pub use sql::open;

/// What payment remembers. Every method that changes something is one transaction: it loads, lets [`crate::state`] decide,
/// and keeps the new state together with its ledger posting and its notice. Safe to repeat; returns when it is durable.
#[async_trait]
pub trait Store: Send + Sync {
    /// Records a trade unless its id is known; says whether this call recorded it.
    async fn create_trade(&self, asked: NewTrade, now: Time) -> Result<(Trade, bool), StoreError>;
    /// A trade.
    async fn trade(&self, trade_id: &str) -> Result<Option<Trade>, StoreError>;
    /// Something happened to a trade: the trade afterwards.
    async fn trade_event(&self, trade_id: &str, event: TradeEvent, now: Time) -> Result<Trade, StoreError>;
    /// Pending trades that the provider is to be asked about by now.
    async fn due_trades(&self, now: Time, limit: u32) -> Result<Vec<Trade>, StoreError>;
    /// Records a refund unless its id is known; says whether this call recorded it.
    async fn create_refund(&self, asked: NewRefund, now: Time) -> Result<(Refund, bool), StoreError>;
    /// A refund.
    async fn refund(&self, refund_id: &str) -> Result<Option<Refund>, StoreError>;
    /// Something happened to a refund: the refund afterwards.
    async fn refund_event(&self, refund_id: &str, event: RefundEvent, now: Time) -> Result<Refund, StoreError>;
    /// Pending refunds that the provider is to be asked for by now.
    async fn due_refunds(&self, now: Time, limit: u32) -> Result<Vec<Refund>, StoreError>;
    /// The first notice of each order, of those that are due by now.
    async fn due_notices(&self, now: Time, limit: u32) -> Result<Vec<Notice>, StoreError>;
    /// The order has taken a notice.
    async fn notice_taken(&self, notice_id: i64) -> Result<(), StoreError>;
    /// The order has not taken a notice: it is due again then.
    async fn notice_failed(&self, notice_id: i64, again: Time) -> Result<(), StoreError>;
    /// The operations whose money moved in a span of time, in order of their ids, after an id already read.
    async fn operations(&self, from: Time, to: Time, after: &str, limit: u32) -> Result<Vec<Operation>, StoreError>;
    /// The operation of an id, if its money has moved.
    async fn operation(&self, id: &str) -> Result<Option<Operation>, StoreError>;
}

/// When the provider is asked again about something whose outcome is not known.
#[derive(Clone, Copy, Debug)]
pub struct CheckTimes {
    /// After the first call, in ms; doubles from then on.
    pub first_ms: u32,
    /// At most, in ms.
    pub most_ms: u32,
}

/// A trade as order asks for it.
#[derive(Clone, Debug)]
pub struct NewTrade {
    /// The order.
    pub order_id: String,
    /// Counts attempts after a decline, from 0.
    pub attempt: u32,
    /// How much: more than nothing.
    pub amount: Money,
    /// The provider's token.
    pub payment_token: String,
    /// When the provider must give up.
    pub expires_at: Time,
    /// Whether it comes on top of what was captured before.
    pub supplement: bool,
}

impl NewTrade {
    /// The trade's id follows from the order and the attempt.
    pub fn trade_id(&self) -> String {
        format!("{}-{}", self.order_id, self.attempt)
    }
}

/// A refund as order asks for it.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// Order's deterministic id.
    pub refund_id: String,
    /// The captured trade.
    pub trade_id: String,
    /// How much goes back; may be nothing where all is kept as a fee.
    pub amount: Money,
    /// How much is kept.
    pub fee: Money,
}

/// Something order must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Counts up: later notices of one order come after earlier ones.
    pub notice_id: i64,
    /// The order.
    pub order_id: String,
    /// The trade.
    pub trade_id: String,
    /// What happened.
    pub news: News,
    /// How often it was tried.
    pub attempts: u32,
}

/// What happened, as order must hear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The trade's outcome is known.
    Trade {
        /// The outcome; never pending.
        outcome: TradeState,
        /// How much was captured.
        captured: Money,
    },
    /// A refund has arrived.
    Refund {
        /// Order's id of it.
        refund_id: String,
    },
}

/// Money that moved between the provider and us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The trade's or the refund's id.
    pub id: String,
    /// Whether it is a refund.
    pub is_refund: bool,
    /// How much; never negative.
    pub amount: Money,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The same id stands for something else already.
    #[error("{0} was asked for with other contents before")]
    Differs(String),
    /// No such trade.
    #[error("no trade {0}")]
    TradeNotFound(String),
    /// No such refund.
    #[error("no refund {0}")]
    RefundNotFound(String),
    /// The order has another trade that is open or captured.
    #[error("order {order_id} has trade {trade_id} already")]
    TradeStands {
        /// The order.
        order_id: String,
        /// Its trade.
        trade_id: String,
    },
    /// The event does not fit the trade.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The refund does not fit the trade.
    #[error(transparent)]
    RefundRefused(#[from] RefundRefusal),
    /// The database failed; whether something was written may be unknown.
    #[error("payment's database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
