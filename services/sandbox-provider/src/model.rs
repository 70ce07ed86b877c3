use domain::{Money, Time};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::behaviour::Token;

/// The state of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// Not decided yet.
    Pending,
    /// The money is there.
    Succeeded,
    /// Refused.
    Declined,
    /// Closed by the merchant or by time.
    Closed,
}

impl ChargeState {
    const ALL: [Self; 4] = [Self::Pending, Self::Succeeded, Self::Declined, Self::Closed];

    /// The name in the database and in callbacks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Declined => "declined",
            Self::Closed => "closed",
        }
    }

    /// The state of a name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A charge as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCharge {
    /// The merchant's id of the trade.
    pub merchant_trade_id: String,
    /// How much.
    pub amount: Money,
    /// How.
    pub token: Token,
    /// Where to call back.
    pub callback_url: String,
    /// When to give up.
    pub expires_at: Time,
}

/// A charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What was asked for.
    pub asked: NewCharge,
    /// The provider's own id.
    pub provider_charge_id: String,
    /// Its state.
    pub state: ChargeState,
    /// Whether it succeeds at `decide_at`.
    pub succeeds: bool,
    /// When it is decided unless it is closed before.
    pub decide_at: Time,
    /// Whether it can be closed before.
    pub closable: bool,
    /// How much of it was or is being paid back.
    pub refunded: Money,
}

/// A refund as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefund {
    /// The merchant's deterministic id.
    pub merchant_refund_id: String,
    /// The merchant's id of the charge.
    pub merchant_trade_id: String,
    /// How much.
    pub amount: Money,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// What was asked for.
    pub asked: NewRefund,
    /// When the money goes back.
    pub settle_at: Time,
    /// When the money went back, once it did.
    pub settled_at: Option<Time>,
}

/// A call back that is still owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Its id.
    pub callback_id: String,
    /// Where to.
    pub url: String,
    /// The JSON text.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// The JSON of a callback.
#[derive(Debug, Serialize)]
pub struct CallbackBody<'a> {
    /// The merchant's id of the trade.
    pub merchant_trade_id: &'a str,
    /// The merchant's id of the refund; only of a refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_refund_id: Option<&'a str>,
    /// The provider's own id of the charge.
    pub provider_charge_id: &'a str,
    /// `succeeded`, `declined` or `closed`.
    pub state: &'a str,
    /// How much, in fen.
    pub amount_fen: i64,
    /// When it was decided, in ms since 1970-01-01 UTC.
    pub at_ms: i64,
    /// `charge` or `refund`.
    pub kind: &'a str,
}

/// One line of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The merchant's id of the charge or refund.
    pub merchant_id: String,
    /// Whether it is a refund.
    pub is_refund: bool,
    /// How much; never negative.
    pub amount: Money,
    /// When.
    pub at: Time,
}

/// The provider's own id follows from the merchant's: no random number, and no second lookup.
pub fn provider_charge_id(merchant_trade_id: &str) -> String {
    let digest = Sha256::digest(merchant_trade_id.as_bytes());
    format!("ch_{}", hex::encode(&digest[..12]))
}
