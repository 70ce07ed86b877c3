use std::collections::BTreeMap;

use domain::Invalid;
use ring::{Layout, Member, ShardId};
use tokio::sync::watch;

use crate::ShardsOptions;

/// The shards there are, and the ring they form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// What the ring is made of.
    pub layout: Layout,
    /// Where each shard is; none for one in this process.
    pub addresses: BTreeMap<ShardId, Option<String>>,
}

/// Tells which shards there are. When a source is lost its last word stands.
pub trait Discovery: Send + Sync + 'static {
    /// The present membership and every later one.
    fn watch(&self) -> watch::Receiver<Membership>;
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
    pub fn new(options: &ShardsOptions) -> Result<Self, Invalid> {
        let mut members = Vec::new();
        let mut addresses = BTreeMap::new();
        for shard in &options.list {
            let id: ShardId = shard.name.parse()?;
            members.push(Member { shard: id.clone(), weight: shard.weight });
            addresses.insert(id, shard.address.clone());
        }
        let layout = Layout { version: 1, members, pins: BTreeMap::new() };
        Ok(Self { membership: watch::Sender::new(Membership { layout, addresses }) })
    }
}

impl Discovery for FixedList {
    fn watch(&self) -> watch::Receiver<Membership> {
        self.membership.subscribe()
    }
}
