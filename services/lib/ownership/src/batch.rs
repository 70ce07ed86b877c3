use domain::{Run, Time};
use smallvec::SmallVec;

use crate::{Aggregate, BatchId, FrozenRun, Outcome, Uptime, Version};

/// What one commit will add to a slot, with the answers that wait for it.
pub(crate) struct Batch<A: Aggregate, R> {
    /// Given when it is sent.
    pub id: BatchId,
    /// The version it has once committed. Given when it is sent.
    pub version: Version,
    pub sent_at: Uptime,
    pub payload: Vec<u8>,
    pub records: usize,
    /// Each once.
    pub runs: SmallVec<[Run; 4]>,
    pub replies: Vec<Gated<A, R>>,
    /// Snapshots of states that end with this batch: stored once it is durable.
    pub snapshots: Vec<FrozenRun<A>>,
}

impl<A: Aggregate, R> Batch<A, R> {
    pub fn new() -> Self {
        Self::with_room(0, 0)
    }

    /// An empty batch after this one, with as much room: in a rush one is like the next.
    pub fn next(&self) -> Self {
        Self::with_room(self.payload.len(), self.replies.len())
    }

    fn with_room(payload_bytes: usize, replies: usize) -> Self {
        let mut payload = Vec::with_capacity(payload_bytes.max(A::BATCH_HEADER.len()));
        payload.extend_from_slice(A::BATCH_HEADER);
        Self {
            id: BatchId::default(),
            version: Version::default(),
            sent_at: Uptime::default(),
            payload,
            records: 0,
            runs: SmallVec::new(),
            replies: Vec::with_capacity(replies),
            snapshots: Vec::new(),
        }
    }

    pub fn note_record(&mut self, run: Run) {
        self.records += 1;
        if !self.runs.contains(&run) {
            self.runs.push(run);
        }
    }
}

/// An answer that must not leave yet.
pub(crate) struct Gated<A: Aggregate, R> {
    pub to: R,
    pub outcome: Outcome<A>,
    /// What the decision rested on.
    pub time: Time,
    /// What must be durable first.
    pub version: Version,
    pub deadline: Uptime,
}
