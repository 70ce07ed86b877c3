//! Which slots are this shard's: the ring's word, nothing more. That nothing is sold twice is the journal's fence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Run, SlotId};
use engine::{EngineError, Failure};
use ring::{Ring, ShardId};
use rpc::CallContext;
use tokio::sync::watch;

use crate::error::Error;

/// How long a caller with a newer ring waits for this shard to learn of it: news takes milliseconds.
const RING_WAIT_MAX: Duration = Duration::from_secs(1);

/// The ring as this shard sees it.
#[derive(Clone, Debug)]
pub struct Ownership {
    shard: ShardId,
    ring: Arc<ArcSwap<Ring>>,
    version: Arc<watch::Sender<u64>>,
}

impl Ownership {
    /// The view of a shard on a ring.
    pub fn new(shard: ShardId, ring: Ring) -> Self {
        let version = Arc::new(watch::Sender::new(ring.version()));
        Self { shard, ring: Arc::new(ArcSwap::from_pointee(ring)), version }
    }

    /// The shard.
    pub fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The present ring.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Takes a newer ring.
    pub fn replace(&self, ring: Ring) {
        let version = ring.version();
        self.ring.store(Arc::new(ring));
        self.version.send_replace(version);
    }

    /// The version of the present ring, and every later one.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Whether a run is this shard's to answer for.
    ///
    /// # Errors
    /// It is another shard's: which one, for the caller to go on to.
    pub fn check(&self, run: Run) -> Result<(), Error> {
        let ring = self.ring.load();
        if *ring.owner_of(&run) == self.shard { Ok(()) } else { Err(sent_on(&ring, run)) }
    }

    /// As [`Self::check`], for a caller that may know a newer ring: it waits, within its time, until this shard has it too.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub async fn admit(&self, run: Run) -> Result<(), Error> {
        let checked = self.check(run);
        let context = CallContext::current();
        if checked.is_ok() || !self.is_behind(context.ring_version) {
            return checked;
        }
        let most = context.remaining().map_or(RING_WAIT_MAX, |remaining| remaining.min(RING_WAIT_MAX));
        let mut versions = self.versions();
        let newer = versions.wait_for(|version| Some(*version) >= context.ring_version);
        // Whether it came or not: the present ring says where to go.
        let _ = tokio::time::timeout(most, newer).await;
        self.check(run)
    }

    /// Whether a caller knows a newer ring.
    pub fn is_behind(&self, callers: Option<u64>) -> bool {
        callers > Some(*self.version.borrow())
    }

    /// What a caller is told whose request met a slot that was just given up: by which ring to go on.
    pub fn explain(&self, error: EngineError) -> Error {
        match error {
            EngineError::NotAnswered(Failure::NotOwner) => Error::Moved { ring_version: *self.version.borrow() },
            error => error.into(),
        }
    }

    /// The slots that are this shard's.
    pub fn slots(&self) -> BTreeSet<SlotId> {
        self.ring.load().slots_of(&self.shard).collect()
    }
}

fn sent_on(ring: &Ring, run: Run) -> Error {
    Error::NotOwner { owner: ring.owner_of(&run).to_string(), ring_version: ring.version() }
}
