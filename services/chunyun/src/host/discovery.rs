//! Where a process learns which shards there are, as `[discovery]` says.

use std::net::SocketAddr;
use std::sync::Arc;

use ::discovery::{Discovery, FixedList, InProcess, Memory, Shared, SharedOptions, Store};
use discovery_consul::{ConsulOptions, ConsulStore};
#[cfg(feature = "kubernetes")]
use discovery_kubernetes::{KubernetesOptions, KubernetesStore};
use serde::Deserialize;
use shard_client::ListedShard;

use super::fleet::HostError;

/// Where this process learns which shards there are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoveryConfig {
    /// What tells.
    pub kind: DiscoveryKind,
    /// Where others reach the shard of this process, such as `http://10.0.0.7:7001`; left out, `listen.internal`.
    pub advertise: Option<String>,
    /// How quickly the ring follows what is seen.
    pub ring: SharedOptions,
    /// Consul, where it tells.
    pub consul: ConsulOptions,
    /// Kubernetes, where it tells.
    #[cfg(feature = "kubernetes")]
    pub kubernetes: KubernetesOptions,
}

/// What tells which shards there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscoveryKind {
    /// `shards.list`, for good.
    #[default]
    Fixed,
    /// This process, which runs every shard; edits of the ring end with it.
    InProcess,
    /// Consul; `shards.list` is what the fleet starts with.
    Consul,
    /// Kubernetes, in a binary built with it; `shards.list` is what the fleet starts with.
    Kubernetes,
}

impl DiscoveryKind {
    /// Whether shards are processes of their own that others must be able to reach.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Consul | Self::Kubernetes)
    }
}

/// Finds the fleet.
///
/// # Errors
/// A setting that is wrong, a store that cannot be reached.
pub async fn start(config: &DiscoveryConfig, list: &[ListedShard]) -> Result<Arc<dyn Discovery>, HostError> {
    let ring = &config.ring;
    match config.kind {
        DiscoveryKind::Fixed => Ok(Arc::new(FixedList::new(list).map_err(|error| wrong("shards.list", error))?)),
        DiscoveryKind::InProcess => {
            let started = InProcess::start(Memory::default(), list, ring.clone()).await;
            Ok(Arc::new(started.map_err(|error| wrong("discovery.ring", error))?))
        }
        DiscoveryKind::Consul => {
            let store = ConsulStore::start(config.consul.clone()).map_err(|error| wrong("discovery.consul", error))?;
            shared(store, list, ring, "discovery.consul").await
        }
        #[cfg(feature = "kubernetes")]
        DiscoveryKind::Kubernetes => {
            let store = KubernetesStore::start(config.kubernetes.clone(), Arc::new(rpc::SystemClock)).await;
            let store = store.map_err(|error| wrong("discovery.kubernetes", error))?;
            shared(store, list, ring, "discovery.kubernetes").await
        }
        #[cfg(not(feature = "kubernetes"))]
        DiscoveryKind::Kubernetes => Err(wrong(
            "discovery.kind",
            "this binary was built without Kubernetes: build it with --features kubernetes",
        )),
    }
}

async fn shared<S: Store>(
    store: S,
    list: &[ListedShard],
    ring: &SharedOptions,
    setting: &str,
) -> Result<Arc<dyn Discovery>, HostError> {
    let started = Shared::start(store, list, ring.clone()).await;
    Ok(Arc::new(started.map_err(|error| wrong(setting, error))?))
}

/// Where others reach the shard of this process; none when they are all in it.
///
/// # Errors
/// Shards that others must reach, but nowhere to reach them at.
pub fn shard_address(config: &DiscoveryConfig, internal: Option<SocketAddr>) -> Result<Option<String>, HostError> {
    if !config.kind.is_shared() {
        return Ok(None);
    }
    if let Some(advertised) = &config.advertise {
        return Ok(Some(advertised.clone()));
    }
    match internal {
        Some(address) if !address.ip().is_unspecified() => Ok(Some(format!("http://{address}"))),
        Some(address) => {
            Err(wrong("discovery.advertise", format!("{address} is everywhere: say where others reach it")))
        }
        None => Err(wrong("listen.internal", "others must reach the shard of this process: an address is needed")),
    }
}

fn wrong(setting: &str, reason: impl ToString) -> HostError {
    HostError::Setting { setting: setting.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_others_must_reach_says_where() {
        let consul = DiscoveryConfig { kind: DiscoveryKind::Consul, ..DiscoveryConfig::default() };
        let at = |address: &str| Some(address.parse().unwrap());
        assert_eq!(shard_address(&consul, at("10.0.0.7:7001")).unwrap().unwrap(), "http://10.0.0.7:7001");
        let everywhere = shard_address(&consul, at("0.0.0.0:7001")).unwrap_err().to_string();
        assert!(everywhere.contains("discovery.advertise"), "{everywhere}");
        assert!(shard_address(&consul, None).unwrap_err().to_string().contains("listen.internal"));
        assert_eq!(shard_address(&DiscoveryConfig::default(), None).unwrap(), None);
    }

    #[tokio::test]
    async fn a_store_that_is_not_there_is_named() {
        let mut config = DiscoveryConfig { kind: DiscoveryKind::Consul, ..DiscoveryConfig::default() };
        config.consul.address = "http://127.0.0.1:1".to_owned();
        config.ring.start_ms = 200;
        let list = shard_client::ShardsOptions::default().list;
        let error = start(&config, &list).await.err().unwrap().to_string();
        assert!(error.contains("discovery.consul") && error.contains("200 ms"), "{error}");
    }
}
