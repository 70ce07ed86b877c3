//! Which slots are this shard's: the ring's word, nothing more. That nothing is sold twice is the journal's fence.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{Run, SlotId};
use engine::EngineHandle;
use ring::{Layout, Ring, ShardId};
use shard_client::Discovery;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// The ring as this shard sees it.
#[derive(Clone, Debug)]
pub struct Ownership {
    shard: ShardId,
    ring: Arc<ArcSwap<Ring>>,
}

impl Ownership {
    /// The view of a shard on a ring.
    pub fn new(shard: ShardId, ring: Ring) -> Self {
        Self { shard, ring: Arc::new(ArcSwap::from_pointee(ring)) }
    }

    /// Whether a run is this shard's to answer for.
    ///
    /// # Errors
    /// It is another shard's: which one, for the caller to go on to.
    pub fn check(&self, run: Run) -> Result<(), Error> {
        let ring = self.ring.load();
        let owner = ring.owner_of(&run);
        if *owner == self.shard {
            return Ok(());
        }
        Err(Error::NotOwner { owner: owner.to_string(), ring_version: ring.version() })
    }

    /// The slots that are this shard's.
    pub fn slots(&self) -> BTreeSet<SlotId> {
        self.ring.load().slots_of(&self.shard).collect()
    }

    /// Has the engine own what the ring and every newer one says, until told to stop.
    pub async fn follow(self, discovery: Arc<dyn Discovery>, engine: EngineHandle, stop: CancellationToken) {
        let mut memberships = discovery.watch();
        loop {
            let layout = memberships.borrow_and_update().layout.clone();
            if layout.version > self.ring.load().version() {
                self.replace(layout);
            }
            engine.own(self.slots()).await;
            let Some(Ok(())) = stop.run_until_cancelled(memberships.changed()).await else { return };
        }
    }

    fn replace(&self, layout: Layout) {
        match Ring::new(layout) {
            Ok(ring) => {
                tracing::info!(shard = %self.shard, version = ring.version(), "a new ring");
                self.ring.store(Arc::new(ring));
            }
            Err(error) => tracing::error!(shard = %self.shard, %error, "a ring was ignored: the last one stands"),
        }
    }
}
