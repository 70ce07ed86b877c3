use std::collections::BTreeMap;

use domain::{Run, SlotId};

use crate::rebuild::guarded;
use crate::{Aggregate, Damaged, LaterBatch, Rebuilt, Version};

/// Runs kept aside for slots that this owner may soon be meant to own. They answer nothing before the slot is claimed and
/// they have been brought up to date.
pub(crate) struct WarmSlots<A> {
    slots: BTreeMap<SlotId, WarmSlot<A>>,
    runs: usize,
}

/// The runs kept aside for one slot.
pub(crate) struct WarmSlot<A> {
    /// Every run shows all batches up to this version that concern it.
    pub version: Version,
    pub runs: BTreeMap<Run, WarmRun<A>>,
}

/// A run kept aside.
pub(crate) struct WarmRun<A> {
    pub aggregate: A,
    /// The version of the last batch in it.
    pub touched: Version,
    pub records_since_snapshot: u32,
}

impl<A: Aggregate> WarmSlots<A> {
    pub const fn new() -> Self {
        Self { slots: BTreeMap::new(), runs: 0 }
    }

    /// Keeps runs of a slot in place of earlier ones, as many as there is room for. One that cannot be rebuilt is left out:
    /// it is found damaged when the slot is owned.
    pub fn keep(&mut self, slot: SlotId, version: Version, runs: Vec<(Run, Rebuilt<A>)>, runs_max: usize) {
        self.forget(slot);
        let room = runs_max.saturating_sub(self.runs);
        let kept: BTreeMap<Run, WarmRun<A>> = runs.into_iter().take(room).filter_map(warm_run).collect();
        self.runs += kept.len();
        self.slots.insert(slot, WarmSlot { version, runs: kept });
    }

    pub fn take(&mut self, slot: SlotId) -> Option<WarmSlot<A>> {
        let taken = self.slots.remove(&slot)?;
        self.runs -= taken.runs.len();
        Some(taken)
    }

    pub fn clear(&mut self) {
        self.slots.clear();
        self.runs = 0;
    }

    fn forget(&mut self, slot: SlotId) {
        drop(self.take(slot));
    }
}

impl<A: Aggregate> WarmSlot<A> {
    /// The runs with later batches applied; none when the batches do not lead without a gap from here to `to`. A run that
    /// cannot take a batch in is left out.
    pub fn caught_up(mut self, batches: &[LaterBatch], to: Version) -> Option<Self> {
        for batch in batches {
            if batch.version != self.version.next() {
                return None;
            }
            self.version = batch.version;
            for run in &batch.runs {
                let Some(warm) = self.runs.get_mut(run) else { continue };
                if warm.replay(batch).is_err() {
                    self.runs.remove(run);
                }
            }
        }
        (self.version == to).then_some(self)
    }
}

impl<A: Aggregate> WarmRun<A> {
    fn replay(&mut self, batch: &LaterBatch) -> Result<(), crate::Broken> {
        // The run was read after the version was: it may show later batches already.
        if batch.version <= self.touched {
            return Ok(());
        }
        let damaged = |error: Damaged| crate::Broken { id: "I6", message: error.to_string() };
        let records = guarded(|| self.aggregate.replay(batch.version, &batch.payload).map_err(damaged))?;
        self.touched = batch.version;
        self.records_since_snapshot += records;
        Ok(())
    }
}

fn warm_run<A>((run, rebuilt): (Run, Rebuilt<A>)) -> Option<(Run, WarmRun<A>)> {
    let (aggregate, records_since_snapshot) = rebuilt.state.ok()?;
    Some((run, WarmRun { aggregate, touched: rebuilt.touched.unwrap_or_default(), records_since_snapshot }))
}
