use domain::{EntryId, Invalid, Time};
use rpc::{Failure, reason};
use tonic::Status;

use crate::store::StoreError;

/// How long a caller waits before it tries again when the database does not answer.
const STORE_RETRY_MS: u32 = 500;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field that is no value of its type.
    #[error("{field}: {invalid}")]
    Field {
        /// The field's path.
        field: String,
        /// What is wrong with it.
        invalid: Invalid,
    },
    /// A field whose value is not allowed here.
    #[error("{field}: {message}")]
    NotAllowed {
        /// The field's path.
        field: String,
        /// What is allowed.
        message: String,
    },
    /// The timetable has no such train on that date.
    #[error("no such train on that date")]
    NoTrain,
    /// It is too late to wait for this departure.
    #[error("the waitlist for this departure closed at {0}")]
    TooLate(Time),
    /// The account has as many open entries as it may have.
    #[error("an account may have {max} open waitlist entries")]
    TooManyEntries {
        /// How many.
        max: u32,
    },
    /// The entry's id stands for another request.
    #[error("entry {0} was lodged before with other content")]
    IdReused(EntryId),
    /// No such entry of this account.
    #[error("no such waitlist entry")]
    NotFound,
    /// Seats came already.
    #[error("seats came for this entry: cancel its order instead")]
    AlreadyServed,
    /// A shard's word, passed on.
    #[error("{0}")]
    Passed(Failure),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl Error {
    /// A field that is no value of its type.
    pub fn field(field: impl Into<String>, invalid: Invalid) -> Self {
        Self::Field { field: field.into(), invalid }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Field { field, invalid } => Self::invalid_field(field, &invalid),
            Error::NotAllowed { field, message } => Self::bad_field(field, message),
            Error::NoTrain => Self::not_found(reason::TRAIN_NOT_FOUND, message),
            Error::TooLate(closed) => Self::refused(reason::SALE_CLOSED, message).with("closed_at_ms", closed.millis()),
            Error::TooManyEntries { max } => Self::exhausted(reason::ENTRIES_MAX, message).with("max", max),
            Error::IdReused(id) => Self::request_id_reused(id),
            Error::NotFound => Self::not_found(reason::ENTRY_NOT_FOUND, message),
            Error::AlreadyServed => Self::refused(reason::ENTRY_STATE, message),
            Error::Passed(failure) => failure,
            Error::Store(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store failed");
                Self::unavailable(reason::UNAVAILABLE, "the waitlist's database does not answer", STORE_RETRY_MS)
            }
            Error::NoRandomness => Self::unavailable(reason::UNAVAILABLE, message, STORE_RETRY_MS),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
