//! The stories of every store, in memory.

use async_trait::async_trait;
use discovery::suite::{self, World};
use discovery::{Discovery, DiscoveryError, FixedList, InProcess, Memory, Registered, ShardState};
use ring::ShardId;

struct InMemory(Memory);

#[async_trait]
impl World for InMemory {
    type Store = Memory;

    async fn store(&self) -> Memory {
        self.0.clone()
    }

    async fn listen(&self, _shard: &ShardId) -> Option<String> {
        None
    }

    async fn silence(&self, shard: &ShardId) {
        self.0.set_health(shard, false);
    }

    async fn stop(&self) {
        self.0.set_reached(false);
    }

    async fn resume(&self) {
        self.0.set_reached(true);
    }

    async fn wipe(&self) {
        self.0.wipe();
    }
}

fn world() -> InMemory {
    InMemory(Memory::default())
}

#[tokio::test]
async fn shards_come_and_go() {
    suite::shards_come_and_go(&world()).await;
}

#[tokio::test]
async fn edits_are_made_one_by_one() {
    suite::edits_are_made_one_by_one(&world()).await;
}

#[tokio::test]
async fn the_last_ring_stands_while_the_store_is_gone() {
    suite::the_last_ring_stands_while_the_store_is_gone(&world()).await;
}

#[tokio::test]
async fn a_wiped_store_is_rebuilt() {
    suite::a_wiped_store_is_rebuilt(&world()).await;
}

#[tokio::test]
async fn closing_gives_back_a_lock_that_is_still_held() {
    let memory = Memory::default();
    let process =
        |memory: Memory| async { InProcess::start(memory, &suite::listed(), suite::options()).await.unwrap() };
    let first = process(memory.clone()).await;
    let lock = first.lock_editor("an operator who is still at it").await.unwrap();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(30), first.close()).await;
    assert!(closed.is_ok() && lock.is_lost());
    let second = process(memory).await;
    second.lock_editor("the next").await.unwrap().release().await;
    second.close().await;
}

#[tokio::test]
async fn a_fixed_list_says_how_it_is_changed() {
    let list = FixedList::new(&suite::listed()).unwrap();
    assert!(list.registrations().borrow().values().all(|it| it.serves()));
    assert_eq!(list.record().settings().members.len(), 3);
    let registered: Registered = list.register(ShardId::numbered(0), None, ShardState::Serving);
    registered.leave().await;
    let error = list.lock_editor("an operator").await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Fixed) && error.to_string().contains("shards.list"), "{error}");
}
