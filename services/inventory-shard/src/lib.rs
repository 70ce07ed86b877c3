//! A shard of inventory: the train-dates of the slots it owns.
//!
//! Who sits where is decided by the seat kernel, durably and in order, inside an engine over the journal. This crate is
//! the engine's face: requests become commands, answers and refusals become responses, changes become boards and the
//! journal becomes a feed. It knows tokens, never names; seats, never money.

mod boards;
mod config;
mod error;
mod feed;
mod grpc;
mod membership;
mod metrics;
mod operator;
mod ownership;

use std::sync::Arc;
use std::time::Duration;

use discovery::Discovery;
use domain::Invalid;
use engine::Engine;
use journal::Journal;
use proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use proto::inventory::v1::shard_operator_service_server::ShardOperatorServiceServer;
use ring::{LayoutError, Ring};
use rpc::Component;
use tokio_util::sync::CancellationToken;

pub use config::Options;
pub use membership::Departure;

use crate::boards::Boards;
use crate::boards::keeper::{Keeper, Timing};
use crate::feed::Feed;
use crate::grpc::{Bounds, Face};
use crate::membership::Life;
use crate::operator::OperatorFace;
use crate::ownership::Ownership;

/// What a shard needs.
#[derive(Clone)]
pub struct Dependencies {
    /// Where the shard's decisions become durable. Shards of one process share it.
    pub journal: Arc<dyn Journal>,
    /// Tells which slots are this shard's.
    pub discovery: Arc<dyn Discovery>,
    /// Where others reach the shard; none when they are all in this process.
    pub address: Option<String>,
    /// Asks the shard to leave before it is stopped.
    pub departure: Departure,
}

/// Why a shard cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Options that could not work.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// The first membership makes no ring.
    #[error(transparent)]
    Ring(#[from] LayoutError),
}

/// Builds the role under the shard's own name. One that the ring counts is ready once it has claimed every slot that is its
/// own; one that joins, once it has warmed up. Must be called inside a tokio runtime.
///
/// # Errors
/// Options that could not work, or a membership that makes no ring.
pub fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let Dependencies { journal, discovery, address, departure } = dependencies;
    let layout = discovery.watch().borrow().layout.clone();
    let ownership = Ownership::new(options.shard_id()?, Ring::new(layout)?);
    let engine = Engine::start(journal.clone(), options.engine());
    let handle = engine.handle();
    metrics::observe(&options.shard, &handle);

    let boards = Arc::new(Boards::new());
    let millis = Duration::from_millis;
    let timing = Timing {
        board_interval: millis(options.board_interval_ms),
        verify_interval: millis(options.verify_interval_ms),
        keep_past_days: options.board_keep_past_days,
    };
    let keeper = Keeper::new(boards.clone(), handle.clone(), ownership.clone(), timing);
    let feed = Feed {
        journal,
        engine: handle.clone(),
        ownership: ownership.clone(),
        boards: boards.clone(),
        interval: millis(options.feed_interval_ms),
    };
    let bounds = Bounds {
        timeout_default: millis(options.timeout_default_ms),
        stream_holds_max: options.stream_holds_max,
        board_interval: millis(options.board_interval_ms),
    };
    let leaving = CancellationToken::new();
    let face = Face::new(handle.clone(), ownership.clone(), boards.clone(), feed, leaving.clone(), bounds);
    let message_bytes_max = options.limits.message_bytes_max as usize;
    let server = InventoryServiceServer::new(face).max_decoding_message_size(message_bytes_max);

    let operator = ShardOperatorServiceServer::new(OperatorFace::new(handle.clone(), ownership.clone(), boards));
    let (life, mut when_ready) = Life::new(ownership, handle, discovery, address, leaving);
    let ready = async move {
        // A life that has ended is never ready.
        if when_ready.wait_for(|ready| *ready).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let drain = millis(options.drain_ms);
    Ok(Component::new(options.shard.clone(), options.limits)
        .service(server)
        .service(operator)
        .task("membership", move |stop| life.run(departure, stop))
        .task("boards", move |stop| keeper.run(stop))
        .task("engine", move |stop| async move {
            stop.cancelled().await;
            engine.shutdown(drain).await;
        })
        .ready_when(ready))
}
