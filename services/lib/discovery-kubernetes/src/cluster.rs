use std::time::Duration;

use discovery::StoreError;
use domain::Invalid;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client, Config};

use crate::KubernetesOptions;

/// The fleet's objects in one cluster.
#[derive(Clone)]
pub struct Cluster {
    pub slices: Api<EndpointSlice>,
    pub config_maps: Api<ConfigMap>,
    pub leases: Api<Lease>,
    pub options: KubernetesOptions,
}

impl Cluster {
    /// The cluster that the options name.
    ///
    /// # Errors
    /// Neither a pod's own cluster nor a kubeconfig, or one that makes no client.
    pub async fn find(options: KubernetesOptions) -> Result<Self, Invalid> {
        let mut config = match options.url.as_deref().map(str::parse) {
            Some(url) => Config::new(url.map_err(|_| Invalid::new("url", "http://HOST:PORT", "something else"))?),
            None => Config::infer().await.map_err(|error| {
                Invalid::new("url", "an address, unless this is a pod or there is a kubeconfig", &error.to_string())
            })?,
        };
        config.connect_timeout = Some(Duration::from_millis(options.timeout_ms.into()));
        let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|error| Invalid::new("url", "a cluster that can be called", &error.to_string()))?;
        Ok(Self {
            slices: Api::namespaced(client.clone(), &namespace),
            config_maps: Api::namespaced(client.clone(), &namespace),
            leases: Api::namespaced(client, &namespace),
            options,
        })
    }

    /// A request, in time.
    ///
    /// # Errors
    /// The cluster's refusal, or no answer in time.
    pub async fn ask<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, StoreError> {
        self.try_ask(request).await?.map_err(failed)
    }

    /// A request, in time, that may find that somebody else was first.
    ///
    /// # Errors
    /// The cluster's other refusals, or no answer in time.
    pub async fn ask_unless_conflict<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, StoreError> {
        match self.try_ask(request).await? {
            Ok(done) => Ok(Some(done)),
            // Changed, made or deleted in between.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn try_ask<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<kube::Result<T>, StoreError> {
        let limit = Duration::from_millis(self.options.timeout_ms.into());
        let answered = tokio::time::timeout(limit, request).await;
        answered.map_err(|_| StoreError::new("kubernetes", format!("no answer within {} ms", limit.as_millis())))
    }
}

/// What the cluster said, without the debugging text that kube adds.
pub fn failed(error: kube::Error) -> StoreError {
    match error {
        kube::Error::Api(status) => StoreError::new("kubernetes", format!("{}: {}", status.code, status.message)),
        other => StoreError::new("kubernetes", other),
    }
}
