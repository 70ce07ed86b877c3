//! The behaviour every store must have, as stories that are run on each of them.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, compiled into the library only so that every store can run them"
)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use membership::{Membership, RingRecord, ShardState};
use ring::{Member, ShardId};

use crate::{Discovery, DiscoveryError, ListedShard, Shared, SharedOptions, Store};

/// A store and what can be done to it.
#[async_trait]
pub trait World: Send + Sync {
    /// What the store is.
    type Store: Store;

    /// The store as another process holds it.
    async fn store(&self) -> Self::Store;
    /// Where a shard answers health checks from now on.
    async fn listen(&self, shard: &ShardId) -> Option<String>;
    /// Its process dies.
    async fn silence(&self, shard: &ShardId);
    /// The store goes out of reach.
    async fn stop(&self);
    /// It comes back with its data.
    async fn resume(&self);
    /// It loses everything that was in it.
    async fn wipe(&self);
}

/// Quick, so that the stories are: the times of a fleet stand in [`SharedOptions::default`].
pub fn options() -> SharedOptions {
    SharedOptions {
        grace_ms: 600,
        settle_ms: 100,
        trust_ms: 1_500,
        recovery_ms: 4_000,
        start_ms: 20_000,
        ..SharedOptions::default()
    }
}

/// Three listed shards.
pub fn listed() -> Vec<ListedShard> {
    let shard =
        |n| ListedShard { name: ShardId::numbered(n).to_string(), address: None, weight: Member::WEIGHT_ORDINARY };
    (0..3).map(shard).collect()
}

/// Waits on a condition; gives what met it.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let met = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), met).await {
        Ok(value) => value,
        Err(_) => panic!("still not so after a minute: {what}"),
    }
}

async fn process<W: World>(world: &W) -> Arc<Shared<W::Store>> {
    Arc::new(Shared::start(world.store().await, &listed(), options()).await.unwrap())
}

/// A process with one shard that is registered.
async fn shard_process<W: World>(
    world: &W,
    ordinal: u16,
    state: ShardState,
) -> (Arc<Shared<W::Store>>, crate::Registered) {
    let process = process(world).await;
    let shard = ShardId::numbered(ordinal);
    let address = world.listen(&shard).await;
    let registered = process.register(shard.clone(), address, state);
    let all = process.registrations();
    until("the shard is registered and answers", || async {
        all.borrow().get(&shard).filter(|it| it.healthy && it.state == state).map(|_| ())
    })
    .await;
    (process, registered)
}

/// Waits until a process has a ring of these shards.
async fn ring_of<D: Discovery>(process: &D, ordinals: &[u16]) -> Membership {
    let memberships = process.watch();
    let wanted: Vec<ShardId> = ordinals.iter().copied().map(ShardId::numbered).collect();
    until(&format!("the ring is of {ordinals:?}"), || async {
        let membership = memberships.borrow().clone();
        let mut shards: Vec<_> = membership.layout.members.iter().map(|member| member.shard.clone()).collect();
        shards.sort();
        (shards == wanted).then_some(membership)
    })
    .await
}

async fn close<S: Store>(processes: impl IntoIterator<Item = &Arc<Shared<S>>>) {
    for process in processes {
        process.close().await;
    }
}

/// A shard joins, dies, comes back and leaves; every process sees the same ring at the same version.
pub async fn shards_come_and_go<W: World>(world: &W) {
    let gateway = process(world).await;
    ring_of(&*gateway, &[0, 1, 2]).await;
    let (first, _first_registered) = shard_process(world, 0, ShardState::Serving).await;
    let (second, second_registered) = shard_process(world, 1, ShardState::Serving).await;
    let (third, third_registered) = shard_process(world, 2, ShardState::Serving).await;

    // One dies without a word.
    world.silence(&ShardId::numbered(2)).await;
    drop(third_registered);
    third.close().await;
    let seen = ring_of(&*gateway, &[0, 1]).await;
    assert_eq!(ring_of(&*first, &[0, 1]).await, seen, "one version, one ring");
    assert_eq!(first.record().standing(&ShardId::numbered(2)).flaps, 1);

    // It comes back, warms up, and is trusted after it has served for a while.
    let (third, third_registered) = shard_process(world, 2, ShardState::Warming).await;
    third_registered.set_state(ShardState::Serving);
    let seen = ring_of(&*gateway, &[0, 1, 2]).await;
    assert_eq!(ring_of(&*third, &[0, 1, 2]).await, seen);
    if let Some(address) = seen.addresses[&ShardId::numbered(2)].clone() {
        assert!(address.starts_with("http://"), "{address}");
    }

    // Another leaves in order: no loss is held against it.
    second_registered.set_state(ShardState::Leaving);
    let after = ring_of(&*gateway, &[0, 2]).await;
    assert!(after.layout.version > seen.layout.version);
    assert_eq!(second.record().standing(&ShardId::numbered(1)).flaps, 0);
    second_registered.leave().await;
    let all = gateway.registrations();
    until("the registration is gone", || async { (!all.borrow().contains_key(&ShardId::numbered(1))).then_some(()) })
        .await;
    close([&gateway, &first, &second, &third]).await;
}

