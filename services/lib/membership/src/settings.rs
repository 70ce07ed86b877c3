use std::collections::BTreeMap;

use domain::SlotId;
use ring::{Layout, LayoutError, Member, Ring, ShardId};

/// What operators decide: who may own slots, how much, and which slots are given by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// Counts up with each edit.
    pub version: u64,
    /// The shards that may own slots, with their weights. Their order does not matter.
    pub members: Vec<Member>,
    /// Slots given to a member by hand.
    pub pins: BTreeMap<SlotId, ShardId>,
}

impl RingSettings {
    /// Settings of members without pins, as a configuration lists them.
    pub fn first(members: Vec<Member>) -> Self {
        Self { version: 1, members, pins: BTreeMap::new() }
    }

    /// The layout if every member counted.
    pub fn whole(&self, version: u64) -> Layout {
        Layout { version, members: self.members.clone(), pins: self.pins.clone() }
    }

    /// Refuses settings that make no ring.
    ///
    /// # Errors
    /// As for [`Ring::new`].
    pub fn validate(&self) -> Result<(), LayoutError> {
        Ring::new(self.whole(self.version)).map(|_| ())
    }

    /// Whether a shard is a member.
    pub fn has(&self, shard: &ShardId) -> bool {
        self.members.iter().any(|member| member.shard == *shard)
    }
}
