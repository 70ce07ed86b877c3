mod sql;

use async_trait::async_trait;
use domain::Time;

use crate::behaviour::ChargePlan;
use crate::model::{Callback, Charge, ChargeState, NewCharge, NewRefund, Refund, StatementLine};
pub use sql::open;

/// What the provider remembers. Every method that changes something is one transaction, safe to repeat, and returns when
/// it is durable.
#[async_trait]
pub trait Store: Send + Sync {
    /// Records a charge unless its id is known, together with its decision where it is decided at once; says whether this
    /// call recorded it.
    async fn charge(
        &self,
        asked: NewCharge,
        plan: ChargePlan,
        decision: Option<Decision>,
    ) -> Result<(Charge, bool), StoreError>;
    /// A charge by the merchant's id.
    async fn find_charge(&self, merchant_trade_id: &str) -> Result<Option<Charge>, StoreError>;
    /// Closes a charge that is undecided and can be closed; an id that is not known yet can never be charged afterwards.
    /// The state afterwards, and whether this call closed it.
    async fn close_charge(&self, merchant_trade_id: &str, now: Time) -> Result<(ChargeState, bool), StoreError>;
    /// Decides a charge that is undecided and records the callbacks owed for it; the state afterwards.
    async fn decide_charge(&self, merchant_trade_id: &str, decision: Decision) -> Result<ChargeState, StoreError>;
    /// Charges that are to be decided by now: their time has come, or they have expired.
    async fn due_charges(&self, now: Time, limit: u32) -> Result<Vec<Charge>, StoreError>;
    /// Records a refund unless its id is known; says whether this call recorded it.
    async fn refund(&self, asked: NewRefund, settle_at: Time) -> Result<(Refund, bool), StoreError>;
    /// A refund by the merchant's id.
    async fn find_refund(&self, merchant_refund_id: &str) -> Result<Option<Refund>, StoreError>;
    /// Pays a refund back, once, and records the callbacks owed for it.
    async fn settle_refund(
        &self,
        merchant_refund_id: &str,
        now: Time,
        owed: Vec<OwedCallback>,
    ) -> Result<(), StoreError>;
    /// Refunds whose time has come.
    async fn due_refunds(&self, now: Time, limit: u32) -> Result<Vec<Refund>, StoreError>;
    /// Callbacks to be sent by now.
    async fn due_callbacks(&self, now: Time, limit: u32) -> Result<Vec<Callback>, StoreError>;
    /// A callback was taken.
    async fn callback_taken(&self, callback_id: &str) -> Result<(), StoreError>;
    /// A callback was not taken; `again` is when to try next, nothing for never.
    async fn callback_failed(&self, callback_id: &str, again: Option<Time>) -> Result<(), StoreError>;
    /// The operations of a span of time in order of time and id, after a line already read.
    async fn statement(
        &self,
        from: Time,
        to: Time,
        after: Option<&StatementLine>,
        limit: u32,
    ) -> Result<Vec<StatementLine>, StoreError>;
}

/// What becomes of a charge.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The state; never pending.
    pub state: ChargeState,
    /// When.
    pub at: Time,
    /// The callbacks owed for it.
    pub owed: Vec<OwedCallback>,
}

/// A callback to be recorded.
#[derive(Clone, Debug)]
pub struct OwedCallback {
    /// Its id; copies differ in it.
    pub callback_id: String,
    /// Where to.
    pub url: String,
    /// The JSON text.
    pub body: String,
    /// When.
    pub due: Time,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The same id stands for something else already.
    #[error("{what} {id} was asked for with other contents before")]
    Differs {
        /// `charge` or `refund`.
        what: &'static str,
        /// The merchant's id.
        id: String,
    },
    /// A refund of a charge that did not succeed or is not known.
    #[error("charge {0} has not succeeded")]
    NotCharged(String),
    /// A refund of more than is left.
    #[error("refunds of charge {0} would exceed it")]
    ExceedsCharge(String),
    /// The database failed; whether something was written may be unknown.
    #[error("the provider's database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}
