use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Run, SlotId, Time};
use sha2::{Digest, Sha256};

use crate::JournalError;

/// The most slots of one append: all there are.
pub const APPEND_SLOTS_MAX: usize = domain::SLOTS as usize;

/// The largest payload of one batch in bytes. A batch of 1,024 holds is some 200 kB.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Names one batch for ever: random, made by the writer, never used twice. All zero before the first batch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub [u8; 16]);

impl BatchId {
    /// The previous id of a stream's first batch.
    pub const NONE: Self = Self([0; 16]);

    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A stream's hash chain up to some batch: see the crate's documentation for what is hashed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The chain of an empty stream.
    pub const EMPTY: Self = Self([0; 32]);

    /// The chain with one more batch.
    pub fn extended(self, slot: SlotId, version: u64, batch_id: BatchId, epoch: u64, payload: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(slot.number().to_be_bytes());
        hash.update(version.to_be_bytes());
        hash.update(batch_id.0);
        hash.update(epoch.to_be_bytes());
        hash.update(payload);
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The end of a slot's stream. A writer keeps the head it believes in and appends against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Version of the last batch; 0 for an empty stream. Versions have no gaps.
    pub version: u64,
    /// Id of the last batch.
    pub tail: BatchId,
    /// Raised by every claim; 0 for a slot that nobody ever claimed.
    pub epoch: u64,
    /// Chain hash up to the last batch.
    pub chain: ChainHash,
}

impl Head {
    /// The head after a batch appended to this one.
    pub fn advanced(&self, slot: SlotId, batch_id: BatchId, payload: &[u8]) -> Self {
        let version = self.version + 1;
        let chain = self.chain.extended(slot, version, batch_id, self.epoch, payload);
        Self { version, tail: batch_id, epoch: self.epoch, chain }
    }
}

/// One batch to append to one slot.
#[derive(Clone, Debug)]
pub struct SlotAppend {
    /// The slot.
    pub slot: SlotId,
    /// The head the writer believes in; the append happens only where version, tail and epoch all match.
    pub expected: Head,
    /// The new batch's id.
    pub batch_id: BatchId,
    /// The encoded batch.
    pub payload: Bytes,
    /// The runs the batch concerns: how [`crate::Journal::load_run`] finds it.
    pub runs: Vec<Run>,
}

/// What became of one slot's append.
#[derive(Clone, Debug)]
pub enum AppendOutcome {
    /// Durable. [`Head::advanced`] gives the writer's new head; its version and chain are repeated here.
    Committed {
        /// The batch's version.
        version: u64,
        /// The database's time of the commit.
        time: Time,
        /// The chain hash up to the batch.
        chain: ChainHash,
    },
    /// Certainly not appended, nor will be: the slot's head is another one. Either another owner claimed the slot (a
    /// higher epoch), or an earlier append of unknown outcome did happen.
    Fenced {
        /// The slot's head as it is.
        head: Head,
    },
    /// The batch may or may not be durable, now or shortly. Claim the slot again before answering anything.
    Unknown {
        /// What was seen.
        error: Arc<JournalError>,
    },
}

/// A slot and the epoch under which someone owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotEpoch {
    /// The slot.
    pub slot: SlotId,
    /// The epoch of the claim.
    pub epoch: u64,
}

/// A slot after a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The slot.
    pub slot: SlotId,
    /// Its head, with the epoch that is now the claimant's.
    pub head: Head,
    /// Who owned it before, where someone did and had not given it up.
    pub previous_owner: Option<String>,
    /// The database's time of the claim.
    pub time: Time,
}

/// What came of claiming a slot only if nobody else has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreeClaim {
    /// It is the claimant's.
    Claimed(Claimed),
    /// Another owner has it.
    Held {
        /// Which.
        owner: String,
    },
}

/// A proof of ownership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The database's time; of the cluster that is furthest behind when there are several.
    pub time: Time,
    /// The slots whose epoch is no longer the given one: someone else claimed them.
    pub lost: Vec<SlotId>,
}

/// One committed batch, as a feed or a loading run reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedBatch {
    /// The slot.
    pub slot: SlotId,
    /// Its version in the slot.
    pub version: u64,
    /// Its id.
    pub batch_id: BatchId,
    /// The id of the batch before it.
    pub previous_id: BatchId,
    /// The epoch it was written under.
    pub epoch: u64,
    /// The database's time of the commit. Never less than an earlier batch's of the slot.
    pub time: Time,
    /// The chain hash up to and including it.
    pub chain: ChainHash,
    /// The encoded batch.
    pub payload: Bytes,
}

/// The state of a run at a version of its slot. Always discardable, except where it stands for purged batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The run.
    pub run: Run,
    /// The slot's version that the state includes.
    pub version: u64,
    /// Version of the payload's format; the reader ignores formats it does not know.
    pub format_version: u32,
    /// Hash of the state (I6), at most 64 bytes.
    pub state_hash: Bytes,
    /// The encoded state.
    pub payload: Bytes,
}

/// Everything needed to rebuild a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHistory {
    /// The newest intact snapshot.
    pub snapshot: Option<Snapshot>,
    /// The batches after it that concern the run, in order.
    pub batches: Vec<RunBatch>,
}

/// A batch as a run is rebuilt from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunBatch {
    /// Its version in the slot.
    pub version: u64,
    /// The encoded batch.
    pub payload: Bytes,
}

/// A point of a slot from which states and the chain can be recomputed without anything earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The slot.
    pub slot: SlotId,
    /// The version.
    pub version: u64,
    /// The chain hash up to that version.
    pub chain: ChainHash,
    /// The snapshot that stands for each run that has batches up to that version, in order of the run's name.
    pub snapshots: Vec<SnapshotName>,
}

/// Names a snapshot of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotName {
    /// The run.
    pub run: Run,
    /// The snapshot's version.
    pub version: u64,
    /// The snapshot's state hash.
    pub state_hash: Bytes,
}

/// Checks a call's appends, brings their runs in order, and gives each one's new head: hashing happens before the
/// storage is asked, outside every lock.
///
/// # Panics
/// On what [`crate::Journal::append`] says.
pub(crate) fn check_appends(appends: &mut [SlotAppend]) -> Vec<Head> {
    let mut seen = [false; APPEND_SLOTS_MAX];
    appends
        .iter_mut()
        .map(|append| {
            let slot = append.slot;
            let twice = std::mem::replace(&mut seen[usize::from(slot.number())], true);
            assert!(!twice, "slot {slot} is appended to twice in one call");
            assert!(
                append.payload.len() <= PAYLOAD_BYTES_MAX,
                "slot {slot}: a batch of {} bytes",
                append.payload.len()
            );
            append.runs.sort_unstable();
            append.runs.dedup();
            append.expected.advanced(slot, append.batch_id, &append.payload)
        })
        .collect()
}
