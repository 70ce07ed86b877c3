//! The stories of every store, on a real Consul agent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod agent;

use std::collections::HashMap;

use async_trait::async_trait;
use discovery::suite::{self, World};
use discovery_consul::{ConsulOptions, ConsulStore};
use ring::ShardId;
use rpc::{Component, Limits, Running};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::agent::Agent;

/// A fleet of its own in an agent.
struct Consul {
    options: ConsulOptions,
    /// Only of an agent of this test's own.
    agent: Option<Agent>,
    shards: Mutex<HashMap<ShardId, Running>>,
}

impl Consul {
    /// In the agent that all tests share.
    fn shared() -> Option<Self> {
        let Ok(address) = std::env::var("CHUNYUN_TEST_CONSUL") else {
            eprintln!("SKIPPED discovery on Consul: CHUNYUN_TEST_CONSUL is not set");
            return None;
        };
        Some(Self::at(address, None))
    }

    /// In an agent of its own, which can be stopped and wiped.
    async fn own() -> Option<Self> {
        let Ok(binary) = std::env::var("CHUNYUN_TEST_CONSUL_BINARY") else {
            eprintln!("SKIPPED loss of Consul: CHUNYUN_TEST_CONSUL_BINARY is not set");
            return None;
        };
        let agent = Agent::start(binary).await;
        Some(Self::at(agent.address(), Some(agent)))
    }

    fn at(address: String, agent: Option<Agent>) -> Self {
        let fleet = format!("t{:016x}", rand::random::<u64>());
        let options = ConsulOptions { address, fleet, check_interval_ms: 200, ..ConsulOptions::default() };
        Self { options, agent, shards: Mutex::default() }
    }

    fn own_agent(&self) -> &Agent {
        self.agent.as_ref().expect("only stories with an agent of their own stop it")
    }

    async fn end(self) {
        for (_, running) in self.shards.into_inner() {
            running.drain(std::time::Duration::ZERO).await;
            running.join().await;
        }
    }
}

#[async_trait]
impl World for Consul {
    type Store = ConsulStore;

    async fn store(&self) -> ConsulStore {
        ConsulStore::start(self.options.clone()).unwrap()
    }

    async fn listen(&self, shard: &ShardId) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        // Never ready: what discovery asks is whether the process is there.
        let component = Component::new(shard.as_str(), Limits::internal()).ready_when(std::future::pending());
        let running = component.start().await;
        running.serve(listener);
        self.shards.lock().await.insert(shard.clone(), running);
        Some(address)
    }

    async fn silence(&self, shard: &ShardId) {
        let running = self.shards.lock().await.remove(shard).unwrap();
        running.drain(std::time::Duration::ZERO).await;
        running.join().await;
    }

    async fn stop(&self) {
        self.own_agent().stop().await;
    }

    async fn resume(&self) {
        self.own_agent().resume().await;
    }

    async fn wipe(&self) {
        self.own_agent().wipe().await;
    }
}

#[tokio::test]
async fn shards_come_and_go() {
    let Some(consul) = Consul::shared() else { return };
    suite::shards_come_and_go(&consul).await;
    consul.end().await;
}

#[tokio::test]
async fn edits_are_made_one_by_one() {
    let Some(consul) = Consul::shared() else { return };
    suite::edits_are_made_one_by_one(&consul).await;
    consul.end().await;
}

#[tokio::test]
async fn the_last_ring_stands_while_the_store_is_gone() {
    let Some(consul) = Consul::own().await else { return };
    suite::the_last_ring_stands_while_the_store_is_gone(&consul).await;
    consul.end().await;
}

#[tokio::test]
async fn a_wiped_store_is_rebuilt() {
    let Some(consul) = Consul::own().await else { return };
    suite::a_wiped_store_is_rebuilt(&consul).await;
    consul.end().await;
}
