//! The journal as a model: one head per slot, batches by version, snapshots. It does at once what a real one does in a
//! statement; delays and losses are the world's part.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{Run, SlotId, Time};
use ownership::{AppendOutcome, BatchId, Claimed, Epoch, Head, LaterBatch, SlotAppend, SnapshotOfRun, Stored, Version};

/// What an append must match before it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Version, tail and epoch: as specified.
    Full,
    /// The version alone.
    VersionOnly,
    /// Nothing but that the version is not taken.
    PrimaryKeyOnly,
}

/// How the model keeps the rules of a journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalRules {
    /// What an append must match.
    pub fence: Fence,
    /// Whether a claim raises the epoch.
    pub claim_raises_epoch: bool,
    /// Whether what was committed survives a crash of the storage.
    pub durable: bool,
    /// Whether a heartbeat looks at the epoch.
    pub heartbeat_compares_epoch: bool,
}

impl JournalRules {
    /// As specified.
    pub const SOUND: Self =
        Self { fence: Fence::Full, claim_raises_epoch: true, durable: true, heartbeat_compares_epoch: true };
}

/// One committed batch.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Its id.
    pub id: BatchId,
    /// The tail its writer believed in.
    pub previous: BatchId,
    /// The epoch of its writer.
    pub epoch: Epoch,
    /// The database's time.
    pub time: Time,
    /// When it was applied, in µs of the world.
    pub applied_at: u64,
    /// Its records.
    pub payload: Bytes,
    /// The runs it concerns.
    pub runs: Vec<Run>,
}

/// One claim of a slot.
#[derive(Clone, Copy, Debug)]
pub struct StoredClaim {
    /// The epoch it gave.
    pub epoch: Epoch,
    /// Which incarnation of an owner claimed.
    pub owner: u64,
    /// When, in µs of the world.
    pub applied_at: u64,
}

/// The stream of one slot.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Where it ends.
    pub head: Head,
    /// How often it was claimed.
    pub epoch: Epoch,
    /// Its batches.
    pub batches: BTreeMap<Version, StoredBatch>,
    /// Its claims, in order.
    pub claims: Vec<StoredClaim>,
    /// The node that claimed it last and has not given it up.
    pub owner: Option<usize>,
}

/// The model.
#[derive(Clone, Debug)]
pub struct JournalModel {
    rules: JournalRules,
    /// Streams by slot.
    pub streams: BTreeMap<SlotId, Stream>,
    /// Snapshots by run and version.
    pub snapshots: BTreeMap<(Run, Version), SnapshotOfRun>,
}

impl JournalModel {
    /// An empty journal.
    pub const fn new(rules: JournalRules) -> Self {
        Self { rules, streams: BTreeMap::new(), snapshots: BTreeMap::new() }
    }

    /// Appends one slot's batch, or does not.
    pub fn append(&mut self, append: &SlotAppend, time: Time, applied_at: u64) -> AppendOutcome {
        let stream = self.streams.entry(append.slot).or_default();
        let version = append.head.version.next();
        let matches = match self.rules.fence {
            Fence::Full => stream.head == append.head && stream.epoch == append.epoch,
            Fence::VersionOnly => stream.head.version == append.head.version,
            Fence::PrimaryKeyOnly => !stream.batches.contains_key(&version),
        };
        if !matches {
            return AppendOutcome::Fenced;
        }
        let batch = StoredBatch {
            id: append.batch,
            previous: append.head.tail,
            epoch: append.epoch,
            time,
            applied_at,
            payload: append.payload.clone(),
            runs: append.runs.to_vec(),
        };
        stream.batches.insert(version, batch);
        if version > stream.head.version {
            stream.head = Head { version, tail: append.batch };
        }
        AppendOutcome::Committed { time }
    }

    /// Whether another node than this has a slot and has not given it up.
    pub fn is_held_from(&self, slot: SlotId, node: usize) -> Option<usize> {
        self.streams.get(&slot)?.owner.filter(|owner| *owner != node)
    }

    /// Gives a slot up where the epoch is still this one.
    pub fn give_up(&mut self, slot: SlotId, epoch: Epoch) {
        if let Some(stream) = self.streams.get_mut(&slot).filter(|stream| stream.epoch == epoch) {
            stream.owner = None;
        }
    }

    /// The batches of a slot after a version, so many at most.
    pub fn later(&self, slot: SlotId, after: Version, batches_max: usize) -> Vec<LaterBatch> {
        let Some(stream) = self.streams.get(&slot) else { return Vec::new() };
        let later = stream.batches.range(after.next()..).take(batches_max);
        let batch = |(version, batch): (&Version, &StoredBatch)| LaterBatch {
            version: *version,
            runs: batch.runs.clone(),
            payload: batch.payload.clone(),
        };
        later.map(batch).collect()
    }

    /// Claims a slot for an incarnation of a node's owner.
    pub fn claim(&mut self, slot: SlotId, node: usize, owner: u64, time: Time, applied_at: u64) -> Claimed {
        let raises = self.rules.claim_raises_epoch;
        let stream = self.streams.entry(slot).or_default();
        if raises || stream.epoch == Epoch(0) {
            stream.epoch = Epoch(stream.epoch.0 + 1);
        }
        stream.owner = Some(node);
        stream.claims.push(StoredClaim { epoch: stream.epoch, owner, applied_at });
        Claimed { epoch: stream.epoch, head: stream.head, time }
    }

    /// The slots that have another epoch by now.
    pub fn lost(&self, slots: &[(SlotId, Epoch)]) -> Vec<SlotId> {
        if !self.rules.heartbeat_compares_epoch {
            return Vec::new();
        }
        let is_lost = |(slot, epoch): &&(SlotId, Epoch)| self.streams.get(slot).is_none_or(|s| s.epoch != *epoch);
        slots.iter().filter(is_lost).map(|(slot, _)| *slot).collect()
    }

    /// The newest snapshot of a run, and the batches after it that concern it.
    pub fn load(&self, run: &Run, with_snapshot: bool) -> Stored {
        let newest = self.snapshots.range((*run, Version(0))..=(*run, Version(u64::MAX))).next_back();
        let snapshot = newest.filter(|_| with_snapshot).map(|((_, version), s)| (*version, s.payload.clone()));
        let after = snapshot.as_ref().map_or(Version(0), |(version, _)| *version);
        let batches = self.streams.get(&run.slot()).map_or_else(Vec::new, |stream| {
            let later = stream.batches.range(after.next()..).filter(|(_, batch)| batch.runs.contains(run));
            later.map(|(version, batch)| (*version, batch.payload.clone())).collect()
        });
        Stored { snapshot, batches }
    }

    /// The runs a slot has batches of.
    pub fn runs_of(&self, slot: SlotId) -> Vec<Run> {
        let mut runs: Vec<Run> =
            self.streams.get(&slot).into_iter().flat_map(|s| s.batches.values()).flat_map(|b| b.runs.clone()).collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// The storage crashes and comes back: a journal that was not durable has lost the last batch of a slot.
    pub fn crash(&mut self, slot: SlotId) {
        if self.rules.durable {
            return;
        }
        let Some(stream) = self.streams.get_mut(&slot) else { return };
        if let Some((_, lost)) = stream.batches.pop_last() {
            let version = stream.batches.last_key_value().map_or(Version(0), |(version, _)| *version);
            stream.head = Head { version, tail: lost.previous };
        }
    }
}
