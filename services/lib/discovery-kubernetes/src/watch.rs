use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use discovery::{StoreError, View};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::KubernetesOptions;
use crate::{config_map, endpoints};

/// What the two watches have last seen; none while one has no answer.
#[derive(Debug)]
pub struct Watched {
    view: watch::Sender<View>,
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    slices: Seen<EndpointSlice>,
    maps: Seen<ConfigMap>,
}

/// The objects of one kind by name.
#[derive(Debug)]
struct Seen<K> {
    answered: bool,
    objects: BTreeMap<String, K>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self { answered: false, objects: BTreeMap::new() }
    }
}

impl Watched {
    pub fn new() -> Self {
        Self { view: watch::Sender::new(View::default()), objects: Mutex::default() }
    }

    pub fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Shows what follows from a change of the objects.
    fn change(&self, change: impl FnOnce(&mut Objects)) {
        let mut objects = self.objects.lock();
        change(&mut objects);
        let Objects { slices, maps } = &*objects;
        let map = maps.objects.values().next();
        let mut reached = slices.answered && maps.answered;
        let stored = map.map_or(Ok(None), config_map::stored).unwrap_or_else(|error| {
            // Left to an operator: overwriting what cannot be read could undo an edit of a newer release.
            tracing::error!(%error, "the ring's record cannot be read: the last ring stands");
            reached = false;
            None
        });
        let registrations = config_map::registrations(map, &endpoints::pods(slices.objects.values()));
        // Under the lock, so that an older view never follows a newer. Out of reach, the rest stays as it was.
        self.view.send_modify(|view| {
            view.reached = reached;
            if reached {
                view.stored = stored;
                view.registrations = registrations;
            }
        });
    }
}

/// Follows the EndpointSlices of the shards' service until it is stopped.
pub async fn follow_slices(
    api: Api<EndpointSlice>,
    options: KubernetesOptions,
    watched: Arc<Watched>,
    stop: CancellationToken,
) {
    let wanted = watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", options.service));
    let show = |change: Change<EndpointSlice>| watched.change(|objects| objects.slices.apply(change));
    follow(api, wanted, &options, show, stop).await;
}

/// Follows the ConfigMap until it is stopped.
pub async fn follow_map(
    api: Api<ConfigMap>,
    options: KubernetesOptions,
    watched: Arc<Watched>,
    stop: CancellationToken,
) {
    let wanted = watcher::Config::default().fields(&format!("metadata.name={}", options.config_map));
    let show = |change: Change<ConfigMap>| watched.change(|objects| objects.maps.apply(change));
    follow(api, wanted, &options, show, stop).await;
}

/// What happened to the objects of one kind.
enum Change<K> {
    /// These are all there are.
    All(BTreeMap<String, K>),
    Applied(String, K),
    Deleted(String),
    /// They cannot be seen.
    Lost,
}

impl<K> Seen<K> {
    fn apply(&mut self, change: Change<K>) {
        match change {
            Change::All(objects) => *self = Self { answered: true, objects },
            Change::Applied(name, object) => _ = self.objects.insert(name, object),
            Change::Deleted(name) => _ = self.objects.remove(&name),
            Change::Lost => self.answered = false,
        }
    }
}

/// Lists and watches; begins anew after each failure, so that what is shown is what is.
async fn follow<K>(
    api: Api<K>,
    wanted: watcher::Config,
    options: &KubernetesOptions,
    show: impl Fn(Change<K>),
    stop: CancellationToken,
) where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut failures: u32 = 0;
    loop {
        let watching = watch_once(&api, &wanted, &show, &mut failures);
        let Some(error) = stop.run_until_cancelled(watching).await else { return };
        tracing::warn!(%error, failures, "kubernetes does not answer: the last ring stands");
        show(Change::Lost);
        let full = options.retry_ms.saturating_mul(1 << failures.min(16)).min(options.retry_max_ms);
        failures = failures.saturating_add(1);
        let pause = Duration::from_millis(u64::from(full - rand::random_range(0..=full / 2)));
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Shows every change until the watch fails; why it did.
async fn watch_once<K>(
    api: &Api<K>,
    wanted: &watcher::Config,
    show: impl Fn(Change<K>),
    failures: &mut u32,
) -> StoreError
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut events = pin!(watcher::watcher(api.clone(), wanted.clone()));
    let mut listed = BTreeMap::new();
    let name = |object: &K| object.meta().name.clone().unwrap_or_default();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(object))) => _ = listed.insert(name(&object), object),
            Ok(Some(Event::InitDone)) => {
                *failures = 0;
                show(Change::All(std::mem::take(&mut listed)));
            }
            Ok(Some(Event::Apply(object))) => show(Change::Applied(name(&object), object)),
            Ok(Some(Event::Delete(object))) => show(Change::Deleted(name(&object))),
            Ok(None) => return StoreError::new("kubernetes", "the watch has ended"),
            Err(error) => return StoreError::new("kubernetes", error),
        }
    }
}