/// Edits are by one editor at a time, never over what the editor has not seen, and reach everybody.
pub async fn edits_are_made_one_by_one<W: World>(world: &W) {
    let (here, _registered) = shard_process(world, 0, ShardState::Serving).await;
    let there = process(world).await;
    let lock = here.lock_editor("the first operator").await.unwrap();
    match there.lock_editor("the second operator").await {
        Err(DiscoveryError::Locked { holder }) => assert_eq!(holder, "the first operator"),
        other => panic!("two editors: {other:?}"),
    }
    let before = here.record();
    let mut settings = before.settings().clone();
    settings.members[0].weight = 50;
    let edited = here.edit(&lock, before.settings().version, settings.clone()).await.unwrap();
    assert_eq!(edited.settings().version, before.settings().version + 1);
    until("the edit reaches the other process", || async {
        (there.record().settings() == edited.settings()).then_some(())
    })
    .await;

    let stale = here.edit(&lock, before.settings().version, settings.clone()).await.unwrap_err();
    assert!(matches!(stale, DiscoveryError::Conflict { .. }), "{stale}");
    settings.members.clear();
    let empty = here.edit(&lock, edited.settings().version, settings).await.unwrap_err();
    assert!(matches!(empty, DiscoveryError::Settings(_)), "{empty}");

    // The second operator gets the lock when the first gives it back, and the edits go on from there.
    lock.release().await;
    let lock = until("the lock is free", || async { there.lock_editor("the second operator").await.ok() }).await;
    let mut settings = edited.settings().clone();
    settings.pins.insert(domain::SlotId::new(7).unwrap(), ShardId::numbered(0));
    there.edit(&lock, edited.settings().version, settings).await.unwrap();
    let memberships = here.watch();
    until("the pin reaches the first", || async { (memberships.borrow().layout.pins.len() == 1).then_some(()) }).await;
    lock.release().await;
    close([&here, &there]).await;
}

/// A store that is out of reach changes nothing; when it is back, what happened in between is seen.
pub async fn the_last_ring_stands_while_the_store_is_gone<W: World>(world: &W) {
    let (first, _first_registered) = shard_process(world, 0, ShardState::Serving).await;
    let (second, _second_registered) = shard_process(world, 1, ShardState::Serving).await;
    let before = ring_of(&*first, &[0, 1]).await;
    world.stop().await;
    let error = until("the loss is noticed", || async { second.lock_editor("an operator").await.err() }).await;
    assert!(matches!(error, DiscoveryError::Store(_)), "{error}");
    // Longer than grace and recovery together.
    tokio::time::sleep(Duration::from_millis(5_000)).await;
    assert_eq!(first.watch().borrow().clone(), before, "nothing has changed");
    world.resume().await;
    let (third, _third_registered) = shard_process(world, 2, ShardState::Serving).await;
    let after = ring_of(&*first, &[0, 1, 2]).await;
    assert_eq!(ring_of(&*second, &[0, 1, 2]).await, after);
    assert_eq!(first.record().standing(&ShardId::numbered(1)).flaps, 0, "the store's absence is held against nobody");
    close([&first, &second, &third]).await;
}

/// A store that has lost its data gets it back from those who live.
pub async fn a_wiped_store_is_rebuilt<W: World>(world: &W) {
    let (first, _first_registered) = shard_process(world, 0, ShardState::Serving).await;
    let (second, _second_registered) = shard_process(world, 1, ShardState::Serving).await;
    ring_of(&*first, &[0, 1]).await;
    let lock = first.lock_editor("an operator").await.unwrap();
    let mut settings = first.record().settings().clone();
    settings.pins.insert(domain::SlotId::new(7).unwrap(), ShardId::numbered(1));
    let edited = first.edit(&lock, settings.version, settings).await.unwrap();
    drop(lock);
    // Whichever of them puts the record back knows of the edit.
    let pins = &edited.settings().pins;
    until("the other process has seen the edit", || async {
        (second.watch().borrow().layout.pins == *pins).then_some(())
    })
    .await;
    world.wipe().await;
    let fresh = world.store().await;
    let restored: Arc<RingRecord> = until("the record and both shards are back", || async {
        let view = fresh.view().borrow().clone();
        let back = [0, 1].iter().all(|n| view.registrations.contains_key(&ShardId::numbered(*n)));
        view.stored.filter(|_| back).map(|stored| stored.record)
    })
    .await;
    assert_eq!(restored.settings(), edited.settings());
    assert!(restored.version() >= edited.version(), "no version is given out twice");
    assert_eq!(ring_of(&*second, &[0, 1]).await.layout.pins, edited.settings().pins);
    fresh.close().await;
    close([&first, &second]).await;
}
