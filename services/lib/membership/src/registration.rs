use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::Invalid;
use ring::{Layout, ShardId};

/// The shards that count, and the ring they form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// What the ring is made of.
    pub layout: Layout,
    /// Where each shard is; none for one in this process.
    pub addresses: BTreeMap<ShardId, Option<String>>,
}

/// A shard as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it is; none for one in this process.
    pub address: Option<String>,
    /// What it says of itself.
    pub state: ShardState,
    /// Whether it answers, as whoever checks it says.
    pub healthy: bool,
    /// Another one for each start of its process.
    pub incarnation: u64,
}

/// What a shard says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShardState {
    /// It loads what it will own and wants no slots yet.
    Warming,
    /// It owns what the ring gives it.
    Serving,
    /// It gives its slots up and wants no new ones.
    Leaving,
}

impl Registration {
    /// Whether it can own slots.
    pub fn serves(&self) -> bool {
        self.healthy && self.state == ShardState::Serving
    }
}

impl ShardState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Warming, Self::Serving, Self::Leaving];

    /// The word it is stored and shown by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warming => "warming",
            Self::Serving => "serving",
            Self::Leaving => "leaving",
        }
    }
}

impl fmt::Display for ShardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ShardState {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let state = Self::ALL.into_iter().find(|state| state.name() == text);
        state.ok_or_else(|| Invalid::new("shard state", "warming, serving or leaving", text))
    }
}
