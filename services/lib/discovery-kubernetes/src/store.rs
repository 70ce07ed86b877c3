use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use discovery::{Acquired, Announcement, LockToken, RingRecord, Store, StoreError, Stored, Tag, View, write_record};
use domain::Invalid;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use ring::ShardId;
use rpc::Clock;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;
use crate::config_map::{self, RECORD, shard_key, shard_value};
use crate::watch::{Watched, follow_map, follow_slices};
use crate::{KubernetesOptions, editor};

/// A fleet's objects in Kubernetes.
pub struct KubernetesStore {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    watched: Arc<Watched>,
    watchers: TaskTracker,
    stop: CancellationToken,
}

impl KubernetesStore {
    /// Begins to watch. The API server need not answer yet.
    ///
    /// # Errors
    /// Options out of their range, or a cluster that is not described anywhere.
    pub async fn start(options: KubernetesOptions, clock: Arc<dyn Clock>) -> Result<Self, Invalid> {
        options.validate()?;
        let cluster = Cluster::find(options.clone()).await?;
        let (watched, watchers, stop) = (Arc::new(Watched::new()), TaskTracker::new(), CancellationToken::new());
        watchers.spawn(follow_slices(cluster.slices.clone(), options.clone(), watched.clone(), stop.clone()));
        watchers.spawn(follow_map(cluster.config_maps.clone(), options, watched.clone(), stop.clone()));
        Ok(Self { cluster, clock, watched, watchers, stop })
    }

    async fn config_map(&self) -> Result<Option<ConfigMap>, StoreError> {
        self.cluster.ask(self.cluster.config_maps.get_opt(&self.cluster.options.config_map)).await
    }

    /// Makes the ConfigMap with one key; `false` when it is there already.
    async fn create(&self, key: &str, value: String) -> Result<bool, StoreError> {
        let name = self.cluster.options.config_map.clone();
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(key.to_owned(), value)])),
            ..ConfigMap::default()
        };
        let parameters = PostParams::default();
        let created = self.cluster.config_maps.create(&parameters, &map);
        Ok(self.cluster.ask_unless_conflict(created).await?.is_some())
    }

    /// Changes one key; `false` when the ConfigMap is not there, or not of the version it should be.
    async fn change(&self, key: &str, value: Value, version: Option<&str>) -> Result<bool, StoreError> {
        let mut patch = json!({"data": {key: value}});
        if let Some(version) = version {
            // Makes the server refuse the change if the object is another one by then.
            patch["metadata"] = json!({"resourceVersion": version});
        }
        let (name, parameters, patch) =
            (&self.cluster.options.config_map, PatchParams::default(), Patch::Merge(&patch));
        let changed = self.cluster.config_maps.patch(name, &parameters, &patch);
        Ok(self.cluster.ask_unless_conflict(changed).await?.is_some())
    }
}

#[async_trait]
impl Store for KubernetesStore {
    fn view(&self) -> watch::Receiver<View> {
        self.watched.view()
    }

    async fn read(&self) -> Result<Option<Stored>, StoreError> {
        self.config_map().await?.as_ref().map_or(Ok(None), config_map::stored)
    }

    async fn write(&self, record: &RingRecord, over: Option<&Tag>) -> Result<bool, StoreError> {
        let text = write_record(record);
        if let Some(Tag(version)) = over {
            return self.change(RECORD, text.into(), Some(version)).await;
        }
        let Some(map) = self.config_map().await? else { return self.create(RECORD, text).await };
        if config_map::stored(&map)?.is_some() {
            return Ok(false);
        }
        // Shards have registered in it already, but it has no record.
        self.change(RECORD, text.into(), map.metadata.resource_version.as_deref()).await
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let (key, value) = (shard_key(&announcement.shard), shard_value(announcement));
        if self.change(&key, value.clone().into(), None).await? || self.create(&key, value).await? {
            return Ok(());
        }
        Err(StoreError::new("kubernetes", "the config map was made and deleted at the same time"))
    }

    async fn withdraw(&self, shard: &ShardId) -> Result<(), StoreError> {
        // Null deletes the key. A ConfigMap that is not there has none.
        self.change(&shard_key(shard), Value::Null, None).await.map(|_| ())
    }

    async fn acquire(&self, holder: &str) -> Result<Acquired, StoreError> {
        editor::acquire(&self.cluster, holder, self.clock.now()).await
    }

    async fn renew(&self, token: &LockToken) -> Result<bool, StoreError> {
        editor::hold(&self.cluster, token, true, self.clock.now()).await
    }

    async fn release(&self, token: &LockToken) -> Result<(), StoreError> {
        editor::hold(&self.cluster, token, false, self.clock.now()).await.map(|_| ())
    }

    async fn close(&self) {
        self.stop.cancel();
        self.watchers.close();
        self.watchers.wait().await;
    }
}
