use std::sync::Arc;

use async_trait::async_trait;
use membership::{Registration, RingRecord};
use parking_lot::Mutex;
use ring::ShardId;
use tokio::sync::watch;

use crate::{Acquired, Announcement, LockToken, Shared, Store, StoreError, Stored, Tag, View};

/// Discovery among shards of one process.
pub type InProcess = Shared<Memory>;

/// A store in memory. Clones share it, as processes share a store. It can be made to fail, for tests and drills.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    contents: Arc<Contents>,
}

#[derive(Debug)]
struct Contents {
    view: watch::Sender<View>,
    lock: Mutex<Lock>,
}

/// Every write and every lock gets a number of its own.
#[derive(Debug, Default)]
struct Lock {
    last: u64,
    holder: Option<(LockToken, String)>,
}

impl Default for Contents {
    fn default() -> Self {
        let view = View { reached: true, ..View::default() };
        Self { view: watch::Sender::new(view), lock: Mutex::default() }
    }
}

impl Memory {
    /// Makes the store unreachable, or reachable again.
    pub fn set_reached(&self, reached: bool) {
        self.contents.view.send_modify(|view| view.reached = reached);
    }

    /// Forgets everything.
    pub fn wipe(&self) {
        self.contents.lock.lock().holder = None;
        self.contents.view.send_modify(|view| *view = View { reached: view.reached, ..View::default() });
    }

    /// Lets the health check of a shard fail or succeed.
    pub fn set_health(&self, shard: &ShardId, healthy: bool) {
        self.contents.view.send_if_modified(|view| {
            let registration = view.registrations.get_mut(shard);
            registration.is_some_and(|it| std::mem::replace(&mut it.healthy, healthy) != healthy)
        });
    }

    fn reached(&self) -> Result<(), StoreError> {
        if self.contents.view.borrow().reached { Ok(()) } else { Err(StoreError::new("memory", "out of reach")) }
    }
}

#[async_trait]
impl Store for Memory {
    fn view(&self) -> watch::Receiver<View> {
        self.contents.view.subscribe()
    }

    async fn read(&self) -> Result<Option<Stored>, StoreError> {
        self.reached()?;
        Ok(self.contents.view.borrow().stored.clone())
    }

    async fn write(&self, record: &RingRecord, over: Option<&Tag>) -> Result<bool, StoreError> {
        self.reached()?;
        let mut lock = self.contents.lock.lock();
        lock.last += 1;
        let stored = Stored { record: Arc::new(record.clone()), tag: Tag(lock.last.to_string()) };
        Ok(self.contents.view.send_if_modified(|view| {
            let first = view.stored.as_ref().map(|stored| &stored.tag) == over;
            if first {
                view.stored = Some(stored);
            }
            first
        }))
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), StoreError> {
        self.reached()?;
        let Announcement { shard, address, state, incarnation } = announcement.clone();
        self.contents.view.send_modify(|view| {
            view.registrations.insert(shard, Registration { address, state, healthy: true, incarnation });
        });
        Ok(())
    }

    async fn withdraw(&self, shard: &ShardId) -> Result<(), StoreError> {
        self.reached()?;
        self.abandon(shard);
        Ok(())
    }

    fn abandon(&self, shard: &ShardId) {
        self.contents.view.send_if_modified(|view| view.registrations.remove(shard).is_some());
    }

    async fn acquire(&self, holder: &str) -> Result<Acquired, StoreError> {
        self.reached()?;
        let mut lock = self.contents.lock.lock();
        if let Some((_, holder)) = &lock.holder {
            return Ok(Acquired::HeldBy(holder.clone()));
        }
        lock.last += 1;
        let token = LockToken(lock.last.to_string());
        lock.holder = Some((token.clone(), holder.to_owned()));
        Ok(Acquired::Taken(token))
    }

    async fn renew(&self, token: &LockToken) -> Result<bool, StoreError> {
        self.reached()?;
        Ok(self.contents.lock.lock().holder.as_ref().is_some_and(|(held, _)| held == token))
    }

    async fn release(&self, token: &LockToken) -> Result<(), StoreError> {
        self.reached()?;
        let mut lock = self.contents.lock.lock();
        lock.holder = lock.holder.take().filter(|(held, _)| held != token);
        Ok(())
    }

    async fn close(&self) {}
}
