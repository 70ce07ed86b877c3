use std::sync::Arc;

use domain::SlotId;
use storage::OpenError;

/// Why a call on the journal gave no answer, or a journal cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage did not answer, or answered with an error. A write's outcome is unknown.
    #[error("the journal's storage failed")]
    Storage(#[source] Arc<sqlx::Error>),
    /// The storage takes no writes: the disk is full or the file is read-only. Nothing was written.
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
