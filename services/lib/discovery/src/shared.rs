use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Invalid;
use membership::{Membership, Registration, RingRecord, RingSettings, ShardState};
use parking_lot::Mutex;
use ring::{LayoutError, ShardId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keeper::Keeper;
use crate::registered::Wanted;
use crate::{
    Acquired, Discovery, DiscoveryError, EditorLock, ListedShard, Registered, SharedOptions, Store, StoreError, View,
    editor, metrics,
};

/// An edit that finds the record changed under it so often gives up.
const EDIT_ATTEMPTS_MAX: u32 = 32;

/// Discovery over a store that the processes of a fleet share.
pub struct Shared<S> {
    inner: Arc<Inner<S>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why a process could not find its fleet.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting or a name that is none.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The listed shards make no ring.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be reached for too long, or has a record that cannot be read.
    #[error("no ring was found within {0} ms: can the store be reached, and is its record one of ours?")]
    NoRing(u32),
}

/// What the background work and the callers share.
pub(crate) struct Inner<S> {
    pub store: Arc<S>,
    pub options: SharedOptions,
    /// The shards of this process, as they are to be registered.
    pub wanted: Arc<watch::Sender<BTreeMap<ShardId, Wanted>>>,
    record: Mutex<Arc<RingRecord>>,
    /// Where shards are or last were.
    addresses: Mutex<BTreeMap<ShardId, Option<String>>>,
    membership: watch::Sender<Membership>,
    registrations: watch::Sender<BTreeMap<ShardId, Registration>>,
    /// Since when the store has been out of reach.
    out_of_sight: Mutex<Option<Instant>>,
}

impl<S: Store> Shared<S> {
    /// Finds the fleet's record, or founds it with the listed shards where there is none, and follows it from then on.
    ///
    /// # Errors
    /// Options out of their range, a list that makes no ring, a store that cannot be reached for as long as the options
    /// allow.
    pub async fn start(store: S, list: &[ListedShard], options: SharedOptions) -> Result<Self, StartError> {
        options.validate()?;
        let founding = RingRecord::founded(ListedShard::settings(list)?)?;
        let mut addresses = BTreeMap::new();
        for shard in list {
            addresses.insert(shard.name.parse()?, shard.address.clone());
        }
        let store = Arc::new(store);
        let patience = Duration::from_millis(options.start_ms.into());
        let pause = Duration::from_millis(options.retry_ms.into());
        let found = tokio::time::timeout(patience, find(&*store, &founding, pause)).await;
        let view = found.map_err(|_| StartError::NoRing(options.start_ms))?;
        let record = view.stored.as_ref().map_or_else(|| Arc::new(founding), |stored| stored.record.clone());
        let inner = Arc::new(Inner::new(store, options, record, addresses));
        inner.see(&view);
        metrics::observe(&inner);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Keeper::new(inner.clone()).run(stop.clone()));
        Ok(Self { inner, tasks, stop })
    }

    /// What it keeps the record in.
    pub fn store(&self) -> &S {
        &self.inner.store
    }
}

/// Waits for a view with a record; where there is none, writes the first one.
async fn find<S: Store>(store: &S, founding: &RingRecord, pause: Duration) -> View {
    let mut views = store.view();
    loop {
        let view = views.borrow_and_update().clone();
        if view.reached && view.stored.is_some() {
            return view;
        }
        if view.reached
            && let Err(error) = store.write(founding, None).await
        {
            tracing::warn!(%error, "the first record of the ring could not be written");
        }
        // Woken by the next view, also by that of somebody else's record; without one it is tried again.
        let _ = tokio::time::timeout(pause, views.changed()).await;
    }
}

impl<S: Store> Inner<S> {
    fn new(
        store: Arc<S>,
        options: SharedOptions,
        record: Arc<RingRecord>,
        addresses: BTreeMap<ShardId, Option<String>>,
    ) -> Self {
        let membership = membership_of(&record, &addresses);
        Self {
            store,
            options,
            wanted: Arc::new(watch::Sender::new(BTreeMap::new())),
            record: Mutex::new(record),
            addresses: Mutex::new(addresses),
            membership: watch::Sender::new(membership),
            registrations: watch::Sender::new(BTreeMap::new()),
            out_of_sight: Mutex::new(None),
        }
    }

