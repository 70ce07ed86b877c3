//! Keeps registrations, the ring's record and the editor's lock in Kubernetes.
//!
//! Which shards answer is what the EndpointSlices of the shards' headless service say: a pod's hostname is its shard's
//! name. What a shard says of itself and the ring's record are keys of one ConfigMap; the record is replaced under the
//! resourceVersion that was read, so that a conflict is found. The editor's lock is a Lease.

mod cluster;
mod config_map;
mod editor;
mod endpoints;
mod options;
mod store;
mod watch;

pub use options::KubernetesOptions;
pub use store::KubernetesStore;
