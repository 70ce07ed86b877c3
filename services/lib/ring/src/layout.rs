use std::collections::{BTreeMap, BTreeSet};

use domain::SlotId;

use crate::ShardId;

/// What a ring is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Counts up with each change.
    pub version: u64,
    /// The shards that own slots. Their order does not matter.
    pub members: Vec<Member>,
    /// Slots given to a shard by hand, to isolate hot trains; the others do not move for it.
    pub pins: BTreeMap<SlotId, ShardId>,
}

/// A shard that owns slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which shard.
    pub shard: ShardId,
    /// Its share relative to the others': 1 to 1,000; 100 is ordinary.
    pub weight: u32,
}

/// A layout that makes no ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Nobody would own anything.
    #[error("the ring has no members")]
    NoMembers,
    /// There cannot be more shards than slots.
    #[error("the ring has {0} members: at most 1024 can own a slot each")]
    TooManyMembers(usize),
    /// A shard stands twice.
    #[error("shard {0} is a member twice")]
    MemberTwice(ShardId),
    /// A weight out of range.
    #[error("shard {0} has weight {1}: expected 1 to {max}", max = Member::WEIGHT_MAX)]
    Weight(ShardId, u32),
    /// A pin to a stranger.
    #[error("a slot is pinned to shard {0}, which is no member")]
    PinnedToStranger(ShardId),
}

impl Member {
    /// The weight of an ordinary shard.
    pub const WEIGHT_ORDINARY: u32 = 100;
    /// The greatest weight.
    pub const WEIGHT_MAX: u32 = 1_000;

    /// A shard of ordinary weight.
    pub fn ordinary(shard: ShardId) -> Self {
        Self { shard, weight: Self::WEIGHT_ORDINARY }
    }
}

impl Layout {
    /// A layout of ordinary members without pins.
    pub fn ordinary(version: u64, shards: impl IntoIterator<Item = ShardId>) -> Self {
        Self { version, members: shards.into_iter().map(Member::ordinary).collect(), pins: BTreeMap::new() }
    }

    pub(crate) fn validate(&self) -> Result<(), LayoutError> {
        if self.members.is_empty() {
            return Err(LayoutError::NoMembers);
        }
        if self.members.len() > usize::from(domain::SLOTS) {
            return Err(LayoutError::TooManyMembers(self.members.len()));
        }
        let mut seen = BTreeSet::new();
        for Member { shard, weight } in &self.members {
            if !seen.insert(shard) {
                return Err(LayoutError::MemberTwice(shard.clone()));
            }
            if !(1..=Member::WEIGHT_MAX).contains(weight) {
                return Err(LayoutError::Weight(shard.clone(), *weight));
            }
        }
        self.pins.values().try_for_each(|shard| self.index_of(shard).map(|_| ()))
    }

    pub(crate) fn index_of(&self, shard: &ShardId) -> Result<u16, LayoutError> {
        let index = self.members.iter().position(|member| member.shard == *shard);
        index.and_then(|index| u16::try_from(index).ok()).ok_or_else(|| LayoutError::PinnedToStranger(shard.clone()))
    }
}
