use domain::Invalid;
use rpc::{Failure, reason};

use crate::store::StoreError;

/// Why the provider did not do what it was asked.
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
    /// No charge has this id.
    #[error("no charge of trade {0}")]
    ChargeNotFound(String),
    /// The work is done, and nobody is told so.
    #[error("the reply was lost")]
    ReplyLost,
    /// A callback could not be written as JSON.
    #[error("a callback could not be encoded")]
    Encode(#[source] serde_json::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// When a merchant may try again after a failure that may pass, in ms.
const RETRY_AFTER_MS: u32 = 500;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { field, source } => Self::invalid_field(field, &source),
            Error::ChargeNotFound(_) => Self::not_found(reason::TRADE_NOT_FOUND, error.to_string()),
            Error::Store(StoreError::Differs { ref id, .. }) => Self::request_id_reused(id),
            Error::Store(StoreError::NotCharged(_) | StoreError::ExceedsCharge(_)) => {
                Self::refused(reason::PAYMENT_STATE, error.to_string())
            }
            Error::ReplyLost | Error::Encode(_) | Error::Store(StoreError::Database(_)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a call was not answered");
                Self::unavailable(reason::UNAVAILABLE, "the provider does not answer", RETRY_AFTER_MS)
            }
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
