//! The journal: 1,024 fenced streams of batches on SQLite or Postgres.
//!
//! A slot is one ordered stream with one writer. Its head is (version, tail batch id, epoch): an append advances the
//! head only where all three match what the writer believes, together with its batch or not at all. So a writer that was
//! frozen, cut off or replaced cannot add anything, whatever it thinks it owns, and membership never decides safety.
//!
//! # The hash chain
//! Every batch carries the chain hash of its stream up to and including itself. All integers are unsigned, big-endian:
//!
//! ```text
//! chain(0) = 32 zero bytes
//! chain(n) = SHA-256( chain(n-1)        32 bytes
//!                  || slot               2 bytes
//!                  || version = n        8 bytes
//!                  || batch id          16 bytes
//!                  || epoch              8 bytes
//!                  || payload       the rest )
//! ```
//!
//! The first batch of a stream has version 1 and the zero batch id as its previous id. The database's time of a batch
//! stands in its row and outside the chain: the writer computes the hash before the database says its time. What the
//! writer decided by, `decided_at_ms` of each record, is inside the payload and so inside the chain.
//!
//! # Time
//! Every time this crate returns is the database's, and never goes back within one process: a step back of the
//! database's clock is logged and the last time repeated until the clock has caught up.

mod cluster;
mod error;
mod index;
mod partitioned;
mod postgres;
mod rows;
mod run_steps;
mod sqlite;
mod steps;
mod time;
mod types;

pub use cluster::{ClusterConfig, PARTITIONS, create, open, partition};
pub use error::JournalError;
pub use types::{
    APPEND_SLOTS_MAX, AppendOutcome, BatchId, ChainHash, Checkpoint, Claimed, FeedBatch, FreeClaim, Head, Heartbeat,
    PAYLOAD_BYTES_MAX, RunBatch, RunHistory, SlotAppend, SlotEpoch, Snapshot, SnapshotName,
};

use async_trait::async_trait;
use domain::{Run, SlotId, Time};

/// The journal as its users see it. All implementations answer the same to the same calls.
///
/// Calls on different slots never wait for each other's outcome. Reads see everything committed before they began.
#[async_trait]
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Appends one batch to each of several slots, each slot independently, in one statement per storage cluster.
    /// Answers are in the order of `appends`.
    ///
    /// Dropping the future leaves the outcome unknown.
    ///
    /// # Panics
    /// If a slot is named twice, or more than [`APPEND_SLOTS_MAX`] slots or a payload of more than
    /// [`PAYLOAD_BYTES_MAX`] are given: bugs of the caller.
    async fn append(&self, appends: Vec<SlotAppend>) -> Vec<AppendOutcome>;

    /// Takes ownership of slots: raises each one's epoch, so that every append of an earlier owner is refused from here
    /// on, and notes the owner and a random nonce that tells this claim from others of the same owner.
    /// Answers are in the order of `slots`.
    ///
    /// # Errors
    /// The outcome is then unknown: repeat the claim, which raises the epoch further and so settles it.
    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError>;

    /// As [`Journal::claim`], for slots that nobody owns and for those that this owner has already. A slot that another owner
    /// has is left as it is, and waits for nobody's append. Answers are in the order of `slots`.
    ///
    /// # Errors
    /// As for [`Journal::claim`].
    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError>;

    /// Gives slots up: forgets their owner where the epoch is still the given one. Epochs stay, so the next claim fences
    /// whatever is still under way.
    ///
    /// # Errors
    /// The slots may or may not be given up; nothing depends on it.
    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError>;

    /// Proves ownership: the database's time, and which of these slots still have these epochs.
    ///
    /// # Errors
    /// Nothing is proved.
    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError>;

    /// The head of each slot, in the order of `slots`, in one read per storage cluster.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError>;

    /// The last committed version of each slot, in the order of `slots`: one cheap read that tells a feed's reader which
    /// of its slots have anything new.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError>;

    /// Up to `batches_max` batches of a slot after a version, in order, without a gap.
    ///
    /// # Errors
    /// [`JournalError::Purged`] when batches after `after_version` are purged: start from a snapshot.
    async fn read_feed(
        &self,
        slot: SlotId,
        after_version: u64,
        batches_max: u32,
    ) -> Result<Vec<FeedBatch>, JournalError>;

    /// What is needed to rebuild a run: its newest intact snapshot and every later batch that concerns it, in order.
    /// The batches may hold records of other runs of the slot too.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when a snapshot that stands for purged batches is damaged.
    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError>;

    /// Stores a snapshot of a run. A snapshot of the same run and version is replaced.
    ///
    /// # Errors
    /// When the storage does not answer; a snapshot may be lost without harm.
    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError>;

    /// Sets a checkpoint at the highest version of a slot up to which every run that has batches has a snapshot that
    /// includes them. `None` when that is no later than the last checkpoint.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError>;

    /// The newest checkpoint of a slot.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError>;

    /// Deletes the batches of a slot up to and including a version that has a checkpoint, with their index entries and
    /// the snapshots that newer ones before the checkpoint replace. Returns how many batches were deleted.
    ///
    /// # Errors
    /// [`JournalError::NoCheckpoint`] when there is none at that version.
    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError>;

    /// The runs a slot has anything of, purged or not, in order of their names.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError>;

    /// The runs of a slot with batches that no snapshot includes: what keeps its next checkpoint back.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError>;

    /// What may be purged: each slot with a checkpoint whose last batch was committed before a moment, and the version of
    /// the newest such checkpoint.
    ///
    /// # Errors
    /// When the storage does not answer.
    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError>;

    /// Waits for what is under way and closes every connection. Later calls fail.
    async fn close(&self);
}
