//! A shard's life in the fleet: it warms up, serves what the ring gives it, and leaves in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use discovery::{Discovery, Registered, ShardState};
use domain::SlotId;
use engine::EngineHandle;
use ring::{Layout, Member, Ring, ShardId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ownership::Ownership;

/// How long a warm-up may take before the shard serves without: then its train-dates are loaded when they are asked for.
const WARM_MAX: Duration = Duration::from_secs(20);
/// Between two looks at whether everything has been given up.
const LEAVING_POLL: Duration = Duration::from_millis(20);

/// Keeps a shard's engine and registration as the ring and the settings want them.
pub struct Life {
    ownership: Ownership,
    engine: EngineHandle,
    discovery: Arc<dyn Discovery>,
    registered: Registered,
    state: ShardState,
    ready: watch::Sender<bool>,
    /// Tells streams of holds that nothing more should come.
    leaving: CancellationToken,
}

/// Asks the shards of a process to leave their fleet before they are stopped.
#[derive(Clone, Debug)]
pub struct Departure {
    asked: CancellationToken,
    /// Shards that have not left.
    staying: Arc<watch::Sender<usize>>,
}

impl Departure {
    /// A departure nobody has asked for.
    pub fn new() -> Self {
        Self { asked: CancellationToken::new(), staying: Arc::new(watch::Sender::new(0)) }
    }

    /// Asks the shards to give their slots to others, and waits until they have, for so long at most. Where there is nobody
    /// to give them to, or no registration that could say so, it is over at once.
    pub async fn leave(&self, at_most: Duration) {
        self.asked.cancel();
        let mut staying = self.staying.subscribe();
        if tokio::time::timeout(at_most, staying.wait_for(|shards| *shards == 0)).await.is_err() {
            tracing::warn!("shards stop with slots that nobody has taken yet");
        }
    }

    fn one_more(&self) -> Staying {
        self.staying.send_modify(|shards| *shards += 1);
        Staying(Arc::clone(&self.staying))
    }
}

impl Default for Departure {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts a shard until it has left.
struct Staying(Arc<watch::Sender<usize>>);

impl Drop for Staying {
    fn drop(&mut self) {
        self.0.send_modify(|shards| *shards -= 1);
    }
}

impl Life {
    /// The life of a shard that others reach at `address`. `leaving` is cancelled once its callers should go elsewhere.
    pub fn new(
        ownership: Ownership,
        engine: EngineHandle,
        discovery: Arc<dyn Discovery>,
        address: Option<String>,
        leaving: CancellationToken,
    ) -> (Self, watch::Receiver<bool>) {
        let standing = discovery.record().standing(ownership.shard());
        let state = if standing.counted { ShardState::Serving } else { ShardState::Warming };
        let registered = discovery.register(ownership.shard().clone(), address, state);
        let (ready, when_ready) = watch::channel(false);
        (Self { ownership, engine, discovery, registered, state, ready, leaving }, when_ready)
    }

    /// Lives until told to stop.
    pub async fn run(mut self, departure: Departure, stop: CancellationToken) {
        let _staying = departure.one_more();
        tokio::select! {
            () = self.follow() => {}
            () = departure.asked.cancelled() => {}
            () = stop.cancelled() => return self.registered.leave().await,
        }
        tokio::select! {
            () = self.leave() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Goes by every newer ring, for as long as anybody tells of them.
    async fn follow(&mut self) {
        let mut memberships = self.discovery.watch();
        let mut registrations = self.discovery.registrations();
        loop {
            let layout = memberships.borrow_and_update().layout.clone();
            let alive = alive(registrations.borrow_and_update().iter(), self.ownership.shard());
            self.turn_to(layout, alive).await;
            self.settle().await;
            tokio::select! {
                changed = memberships.changed() => if changed.is_err() { std::future::pending().await },
                Ok(()) = registrations.changed() => {}
            }
        }
    }

    /// Has the engine own what a ring says. What is new is wanted before callers are let in, what is lost is given up after
    /// they are sent on: in between nobody is told a wrong address.
    async fn turn_to(&self, layout: Layout, alive: Option<Arc<BTreeSet<String>>>) {
        if layout.version > self.ownership.ring().version() {
            match Ring::new(layout) {
                Ok(ring) => {
                    tracing::info!(shard = %self.ownership.shard(), version = ring.version(), "a new ring");
                    let mut both = self.ownership.slots();
                    both.extend(ring.slots_of(self.ownership.shard()));
                    self.engine.own_among(both, alive.clone()).await;
                    self.ownership.replace(ring);
                }
                Err(error) => {
                    tracing::error!(shard = %self.ownership.shard(), %error, "a ring was ignored: the last one stands");
                }
            }
        }
        self.engine.own_among(self.ownership.slots(), alive).await;
    }

    /// Says what this shard can do now: a member that does not count yet warms up before it says that it serves, and one
    /// that is no member keeps ready for the day it becomes one.
    async fn settle(&mut self) {
        let record = self.discovery.record();
        let shard = self.ownership.shard().clone();
        if record.standing(&shard).counted {
            self.say(ShardState::Serving);
            if !*self.ready.borrow() {
                self.engine.owned().await;
            }
        } else if !record.settings().has(&shard) {
            self.engine.cool().await;
            self.say(ShardState::Warming);
        } else if self.state != ShardState::Serving {
            self.warm_up(&record.layout(), &record.settings().whole(record.version())).await;
            self.say(ShardState::Serving);
        }
        self.ready.send_replace(true);
    }

    /// Loads the busy train-dates of what this shard will own: alone beside those who count now, and beside everybody who
    /// may join with it.
    async fn warm_up(&self, counted: &Layout, whole: &Layout) {
        let shard = self.ownership.shard();
        let weight = whole.members.iter().find(|member| member.shard == *shard);
        let mut joined = counted.clone();
        joined.members.push(weight.cloned().unwrap_or_else(|| Member::ordinary(shard.clone())));
        let rings = [joined, whole.clone()].into_iter().filter_map(|layout| Ring::new(layout).ok());
        let slots: BTreeSet<SlotId> = rings.flat_map(|ring| ring.slots_of(shard).collect::<Vec<_>>()).collect();
        match tokio::time::timeout(WARM_MAX, self.engine.warm(&slots)).await {
            Ok(Ok(warmed)) => tracing::info!(%shard, slots = warmed.slots, runs = warmed.runs, "warmed up"),
            Ok(Err(error)) => tracing::warn!(%shard, %error, "the warm-up was given up"),
            Err(_) => tracing::warn!(%shard, "the warm-up took too long"),
        }
    }

    fn say(&mut self, state: ShardState) {
        if self.state != state {
            self.state = state;
            self.registered.set_state(state);
        }
    }

    /// Leaves: others take the slots, one after the other, and then nobody comes here any more.
    async fn leave(mut self) {
        let mut memberships = self.discovery.watch();
        let mut registrations = self.discovery.registrations();
        self.say(ShardState::Leaving);
        let shard = self.ownership.shard().clone();
        while self.registered.is_published() {
            let layout = memberships.borrow_and_update().layout.clone();
            let view = registrations.borrow_and_update().clone();
            self.turn_to(layout, alive(view.iter(), &shard)).await;
            let others = view.iter().any(|(other, it)| *other != shard && it.serves());
            if !others || self.ownership.slots().is_empty() {
                break;
            }
            tokio::select! {
                changed = memberships.changed() => if changed.is_err() { break },
                _ = registrations.changed() => {}
            }
        }
        // From here on it answers for nothing, or is about to stop: callers that have not heard of it by the ring hear it now.
        self.leaving.cancel();
        while self.ownership.slots().is_empty() && self.engine.occupancy().slots_assigned > 0 {
            tokio::time::sleep(LEAVING_POLL).await;
        }
        self.registered.leave().await;
    }
}

/// The shards that may still hold slots: whoever is registered and answers. Unknown where nobody is to be seen: then the
/// source is blind, not the fleet gone.
fn alive<'a>(
    registrations: impl Iterator<Item = (&'a ShardId, &'a discovery::Registration)>,
    shard: &ShardId,
) -> Option<Arc<BTreeSet<String>>> {
    let mut alive: BTreeSet<String> =
        registrations.filter(|(_, it)| it.healthy).map(|(shard, _)| shard.to_string()).collect();
    if alive.is_empty() {
        return None;
    }
    alive.insert(shard.to_string());
    Some(Arc::new(alive))
}
