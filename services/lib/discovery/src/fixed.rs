use std::collections::BTreeMap;

use domain::Invalid;
use membership::{Membership, RingSettings};
use ring::{Layout, Member, ShardId};
use serde::Deserialize;
use tokio::sync::watch;

use crate::Discovery;

/// One shard of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedShard {
    /// Its stable identity, such as `inventory-shard-0`.
    pub name: String,
    /// Where it is, such as `http://inventory-shard-0.inventory:7000`; none when it runs in this process.
    #[serde(default)]
    pub address: Option<String>,
    /// Its share relative to the others'; 100 is ordinary.
    #[serde(default = "ordinary")]
    pub weight: u32,
}

impl ListedShard {
    /// The first settings of a fleet: the members that its configuration lists.
    ///
    /// # Errors
    /// A name that is none.
    pub fn settings(list: &[Self]) -> Result<RingSettings, Invalid> {
        let member = |shard: &Self| {
            let id: ShardId = shard.name.parse()?;
            Ok(Member { shard: id, weight: shard.weight })
        };
        Ok(RingSettings::first(list.iter().map(member).collect::<Result<_, Invalid>>()?))
    }
}

fn ordinary() -> u32 {
    Member::WEIGHT_ORDINARY
}

/// A list that never changes, from configuration.
#[derive(Debug)]
pub struct FixedList {
    membership: watch::Sender<Membership>,
}

impl FixedList {
    /// The list of a configuration.
    ///
    /// # Errors
    /// A name that is none. What makes no ring is refused by the router.
    pub fn new(list: &[ListedShard]) -> Result<Self, Invalid> {
        let mut addresses = BTreeMap::new();
        for shard in list {
            addresses.insert(shard.name.parse()?, shard.address.clone());
        }
        let RingSettings { version, members, pins } = ListedShard::settings(list)?;
        let layout = Layout { version, members, pins };
        Ok(Self { membership: watch::Sender::new(Membership { layout, addresses }) })
    }
}

impl Discovery for FixedList {
    fn watch(&self) -> watch::Receiver<Membership> {
        self.membership.subscribe()
    }
}
