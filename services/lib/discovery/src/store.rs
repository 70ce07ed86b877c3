use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use membership::{Registration, RingRecord, ShardState};
use ring::ShardId;
use tokio::sync::watch;

/// Where registrations and the record are kept. It has no rules: [`crate::Shared`] drives it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is in the store, as last seen.
    fn view(&self) -> watch::Receiver<View>;

    /// The record as it is now.
    ///
    /// # Errors
    /// The store cannot be reached, or the record cannot be read.
    async fn read(&self) -> Result<Option<Stored>, StoreError>;

    /// Writes the record over the one of a tag, or where none is; `false` when somebody else was first.
    ///
    /// # Errors
    /// The store cannot be reached: it is unknown whether the record was written.
    async fn write(&self, record: &RingRecord, over: Option<&Tag>) -> Result<bool, StoreError>;

    /// Makes or replaces the registration of a shard of this process.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn announce(&self, announcement: &Announcement) -> Result<(), StoreError>;

    /// Takes the registration of a shard of this process back.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn withdraw(&self, shard: &ShardId) -> Result<(), StoreError>;

    /// A shard of this process is gone without a word; others find out as they would of a process that died.
    fn abandon(&self, _shard: &ShardId) {}

    /// Takes the editor's lock unless somebody else has it.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn acquire(&self, holder: &str) -> Result<Acquired, StoreError>;

    /// Keeps the lock for another term; `false` when it is lost.
    ///
    /// # Errors
    /// The store cannot be reached.
    async fn renew(&self, token: &LockToken) -> Result<bool, StoreError>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// The store cannot be reached: the lock lapses by itself.
    async fn release(&self, token: &LockToken) -> Result<(), StoreError>;

    /// Stops watching.
    async fn close(&self);
}

/// What is in a store, as last seen.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether it could be seen at the last attempt; if not, the rest is what was seen before.
    pub reached: bool,
    /// The record; none when there is none, or none that can be read.
    pub stored: Option<Stored>,
    /// Who is registered.
    pub registrations: BTreeMap<ShardId, Registration>,
}

/// A record and what it is overwritten by.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The record.
    pub record: Arc<RingRecord>,
    /// Names this very state of it.
    pub tag: Tag,
}

/// Names one state of a stored record: it is replaced only by who has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String);

/// The registration of a shard of this process, as it is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Which shard.
    pub shard: ShardId,
    /// Where it is; none for one in this process.
    pub address: Option<String>,
    /// What it says of itself.
    pub state: ShardState,
    /// Another one for each start.
    pub incarnation: u64,
}

/// Proof of holding the editor's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockToken(pub String);

/// What became of asking for the editor's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is the caller's.
    Taken(LockToken),
    /// Somebody else has it.
    HeldBy(String),
}

/// A store that does not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{store}: {reason}")]
pub struct StoreError {
    /// Which store, such as `consul`.
    pub store: &'static str,
    /// What went wrong, without secrets.
    pub reason: String,
}

impl StoreError {
    /// An error of a store.
    pub fn new(store: &'static str, reason: impl fmt::Display) -> Self {
        Self { store, reason: reason.to_string() }
    }
}
