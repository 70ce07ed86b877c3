use domain::Invalid;
use rpc::{Failure, reason};

use crate::callback::CallbackRefusal;
use crate::provider::StatementError;
use crate::store::StoreError;

/// Why payment did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is wrong.
    #[error("{field}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What is allowed.
        source: Invalid,
    },
    /// A callback is not believed.
    #[error(transparent)]
    Callback(#[from] CallbackRefusal),
    /// The provider's statement could not be had.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A test wants it to fail here.
    #[error(transparent)]
    Injected(#[from] failpoints::Injected),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// When a caller may try again after a failure that may pass, in ms.
const RETRY_AFTER_MS: u32 = 200;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field, source } => Self::invalid_field(field, &source),
            Error::Callback(refusal) => Self::refused(refusal.reason(), refusal.to_string()),
            Error::Store(StoreError::Differs(ref id)) => Self::request_id_reused(id),
            Error::Store(StoreError::TradeNotFound(_)) => Self::not_found(reason::TRADE_NOT_FOUND, error.to_string()),
            Error::Store(StoreError::RefundNotFound(_)) => Self::not_found(reason::REFUND_NOT_FOUND, error.to_string()),
            Error::Store(StoreError::TradeStands { ref trade_id, .. }) => {
                Self::refused(reason::PAYMENT_STATE, error.to_string()).with("trade_id", trade_id)
            }
            Error::Store(StoreError::Refused(_)) => Self::refused(reason::PAYMENT_STATE, error.to_string()),
            Error::Store(StoreError::RefundRefused(refusal)) => {
                use crate::state::RefundRefusal::{ExceedsCapture, NotCaptured};
                let reason = match refusal {
                    NotCaptured => reason::PAYMENT_STATE,
                    ExceedsCapture => reason::REFUND_EXCEEDS_CAPTURE,
                };
                Self::refused(reason, refusal.to_string())
            }
            Error::Statement(_) | Error::Injected(_) | Error::Store(StoreError::Database(_)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a call could not be done");
                Self::unavailable(reason::UNAVAILABLE, "payment cannot answer now", RETRY_AFTER_MS)
            }
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
