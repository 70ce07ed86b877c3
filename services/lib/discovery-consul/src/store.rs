use std::sync::Arc;

use async_trait::async_trait;
use discovery::{Acquired, Announcement, LockToken, RingRecord, Store, StoreError, Stored, Tag, View, write_record};
use domain::Invalid;
use http::StatusCode;
use ring::ShardId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ConsulOptions;
use crate::api::{Answer, Api};
use crate::watch::{Subject, Watched, follow};
use crate::wire::{KeyValue, NewSession, ServiceRegistration, Session, service_id};

/// A fleet's part of Consul.
pub struct ConsulStore {
    api: Api,
    options: ConsulOptions,
    watched: Arc<Watched>,
    watchers: TaskTracker,
    stop: CancellationToken,
}

impl ConsulStore {
    /// Begins to watch. Consul need not be there yet.
    ///
    /// # Errors
    /// Options out of their range, a file that cannot be read.
    pub fn start(options: ConsulOptions) -> Result<Self, Invalid> {
        options.validate()?;
        let api = Api::new(&options)?;
        let (watched, watchers, stop) = (Arc::new(Watched::new()), TaskTracker::new(), CancellationToken::new());
        for subject in [Subject::Health, Subject::Record] {
            watchers.spawn(follow(api.clone(), options.clone(), subject, watched.clone(), stop.clone()));
        }
        Ok(Self { api, options, watched, watchers, stop })
    }

    async fn key(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        // Of the leader's own memory: an edit rests on it.
        let answer = self.api.get(&format!("/v1/kv/{key}?consistent")).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { KeyValue::of(&answer.body).map(Some) }
    }

    async fn end_session(&self, session: &str) -> Result<(), StoreError> {
        done(&self.api.put(&format!("/v1/session/destroy/{session}"), "").await?).map(|_| ())
    }
}

/// What Consul answers to a write: whether it took place.
fn done(answer: &Answer) -> Result<bool, StoreError> {
    match answer.body.trim_ascii() {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(StoreError::new("consul", "an answer that is neither true nor false")),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::new("consul", error))
}

#[async_trait]
impl Store for ConsulStore {
    fn view(&self) -> watch::Receiver<View> {
        self.watched.view()
    }

    async fn read(&self) -> Result<Option<Stored>, StoreError> {
        self.key(&self.options.record_key()).await?.map(|key| key.stored()).transpose()
    }

    async fn write(&self, record: &RingRecord, over: Option<&Tag>) -> Result<bool, StoreError> {
        let index = over.map_or("0", |tag| tag.0.as_str());
        let path = format!("/v1/kv/{}?cas={index}", self.options.record_key());
        done(&self.api.put(&path, write_record(record)).await?)
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let registration = ServiceRegistration::of(announcement, &self.options)?;
        let path = "/v1/agent/service/register?replace-existing-checks=true";
        self.api.put(path, json(&registration)?).await.map(|_| ())
    }

    async fn withdraw(&self, shard: &ShardId) -> Result<(), StoreError> {
        let path = format!("/v1/agent/service/deregister/{}", service_id(shard, &self.options));
        // Not found is as good.
        self.api.put(&path, "").await.map(|_| ())
    }

    async fn acquire(&self, holder: &str) -> Result<Acquired, StoreError> {
        let session = NewSession {
            name: format!("{} ring editor", self.options.fleet),
            ttl: format!("{}s", self.options.lock_ttl_s),
            // An editor that lost the lock is stopped by compare-and-set; nobody need wait for it.
            lock_delay: "0s",
            behavior: "delete",
        };
        let created = self.api.put("/v1/session/create", json(&session)?).await?;
        let Session { id } = serde_json::from_slice(&created.body).map_err(|e| StoreError::new("consul", e))?;
        let key = self.options.editor_key();
        let taken =
            self.api.put(&format!("/v1/kv/{key}?acquire={id}"), holder.to_owned()).await.and_then(|it| done(&it));
        if let Ok(true) = taken {
            return Ok(Acquired::Taken(LockToken(id)));
        }
        self.end_session(&id).await?;
        taken?;
        let value = self.key(&key).await?.map(|key| key.value()).transpose()?.unwrap_or_default();
        Ok(Acquired::HeldBy(String::from_utf8_lossy(&value).into_owned()))
    }

    async fn renew(&self, token: &LockToken) -> Result<bool, StoreError> {
        // A session that is gone answers 404.
        let answer = self.api.put(&format!("/v1/session/renew/{}", token.0), "").await?;
        Ok(answer.status != StatusCode::NOT_FOUND)
    }

    async fn release(&self, token: &LockToken) -> Result<(), StoreError> {
        self.end_session(&token.0).await
    }

    async fn close(&self) {
        self.stop.cancel();
        self.watchers.close();
        self.watchers.wait().await;
    }
}
