//! A journal that notes how long commits take and what is in them.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::{Run, SlotId, Time};
use hdrhistogram::Histogram;
use journal::{
    AppendOutcome, Checkpoint, Claimed, FeedBatch, FreeClaim, Head, Heartbeat, Journal, JournalError, RunHistory,
    SlotAppend, SlotEpoch, Snapshot,
};
use parking_lot::Mutex;

use crate::load::new_histogram;

/// What was seen of the commits since the last look.
#[derive(Debug)]
pub(crate) struct Commits {
    pub micros: Histogram<u64>,
    pub slots: u64,
}

impl Commits {
    pub fn none() -> Self {
        Self { micros: new_histogram(), slots: 0 }
    }
}

#[derive(Debug)]
pub(crate) struct ObservedJournal {
    inner: Arc<dyn Journal>,
    commits: Mutex<Commits>,
}

impl ObservedJournal {
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        Self { inner, commits: Mutex::new(Commits::none()) }
    }

    /// What was committed since the last call.
    pub fn take(&self) -> Commits {
        std::mem::replace(&mut *self.commits.lock(), Commits::none())
    }

    /// The sum of all slots' versions: it stands still while nothing is written.
    pub async fn versions(&self) -> Result<u64, JournalError> {
        let slots: Vec<SlotId> = SlotId::all().collect();
        Ok(self.inner.feed_positions(&slots).await?.into_iter().sum())
    }
}

#[async_trait]
impl Journal for ObservedJournal {
    async fn append(&self, appends: Vec<SlotAppend>) -> Vec<AppendOutcome> {
        let slots = appends.len();
        let begun = Instant::now();
        let outcomes = self.inner.append(appends).await;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut commits = self.commits.lock();
        commits.micros.saturating_record(micros);
        commits.slots += slots as u64;
        outcomes
    }

    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError> {
        self.inner.claim(slots, owner, nonce).await
    }

    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError> {
        self.inner.claim_free(slots, owner, nonce).await
    }

    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError> {
        self.inner.give_up(slots).await
    }

    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError> {
        self.inner.heartbeat(slots).await
    }

    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError> {
        self.inner.heads(slots).await
    }

    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError> {
        self.inner.feed_positions(slots).await
    }

    async fn read_feed(&self, slot: SlotId, after: u64, batches_max: u32) -> Result<Vec<FeedBatch>, JournalError> {
        self.inner.read_feed(slot, after, batches_max).await
    }

    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError> {
        self.inner.load_run(run).await
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.inner.put_snapshot(snapshot).await
    }

    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.inner.checkpoint(slot).await
    }

    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.inner.latest_checkpoint(slot).await
    }

    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError> {
        self.inner.purge(slot, up_to_version).await
    }

    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.inner.runs_of(slot).await
    }

    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.inner.runs_without_snapshot(slot).await
    }

    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError> {
        self.inner.purgeable(committed_before).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
