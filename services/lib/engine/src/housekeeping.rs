//! Keeps the journal short: checkpoints the slots that have grown, and purges what lies far enough behind one.
//!
//! It works from what is durable alone, beside the lanes: a run's snapshot is made by reading the run from the journal as a
//! new owner would. So whatever an owner believes in memory never gets into a checkpoint, nothing here waits for a lane or
//! delays one, and a slot that moves meanwhile is no worse for it: two engines may keep house in one slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Run, SlotId};
use journal::{Journal, JournalError, SlotEpoch};
use ownership::{Aggregate as _, FrozenRun};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::history;
use crate::metrics::EngineMetrics;

/// When checkpoints are written, and how long batches behind them are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HousekeepingOptions {
    /// Between two looks at the slots.
    pub interval: Duration,
    /// Batches of a slot after its last checkpoint that make a new one.
    pub checkpoint_batches: u64,
    /// How long after its commit a batch stays readable, even behind a checkpoint. Nobody tells the journal how far the
    /// readers of its feeds are: a reader that was away for longer than this has missed something. Audits follow a run
    /// from its first event only when all of it is younger.
    pub retention: Duration,
}

impl Default for HousekeepingOptions {
    /// Sixty days: a presale of fifteen, the journey, what is refunded after it, and a month for whoever reads late.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            checkpoint_batches: 10_000,
            retention: Duration::from_secs(60 * 24 * 3_600),
        }
    }
}

/// The housekeeper of one engine.
pub(crate) struct Housekeeper {
    journal: Arc<dyn Journal>,
    options: HousekeepingOptions,
    /// The slots the engine is meant to own.
    assigned: watch::Receiver<BTreeSet<SlotId>>,
    /// The last checkpoint of each slot, as far as it was asked for.
    checkpoints: BTreeMap<SlotId, u64>,
    metrics: Arc<EngineMetrics>,
}

impl Housekeeper {
    pub fn new(
        journal: Arc<dyn Journal>,
        options: HousekeepingOptions,
        assigned: watch::Receiver<BTreeSet<SlotId>>,
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        Self { journal, options, assigned, checkpoints: BTreeMap::new(), metrics }
    }

    /// Keeps house until its task is ended. It may be ended anywhere: each step is whole by itself and safe to repeat.
    pub async fn run(mut self) {
        loop {
            sleep(self.options.interval).await;
            let slots: Vec<SlotId> = self.assigned.borrow().iter().copied().collect();
            self.checkpoints.retain(|slot, _| slots.binary_search(slot).is_ok());
            if let Err(error) = self.look_after(&slots).await {
                EngineMetrics::add(&self.metrics.housekeeping_failed, 1);
                tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping of the journal was put off");
            }
        }
    }

    async fn look_after(&mut self, slots: &[SlotId]) -> Result<(), JournalError> {
        let Some(first) = slots.first() else { return Ok(()) };
        let positions = self.journal.feed_positions(slots).await?;
        let mut behind = 0;
        for (slot, position) in slots.iter().zip(positions) {
            let last = self.last_checkpoint(*slot, position).await?;
            if position.saturating_sub(last) >= self.options.checkpoint_batches {
                self.checkpoint(*slot).await?;
            }
            let last = self.checkpoints.get(slot).copied().unwrap_or_default();
            behind = behind.max(position.saturating_sub(last));
        }
        self.metrics.checkpoint_behind.store(behind, std::sync::atomic::Ordering::Relaxed);
        // Any slot of the journal tells its database's time.
        let now = self.journal.heartbeat(&[SlotEpoch { slot: *first, epoch: 0 }]).await?.time;
        let retention_ms = i64::try_from(self.options.retention.as_millis()).unwrap_or(i64::MAX);
        for (slot, version) in self.journal.purgeable(now.plus_millis(-retention_ms)).await? {
            if slots.binary_search(&slot).is_ok() {
                let purged = self.journal.purge(slot, version).await?;
                EngineMetrics::add(&self.metrics.batches_purged, purged);
                tracing::info!(%slot, version, purged, "batches behind a checkpoint purged");
            }
        }
        Ok(())
    }

    /// The slot's last checkpoint. Not asked for before a checkpoint could be due.
    async fn last_checkpoint(&mut self, slot: SlotId, position: u64) -> Result<u64, JournalError> {
        if let Some(version) = self.checkpoints.get(&slot) {
            return Ok(*version);
        }
        if position < self.options.checkpoint_batches {
            return Ok(0);
        }
        let version = self.journal.latest_checkpoint(slot).await?.map_or(0, |checkpoint| checkpoint.version);
        self.checkpoints.insert(slot, version);
        Ok(version)
    }

    /// Writes the snapshots that are wanting, then the checkpoint. What is sold meanwhile stands after it.
    async fn checkpoint(&mut self, slot: SlotId) -> Result<(), JournalError> {
        for run in self.journal.runs_without_snapshot(slot).await? {
            self.snapshot(run).await?;
        }
        let Some(checkpoint) = self.journal.checkpoint(slot).await? else {
            // A run that cannot be rebuilt keeps its slot's checkpoint back, and so everything the repair needs.
            tracing::warn!(%slot, "no new checkpoint: a run's batches are in no snapshot");
            return Ok(());
        };
        EngineMetrics::add(&self.metrics.checkpoints, 1);
        tracing::debug!(%slot, version = checkpoint.version, runs = checkpoint.snapshots.len(), "checkpoint");
        self.checkpoints.insert(slot, checkpoint.version);
        Ok(())
    }

    async fn snapshot(&self, run: Run) -> Result<(), JournalError> {
        let stored = history::load(&*self.journal, &run, true).await?;
        let Some((version, _)) = stored.batches.last() else { return Ok(()) };
        let version = *version;
        match history::put_together(run, stored).await?.state {
            Ok((train_date, _)) => {
                let frozen = FrozenRun { run, version, state: train_date.freeze() };
                self.journal.put_snapshot(&history::write_out(frozen).await?).await?;
                EngineMetrics::add(&self.metrics.checkpoint_snapshots, 1);
            }
            Err(broken) => tracing::error!(%run, invariant = broken.id, "a train-date cannot be rebuilt: {broken}"),
        }
        Ok(())
    }
}
