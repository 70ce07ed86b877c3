//! Timetable search and availability from memory.
//!
//! Trains, stops and fares come from the timetable, which never changes. What is left of them comes as boards: each shard
//! sends the boards of its runs once and then whenever they change, and proves again and again that what it sent still
//! holds. Every answer is stamped with that proof's time and the journal version it shows; no answer waits for a shard.

mod app;
mod board;
mod boards;
mod config;
mod error;
mod grpc;
mod metrics;
mod page;
mod stations;
mod subscription;
mod subscriptions;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use domain::{Invalid, ServiceDate};
use jiff::tz::TimeZone;
use proto::query::v1::query_service_server::QueryServiceServer;
use rpc::{Clock, Component};
use shard_client::ShardRouter;
use timetable::Timetable;
use tokio_util::sync::CancellationToken;

pub use config::Options;

use crate::app::App;
use crate::boards::Boards;
use crate::subscriptions::Subscriptions;

/// What a query replica needs.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The timetable the whole fleet has loaded.
    pub timetable: Arc<Timetable>,
    /// Knows the shards.
    pub shards: ShardRouter,
    /// Tells which dates are past.
    pub clock: Arc<dyn Clock>,
}

/// How often boards of past dates are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Builds the role. It is ready once every shard's boards are there, or after `ready_timeout_ms` with those that are.
///
/// # Errors
/// Options that could not work.
pub fn build(options: Options, dependencies: Dependencies) -> Result<Component, Invalid> {
    options.validate()?;
    let Dependencies { timetable, shards, clock } = dependencies;
    let boards = Arc::new(Boards::new(options.boards_max));
    let subscriptions = Subscriptions::new(shards, boards.clone(), clock.clone(), options.silence_max_ms);
    let caught_up = subscriptions.caught_up();
    let ready = async move {
        if tokio::time::timeout(Duration::from_millis(options.ready_timeout_ms), caught_up).await.is_err() {
            tracing::warn!("some shards have not sent their boards: their runs are shown without availability");
        }
    };
    let face = grpc::Face::new(App::new(timetable, boards.clone()), clock.clone(), options.stale_after_ms);
    let keep_days = options.keep_past_days;
    Ok(Component::new("query", options.limits)
        .service(QueryServiceServer::new(face))
        .task("boards", move |stop| subscriptions.run(stop))
        .task("forget past boards", move |stop| forget_past(boards, clock, keep_days, stop))
        .ready_when(ready))
}

async fn forget_past(boards: Arc<Boards>, clock: Arc<dyn Clock>, keep_days: u32, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
        if let Some(date) = first_kept_date(clock.now(), keep_days) {
            boards.forget_before(date);
        }
    }
}

/// The earliest service date whose boards are kept. Dates are counted in UTC: half a day more or less does not matter.
fn first_kept_date(now: domain::Time, keep_days: u32) -> Option<ServiceDate> {
    let today = jiff::Timestamp::from_millisecond(now.millis()).ok()?.to_zoned(TimeZone::UTC).date();
    Some(ServiceDate::new(today).ok()?.plus_days(-i32::try_from(keep_days).ok()?))
}
