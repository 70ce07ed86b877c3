//! Standing demand: passengers who wait for a seat.
//!
//! An entry is one versioned row. It waits in the line of a run, which is part of the run's aggregate at its shard: there,
//! freed seats are offered in recorded order. This service learns of an offer from the journal's feed, takes it, and has
//! the order service make the order; what happens when is decided by a pure state machine ([`state`]), recorded, and
//! only then performed, so whatever a crash or an outage interrupts is due again. Passengers are stored sealed.

mod app;
mod config;
mod convert;
pub mod entry;
mod error;
mod feed;
mod grpc;
mod line_events;
mod metrics;
pub mod state;
pub mod store;

use std::sync::Arc;

use domain::Invalid;
use due_work::{Limits, drive};
use policy::Policy;
use privacy::{DocumentVault, PersonTokens};
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::waitlist::v1::waitlist_service_server::WaitlistServiceServer;
use rpc::{Clock, Component, Link};
use shard_client::ShardRouter;
use storage::{Database, OpenError};
use timetable::Timetable;
use tokio::sync::Notify;

pub use config::Options;
pub use error::Error;

use crate::app::{App, Worker};

/// What the waitlist needs.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// Its own database.
    pub database: Database,
    /// The timetable the whole fleet has loaded.
    pub timetable: Arc<Timetable>,
    /// The railway's numbers.
    pub policy: Arc<Policy>,
    /// The shards.
    pub shards: ShardRouter,
    /// The order service.
    pub orders: Link,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Seals passengers.
    pub vault: Arc<DocumentVault>,
    /// Makes the tokens lines know passengers by.
    pub tokens: Arc<PersonTokens>,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Options that could not work.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// The database could not be brought up to date.
    #[error(transparent)]
    Database(#[from] OpenError),
}

/// Builds the role. Its tables are brought up to date first.
///
/// # Errors
/// See [`BuildError`].
pub async fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let Dependencies { database, timetable, policy, shards, orders, clock, vault, tokens } = dependencies;
    let limits = Limits { in_flight_max: options.sweep_in_flight_max, poll_ms: options.sweep_poll_ms };
    let server_limits = options.limits.clone();
    let app = Arc::new(App {
        store: store::open(&database).await?,
        shards,
        orders: OrderServiceClient::new(orders),
        timetable,
        policy,
        vault,
        tokens,
        clock,
        wake: Arc::new(Notify::new()),
        options,
    });
    let (worker, wake, feeds) = (Worker(app.clone()), app.wake.clone(), app.clone());
    Ok(Component::new("waitlist", server_limits)
        .service(WaitlistServiceServer::new(grpc::Face::new(app)))
        .task("entries", move |stop| async move { drive(&worker, limits, &wake, &stop).await })
        .task("feeds", move |stop| feed::follow_all(feeds, stop)))
}
