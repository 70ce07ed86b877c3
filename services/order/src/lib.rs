//! Orders, tickets and the saga from hold to ticket and back.
//!
//! An order is one versioned row. What happens to it is decided by a pure state machine ([`state`]), recorded, and only
//! then performed: opening and confirming holds at the shards, trades and refunds at payment. Whatever a crash or an
//! outage interrupts is due again, and the sweeper goes on with it. Passengers are stored sealed.

mod app;
mod config;
mod convert;
mod error;
mod grpc;
pub mod inventory;
mod metrics;
mod reseal;
pub mod rules;
mod shards;
pub mod store;
#[cfg(test)]
mod test_databases;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use due_work::{Limits, drive};
use policy::{Policy, RailwayClock};
use portable_sql::Connected;
use privacy::{DocumentVault, PersonTokens};
use proto::order::v1::order_operator_service_server::OrderOperatorServiceServer;
use proto::order::v1::order_service_server::OrderServiceServer;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use rpc::{Clock, Component, Link};
use shard_client::ShardRouter;
use storage::{Database, GroupWriterOptions};
use timetable::Timetable;
use tokio::sync::Notify;

use crate::app::{App, Sweeper};
use crate::store::{OrderStore, POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS, SqlStore};
use crate::watch::Watchers;

pub use config::Options;
pub use error::Error;
pub use order_saga::{order, state};
pub use reseal::{ResealError, ResealReport, reseal};
pub use shards::Shards;

/// What the order service needs.
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
    /// The payment service.
    pub payment: Link,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Seals passengers.
    pub vault: Arc<DocumentVault>,
    /// Makes the tokens inventory knows passengers by.
    pub tokens: Arc<PersonTokens>,
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Options that could not work.
    #[error(transparent)]
    Options(#[from] domain::Invalid),
    /// The database could not be brought up to date.
    #[error(transparent)]
    Database(#[from] storage::OpenError),
}

/// Builds the role. Its tables are brought up to date first.
///
/// # Errors
/// See [`BuildError`].
pub async fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let Dependencies { database, timetable, policy, shards, payment, clock, vault, tokens } = dependencies;
    let store = open_store(&database, &options).await?;
    let app = Arc::new(App {
        store,
        inventory: Arc::new(Shards::new(shards)),
        payment: PaymentServiceClient::new(payment),
        terms: App::terms(&options, &policy),
        timetable,
        policy,
        vault,
        tokens,
        clock,
        watchers: Watchers::new(options.watched_orders_max),
        calendar: RailwayClock::new(),
        options,
    });
    Ok(component(app))
}

/// The order store of a database, its tables brought up to date.
///
/// # Errors
/// The tables could not be brought up to date.
pub async fn open_store(database: &Database, options: &Options) -> Result<Arc<dyn OrderStore>, storage::OpenError> {
    database.migrate(&SQLITE_MIGRATIONS, &POSTGRES_MIGRATIONS).await?;
    let group = GroupWriterOptions {
        queue_members_max: options.commit_queue_max,
        group_members_max: options.commit_group_max,
        ..GroupWriterOptions::default()
    };
    Ok(match database {
        Database::Sqlite(file) => {
            Arc::new(SqlStore::new(Connected::new(file.readers().clone(), file.writer().clone(), group)))
        }
        Database::Postgres(pool) => Arc::new(SqlStore::new(Connected::new(pool.clone(), pool.clone(), group))),
    })
}

fn component(app: Arc<App>) -> Component {
    let limits = Limits { in_flight_max: app.options.sweep_in_flight_max, poll_ms: app.options.sweep_poll_ms };
    let sweeper = Sweeper(app.clone());
    let server_limits = app.options.limits.clone();
    let face = grpc::Face::new(app);
    Component::new("order", server_limits)
        .service(OrderServiceServer::new(face.clone()))
        .service(OrderOperatorServiceServer::new(face))
        .task("sweeper", move |stop| async move {
            // Nobody wakes it: what is due now is being worked on by the call that made it so.
            drive(&sweeper, limits, &Notify::new(), &stop).await;
        })
}
