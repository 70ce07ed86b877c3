use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use membership::ShardState;
use ring::ShardId;
use tokio::sync::watch;

use crate::{Announcement, Store};

/// A registration that the background work of this process is to make or take back.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub announcement: Announcement,
    pub withdraw: bool,
}

/// The registration of a shard of this process. Dropping it without [`Registered::leave`] is like dying: others find out by
/// themselves.
pub struct Registered {
    place: Option<Place>,
}

struct Place {
    wanted: Arc<watch::Sender<BTreeMap<ShardId, Wanted>>>,
    store: Arc<dyn Store>,
    /// How long a withdrawal may take.
    patience: Duration,
    shard: ShardId,
    incarnation: u64,
}

impl Registered {
    /// For sources without registrations: states go nowhere.
    pub fn nowhere() -> Self {
        Self { place: None }
    }

    pub(crate) fn wanted(
        wanted: Arc<watch::Sender<BTreeMap<ShardId, Wanted>>>,
        store: Arc<dyn Store>,
        patience: Duration,
        shard: ShardId,
        address: Option<String>,
        state: ShardState,
    ) -> Self {
        let incarnation = rand::random();
        let announcement = Announcement { shard: shard.clone(), address, state, incarnation };
        wanted.send_modify(|all| {
            all.insert(shard.clone(), Wanted { announcement, withdraw: false });
        });
        Self { place: Some(Place { wanted, store, patience, shard, incarnation }) }
    }

    /// Whether anybody can see it.
    pub fn is_published(&self) -> bool {
        self.place.is_some()
    }

    /// Says what the shard does now. Published in the background.
    pub fn set_state(&self, state: ShardState) {
        if let Some(place) = &self.place {
            place.modify(|wanted| wanted.announcement.state = state);
        }
    }

    /// Takes the registration back and waits until that has been done, for a bounded time.
    pub async fn leave(mut self) {
        let Some(place) = self.place.take() else { return };
        place.modify(|wanted| wanted.withdraw = true);
        let mut watching = place.wanted.subscribe();
        let gone = watching.wait_for(|all| !place.stands(all));
        if tokio::time::timeout(place.patience, gone).await.is_err() {
            tracing::warn!(shard = %place.shard, "the registration could not be taken back in time: its health check will tell");
            place.forget();
        }
    }
}

impl Place {
    fn stands(&self, all: &BTreeMap<ShardId, Wanted>) -> bool {
        all.get(&self.shard).is_some_and(|wanted| wanted.announcement.incarnation == self.incarnation)
    }

    /// Changes the entry unless a later incarnation has replaced it.
    fn modify(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_if_modified(|all| {
            if !self.stands(all) {
                return false;
            }
            all.get_mut(&self.shard).is_some_and(|wanted| {
                change(wanted);
                true
            })
        });
    }

    fn forget(&self) -> bool {
        self.wanted.send_if_modified(|all| self.stands(all) && all.remove(&self.shard).is_some())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(place) = &self.place
            && place.forget()
        {
            place.store.abandon(&place.shard);
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registered").field(&self.place.as_ref().map(|place| &place.shard)).finish()
    }
}
