//! The stories of every store, on the Kubernetes API: at the HTTP level against a server of this test's own that answers in
//! the recorded shapes, and against a real API server where one is named.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;

use async_trait::async_trait;
use discovery::suite::{self, World};
use discovery_kubernetes::{KubernetesOptions, KubernetesStore};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use ring::ShardId;
use rpc::SystemClock;
use serde_json::{Value, json};

use crate::fake::FakeServer;

/// A fleet of its own in a cluster. This test is the StatefulSet's and the EndpointSlices' controller.
struct Cluster {
    options: KubernetesOptions,
    slices: Api<EndpointSlice>,
    fake: Option<FakeServer>,
}

impl Cluster {
    async fn fake() -> Self {
        eprintln!("Kubernetes is a server of this test's own that answers in the API's recorded shapes");
        let fake = FakeServer::start().await;
        Self::at(fake.url(), Some(fake)).await
    }

    async fn real() -> Option<Self> {
        let Ok(url) = std::env::var("CHUNYUN_TEST_KUBE_API") else {
            eprintln!(
                "SKIPPED discovery on a real Kubernetes API: CHUNYUN_TEST_KUBE_API (such as a kubectl proxy's) is not set"
            );
            return None;
        };
        Some(Self::at(url, None).await)
    }

    async fn at(url: String, fake: Option<FakeServer>) -> Self {
        let fleet = format!("t{:016x}", rand::random::<u64>());
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let options = KubernetesOptions {
            url: Some(url),
            namespace: Some("default".into()),
            service: format!("{fleet}-shards"),
            config_map: format!("{fleet}-ring"),
            lease: format!("{fleet}-editor"),
            ..KubernetesOptions::default()
        };
        let cluster = Self { slices: Api::namespaced(client, "default"), options, fake };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
            "metadata": {"name": cluster.slice(), "labels": {"kubernetes.io/service-name": cluster.options.service}},
            "ports": [{"name": "grpc", "port": 7001, "protocol": "TCP"}],
        });
        cluster.slices.create(&PostParams::default(), &serde_json::from_value(slice).unwrap()).await.unwrap();
        cluster
    }

    fn slice(&self) -> String {
        format!("{}-x7k2p", self.options.service)
    }

    async fn endpoint(&self, shard: &ShardId, conditions: Value) {
        let slice = self.slices.get(&self.slice()).await.unwrap();
        let mut endpoints: Vec<Value> = slice.endpoints.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
        endpoints.retain(|endpoint| endpoint["hostname"] != shard.as_str());
        endpoints.push(json!({"addresses": ["10.1.0.5"], "hostname": shard.as_str(), "conditions": conditions}));
        let patch = json!({"endpoints": endpoints});
        self.slices.patch(&self.slice(), &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    fn own(&self) -> &FakeServer {
        self.fake.as_ref().expect("only stories with a server of their own stop it")
    }
}

#[async_trait]
impl World for Cluster {
    type Store = KubernetesStore;

    async fn store(&self) -> KubernetesStore {
        KubernetesStore::start(self.options.clone(), Arc::new(SystemClock)).await.unwrap()
    }

    async fn listen(&self, shard: &ShardId) -> Option<String> {
        self.endpoint(shard, json!({"ready": true, "serving": true, "terminating": false})).await;
        Some(format!("http://{shard}.{}:7001", self.options.service))
    }

    async fn silence(&self, shard: &ShardId) {
        self.endpoint(shard, json!({"ready": true, "serving": false, "terminating": false})).await;
    }

    async fn stop(&self) {
        self.own().stop();
    }

    async fn resume(&self) {
        self.own().resume();
    }

    /// The fleet's own objects; the slices are the cluster's.
    async fn wipe(&self) {
        self.own().forget("configmaps");
        self.own().forget("leases");
    }
}

#[tokio::test]
async fn shards_come_and_go() {
    suite::shards_come_and_go(&Cluster::fake().await).await;
}

#[tokio::test]
async fn edits_are_made_one_by_one() {
    suite::edits_are_made_one_by_one(&Cluster::fake().await).await;
}

#[tokio::test]
async fn the_last_ring_stands_while_the_store_is_gone() {
    suite::the_last_ring_stands_while_the_store_is_gone(&Cluster::fake().await).await;
}

#[tokio::test]
async fn a_wiped_store_is_rebuilt() {
    suite::a_wiped_store_is_rebuilt(&Cluster::fake().await).await;
}

/// A watch whose version the server has forgotten is answered 410 and begins anew; bookmarks keep a quiet one fresh.
#[tokio::test]
async fn a_watch_that_is_too_old_lists_anew() {
    let cluster = Cluster::fake().await;
    let shard = ShardId::numbered(0);
    let process = discovery::Shared::start(cluster.store().await, &suite::listed(), suite::options()).await.unwrap();
    cluster.listen(&shard).await;
    let registered = discovery::Discovery::register(&process, shard.clone(), None, discovery::ShardState::Serving);
    let seen = discovery::Discovery::registrations(&process);
    let healthy = |wanted: bool| {
        let (seen, shard) = (seen.clone(), shard.clone());
        async move { seen.borrow().get(&shard).filter(|it| it.healthy == wanted).map(|_| ()) }
    };
    suite::until("the shard is seen", || healthy(true)).await;
    suite::until("a bookmark is sent", || async { (cluster.own().bookmarks() > 0).then_some(()) }).await;
    cluster.own().compact();
    cluster.own().hang_up();
    suite::until("the server has answered 410", || async { (cluster.own().too_old() > 0).then_some(()) }).await;
    cluster.silence(&shard).await;
    suite::until("what happens after it is seen", || healthy(false)).await;
    registered.leave().await;
    discovery::Discovery::close(&process).await;
}

#[tokio::test]
async fn a_real_cluster_does_the_same() {
    let Some(cluster) = Cluster::real().await else { return };
    suite::shards_come_and_go(&cluster).await;
    cluster.slices.delete(&cluster.slice(), &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_real_cluster_keeps_editors_apart() {
    let Some(cluster) = Cluster::real().await else { return };
    suite::edits_are_made_one_by_one(&cluster).await;
    cluster.slices.delete(&cluster.slice(), &DeleteParams::default()).await.unwrap();
}