    /// Takes over what was seen in the store.
    pub fn see(&self, view: &View) {
        let mut out_of_sight = self.out_of_sight.lock();
        *out_of_sight = if view.reached { None } else { out_of_sight.or_else(|| Some(Instant::now())) };
        drop(out_of_sight);
        self.registrations.send_if_modified(|present| {
            let changed = *present != view.registrations;
            if changed {
                present.clone_from(&view.registrations);
            }
            changed
        });
        let mut addresses = self.addresses.lock();
        for (shard, registration) in &view.registrations {
            addresses.insert(shard.clone(), registration.address.clone());
        }
        drop(addresses);
        self.see_record(view.stored.as_ref().map(|stored| &stored.record));
    }

    /// Takes over a record if it is newer, and shows what follows from it and from the addresses.
    pub fn see_record(&self, seen: Option<&Arc<RingRecord>>) {
        let mut record = self.record.lock();
        if let Some(seen) = seen.filter(|seen| seen.version() > record.version()) {
            *record = seen.clone();
        }
        let next = membership_of(&record, &self.addresses.lock());
        // Shown under the lock, so that an older membership never follows a newer.
        self.membership.send_if_modified(|present| {
            let changed = *present != next;
            if changed {
                *present = next;
            }
            changed
        });
    }

    pub fn record(&self) -> Arc<RingRecord> {
        self.record.lock().clone()
    }

    /// For how long the store has been out of reach.
    pub fn out_of_sight(&self, now: Instant) -> Duration {
        self.out_of_sight.lock().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub fn registered(&self) -> BTreeMap<ShardId, Registration> {
        self.registrations.borrow().clone()
    }
}

fn membership_of(record: &RingRecord, addresses: &BTreeMap<ShardId, Option<String>>) -> Membership {
    let layout = record.layout();
    let address = |shard: &ShardId| (shard.clone(), addresses.get(shard).cloned().flatten());
    let addresses = layout.members.iter().map(|member| address(&member.shard)).collect();
    Membership { layout, addresses }
}

#[async_trait]
impl<S: Store> Discovery for Shared<S> {
    fn watch(&self) -> watch::Receiver<Membership> {
        self.inner.membership.subscribe()
    }

    fn registrations(&self) -> watch::Receiver<BTreeMap<ShardId, Registration>> {
        self.inner.registrations.subscribe()
    }

    fn record(&self) -> Arc<RingRecord> {
        self.inner.record()
    }

    fn register(&self, shard: ShardId, address: Option<String>, state: ShardState) -> Registered {
        let patience = Duration::from_millis(self.inner.options.leave_ms.into());
        Registered::wanted(self.inner.wanted.clone(), self.inner.store.clone(), patience, shard, address, state)
    }

    async fn lock_editor(&self, holder: &str) -> Result<EditorLock, DiscoveryError> {
        let token = match self.inner.store.acquire(holder).await? {
            Acquired::Taken(token) => token,
            Acquired::HeldBy(holder) => return Err(DiscoveryError::Locked { holder }),
        };
        let period = Duration::from_millis(self.inner.options.lock_renew_ms.into());
        Ok(editor::keep(&self.tasks, self.stop.child_token(), self.inner.store.clone(), token, period))
    }

    async fn edit(
        &self,
        lock: &EditorLock,
        expected_version: u64,
        settings: RingSettings,
    ) -> Result<Arc<RingRecord>, DiscoveryError> {
        for _ in 0..EDIT_ATTEMPTS_MAX {
            if lock.is_lost() {
                return Err(DiscoveryError::LockLost);
            }
            let stored = self.inner.store.read().await?;
            let tag = stored.as_ref().map(|stored| stored.tag.clone());
            let known = self.inner.record();
            // A store that has forgotten, or went back, is edited from what this process knows.
            let newer = stored.map(|stored| stored.record).filter(|record| record.version() >= known.version());
            let record = newer.unwrap_or(known);
            let found = record.settings().version;
            if found != expected_version {
                return Err(DiscoveryError::Conflict { expected: expected_version, found });
            }
            let next = Arc::new(record.edited(settings.clone())?);
            if self.inner.store.write(&next, tag.as_ref()).await? {
                self.inner.see_record(Some(&next));
                return Ok(next);
            }
        }
        Err(DiscoveryError::Contended(EDIT_ATTEMPTS_MAX))
    }

    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.inner.store.close().await;
    }
}
