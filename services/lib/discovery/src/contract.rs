use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use membership::{Membership, Registration, RingRecord, RingSettings, ShardState, Standing};
use ring::{LayoutError, ShardId};
use tokio::sync::watch;

use crate::{EditorLock, Registered, StoreError};

/// Tells which shards there are. When a source is lost its last word stands.
///
/// What only some sources can do has a default that says so, or that is what a list would say.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The present membership and every later one. Its version never goes back; of one version all processes see the same
    /// layout.
    fn watch(&self) -> watch::Receiver<Membership>;

    /// The shards that are registered now, members or not, and every later change. May lag behind [`Discovery::watch`].
    fn registrations(&self) -> watch::Receiver<BTreeMap<ShardId, Registration>> {
        let Membership { layout, addresses } = self.watch().borrow().clone();
        let listed = |shard: ShardId| {
            let address = addresses.get(&shard).cloned().flatten();
            (shard, Registration { address, state: ShardState::Serving, healthy: true, incarnation: 0 })
        };
        watch::channel(layout.members.into_iter().map(|member| listed(member.shard)).collect()).1
    }

    /// The record as last seen: settings and standings.
    fn record(&self) -> Arc<RingRecord> {
        let layout = self.watch().borrow().layout.clone();
        let counted = |shard: &ShardId| (shard.clone(), Standing { counted: true, flaps: 0 });
        let standings = layout.members.iter().map(|member| counted(&member.shard)).collect();
        let settings = RingSettings { version: layout.version, members: layout.members, pins: layout.pins };
        Arc::new(RingRecord::new(settings.version, settings, standings).expect("a membership's layout makes a ring"))
    }

    /// Registers a shard of this process. It is published in the background, again and again until it stands, also after
    /// the source has forgotten it.
    fn register(&self, _shard: ShardId, _address: Option<String>, _state: ShardState) -> Registered {
        Registered::nowhere()
    }

    /// Becomes the one editor of the settings. `holder` is shown to whoever else wants to.
    ///
    /// # Errors
    /// Somebody else edits; the source cannot be reached, or cannot be edited at all.
    async fn lock_editor(&self, _holder: &str) -> Result<EditorLock, DiscoveryError> {
        Err(DiscoveryError::Fixed)
    }

    /// Replaces the settings if they still have the expected version; gives the new record.
    ///
    /// # Errors
    /// The settings are newer than expected or make no ring; the lock is lost; the source cannot be reached, then it is
    /// unknown whether the edit was made: read again.
    async fn edit(
        &self,
        _lock: &EditorLock,
        _expected_version: u64,
        _settings: RingSettings,
    ) -> Result<Arc<RingRecord>, DiscoveryError> {
        Err(DiscoveryError::Fixed)
    }

    /// Stops the background work. Call it when the last role of the process has ended.
    async fn close(&self) {}
}

/// Why the ring could not be edited.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The shards are a list in the configuration.
    #[error(
        "the shards are a fixed list: change shards.list in every process's configuration and restart, or use discovery.kind consul or kubernetes"
    )]
    Fixed,
    /// Somebody else edits.
    #[error("the ring is being edited by {holder}")]
    Locked {
        /// Who.
        holder: String,
    },
    /// The editor's lock has lapsed.
    #[error("the editor's lock was lost")]
    LockLost,
    /// Somebody else has edited in between.
    #[error("the ring's settings have version {found}, not {expected}: they were changed in between")]
    Conflict {
        /// The version that the edit was made for.
        expected: u64,
        /// The present version.
        found: u64,
    },
    /// The new settings make no ring.
    #[error(transparent)]
    Settings(#[from] LayoutError),
    /// The store cannot be reached or answers nonsense.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A store that others write to without pause.
    #[error("the ring's record changed {0} times while it was being written")]
    Contended(u32),
}
