//! Loading, before a slot is owned, the runs that will be asked for first.

use std::collections::BTreeSet;

use domain::{Run, SlotId};
use futures::StreamExt as _;
use journal::{Journal, JournalError};
use ownership::{Rebuilt, Version};
use train_date::OwnedTrainDate;

use crate::lane::Message;
use crate::{EngineHandle, history};

/// A slot's last batches show which of its runs are being sold now.
const RECENT_BATCHES: u32 = 64;
/// Runs kept of one slot.
const SLOT_RUNS_MAX: usize = 32;
/// Questions to the journal at once: those who sell now need it more.
const READS_IN_FLIGHT_MAX: usize = 8;

/// What a warm-up has loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Slots that were looked at.
    pub slots: usize,
    /// Runs that are in memory now.
    pub runs: usize,
}

/// What of a slot is worth loading.
struct Recent {
    slot: SlotId,
    /// The slot's version before anything of it was read.
    version: u64,
    /// The run that changed last comes first.
    runs: Vec<Run>,
}

impl EngineHandle {
    /// Loads the runs of these slots that changed last and keeps them aside, without claiming anything. When one of the
    /// slots is claimed later, they are brought up to date with one read.
    ///
    /// # Errors
    /// The journal does not answer; nothing depends on it.
    pub async fn warm(&self, slots: &BTreeSet<SlotId>) -> Result<Warmed, JournalError> {
        let slots: Vec<SlotId> = slots.iter().copied().collect();
        let journal = &*self.journal;
        let versions = self.asked(journal.feed_positions(&slots)).await?;
        let written = slots.iter().copied().zip(versions).filter(|(_, version)| *version > 0);
        let mut recent = futures::stream::iter(written)
            .map(|(slot, version)| self.asked(recent_runs(journal, slot, version)))
            .buffer_unordered(READS_IN_FLIGHT_MAX);
        let mut worth_loading = Vec::new();
        while let Some(found) = recent.next().await {
            worth_loading.push(found?);
        }
        bound(&mut worth_loading, self.warm_runs_max);
        let mut warmed = Warmed { slots: slots.len(), runs: 0 };
        for Recent { slot, version, runs } in worth_loading {
            let runs = self.load_all(runs).await?;
            warmed.runs += runs.len();
            let lane = &self.lanes[self.lane_of(slot)];
            // A lane that is gone owns nothing.
            let _ = lane.inbox.send(Message::Warm { slot, version: Version(version), runs }).await;
        }
        Ok(warmed)
    }

    /// Drops what was loaded for slots that have not been claimed.
    pub async fn cool(&self) {
        for lane in self.lanes.iter() {
            // A lane that is gone keeps nothing.
            let _ = lane.inbox.send(Message::Cool).await;
        }
    }

    async fn load_all(&self, runs: Vec<Run>) -> Result<Vec<(Run, Rebuilt<OwnedTrainDate>)>, JournalError> {
        let mut loads = futures::stream::iter(runs)
            .map(|run| async move { (run, self.asked(history::load(&*self.journal, &run, true)).await) })
            .buffer_unordered(READS_IN_FLIGHT_MAX);
        let mut loaded = Vec::new();
        while let Some((run, stored)) = loads.next().await {
            loaded.push((run, history::put_together(run, stored?).await?));
        }
        Ok(loaded)
    }

    async fn asked<T>(&self, question: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        let answer: Result<_, _> = tokio::time::timeout(self.journal_timeout, question).await;
        answer.unwrap_or(Err(JournalError::Closed))
    }
}

async fn recent_runs(journal: &dyn Journal, slot: SlotId, version: u64) -> Result<Recent, JournalError> {
    let after = version.saturating_sub(RECENT_BATCHES.into());
    let mut batches = match journal.read_feed(slot, after, RECENT_BATCHES).await {
        Err(JournalError::Purged { purged_up_to, .. }) => journal.read_feed(slot, purged_up_to, RECENT_BATCHES).await?,
        answer => answer?,
    };
    batches.reverse();
    let mut runs = Vec::new();
    for batch in batches {
        for run in history::runs_in(&batch.payload)? {
            if runs.len() < SLOT_RUNS_MAX && !runs.contains(&run) {
                runs.push(run);
            }
        }
    }
    Ok(Recent { slot, version, runs })
}

/// Leaves `runs_max` runs, taken from all slots in turn.
fn bound(slots: &mut [Recent], runs_max: usize) {
    let mut kept = 0;
    for rank in 0..SLOT_RUNS_MAX {
        for slot in slots.iter_mut().filter(|slot| slot.runs.len() > rank) {
            if kept < runs_max {
                kept += 1;
            } else {
                slot.runs.truncate(rank);
            }
        }
    }
}
