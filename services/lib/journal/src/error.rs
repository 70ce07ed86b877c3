use std::sync::Arc;

use domain::SlotId;
use storage::{GroupError, OpenError};

/// Why a call on the journal gave no answer, or a journal cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage did not answer, or answered with an error. A write's outcome is unknown.
    #[error("the journal's storage failed")]
    Storage(#[source] Arc<sqlx::Error>),
    /// The storage takes no writes. Nothing was acknowledged; writes work again once the cause is gone.
    #[error("the journal's storage takes no writes: {reason}")]
    NotWritable {
        /// What stands in the way, such as `the disk is full`.
        reason: &'static str,
        /// What the database said.
        source: Arc<sqlx::Error>,
    },
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
    /// The batches after the given version are purged.
    #[error("slot {slot} is purged up to version {purged_up_to}: version {asked_after} is too old to read on from")]
    Purged {
        /// The slot.
        slot: SlotId,
        /// The last version that is gone.
        purged_up_to: u64,
        /// The version the reader had.
        asked_after: u64,
    },
    /// Only what lies behind a checkpoint may be purged.
    #[error("slot {slot} has no checkpoint at version {version}")]
    NoCheckpoint {
        /// The slot.
        slot: SlotId,
        /// The version asked for.
        version: u64,
    },
    /// What is stored contradicts itself.
    #[error("the journal is damaged: {0}")]
    Corrupt(String),
    /// The journal's configuration does not fit what is stored, or itself.
    #[error("wrong journal configuration: {0}")]
    Configuration(String),
    /// A cluster could not be opened.
    #[error("cannot open the journal's storage")]
    Open(#[source] Arc<OpenError>),
}

impl From<OpenError> for JournalError {
    fn from(error: OpenError) -> Self {
        Self::Open(Arc::new(error))
    }
}

impl From<sqlx::Error> for JournalError {
    fn from(error: sqlx::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<sqlx::Error>> for JournalError {
    fn from(source: Arc<sqlx::Error>) -> Self {
        if matches!(*source, sqlx::Error::PoolClosed) {
            return Self::Closed;
        }
        match not_writable(&source) {
            Some(reason) => Self::NotWritable { reason, source },
            None => Self::Storage(source),
        }
    }
}

impl From<GroupError<Self>> for JournalError {
    fn from(error: GroupError<Self>) -> Self {
        match error {
            GroupError::Refused(error) => error,
            GroupError::Aborted(error) | GroupError::Unknown(error) => error.into(),
            GroupError::Panicked => Self::Corrupt("a row that the journal could not handle".to_owned()),
            GroupError::Closed => Self::Closed,
        }
    }
}

fn not_writable(error: &sqlx::Error) -> Option<&'static str> {
    let code = error.as_database_error()?.code()?;
    // An SQLSTATE has five characters (Postgres, appendix A), an extended result code of SQLite at most four digits, of
    // which the low byte is the primary code: 13 is FULL, 8 is READONLY.
    match (&*code, code.parse::<u16>().map(|code| code & 0xff)) {
        ("53100", _) => Some("the disk is full"),
        ("25006", _) => Some("the database is read-only"),
        (sqlite, Ok(13)) if sqlite.len() < 5 => Some("the disk is full"),
        (sqlite, Ok(8)) if sqlite.len() < 5 => Some("the database is read-only"),
        _ => None,
    }
}
