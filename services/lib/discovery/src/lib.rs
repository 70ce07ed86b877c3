//! Tells every role which shards there are: registrations, the ring's record, and who may edit it.
//!
//! [`Discovery`] is what roles hold. [`FixedList`] never changes. [`Shared`] is all the others: it drives the pure rules
//! of `membership` over a [`Store`], which is memory here ([`InProcess`]) and Consul or Kubernetes in crates of their own.
//! When a store is lost the last ring stands; when its data is gone, whoever has the newest record puts it back.

mod contract;
mod document;
mod editor;
mod fixed;
mod keeper;
mod memory;
mod metrics;
mod options;
mod registered;
mod shared;
mod store;
#[cfg(feature = "suite")]
pub mod suite;

pub use contract::{Discovery, DiscoveryError};
pub use document::{BadRecord, read_record, write_record};
pub use editor::EditorLock;
pub use fixed::{FixedList, ListedShard};
pub use membership::{Damping, Membership, Registration, RingRecord, RingSettings, ShardState, Standing};
pub use memory::{InProcess, Memory};
pub use options::SharedOptions;
pub use registered::Registered;
pub use shared::{Shared, StartError};
pub use store::{Acquired, Announcement, LockToken, Store, StoreError, Stored, Tag, View};
