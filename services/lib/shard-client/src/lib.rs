//! Finds the shard of a run by the ring and calls it: one link per shard, hints followed, retries with a budget.
//!
//! Gateway, order and waitlist share this router. [`ShardRouter::call`] makes one call to the owner of a run: a NOT_OWNER
//! answer's hint is followed once for each version of the ring, and UNAVAILABLE is tried again within the caller's
//! deadline, with jitter, as long as the retry budget lasts. Every call to a shard is safe to repeat, because its ids are the caller's. [`HoldLines`] sends
//! holds over one long-lived stream per shard instead, many in one message, and falls back to unary calls.

mod hold_lines;
mod line;
mod options;
mod retry;
mod router;

pub use discovery::{Discovery, FixedList, ListedShard, Membership, Registered, Registration, ShardState};
pub use hold_lines::{HoldLines, HoldLinesDriver};
pub use options::{RetryOptions, ShardsOptions};
pub use router::{RouterError, ShardRouter};

/// The generated client of a shard, for operators.
pub type ShardOperatorClient =
    proto::inventory::v1::shard_operator_service_client::ShardOperatorServiceClient<rpc::Link>;

/// The generated client of a shard.
pub type ShardClient = proto::inventory::v1::inventory_service_client::InventoryServiceClient<rpc::Link>;
