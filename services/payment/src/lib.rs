//! Trades, captures, refunds and the ledger. Knows nothing of trains.
//!
//! A trade is recorded before the provider is asked for money, so that nothing is ever charged that is not known here. An
//! outcome that is not known is neither success nor failure: it is asked for until it is. What the provider says comes in
//! answers and in signed callbacks, in any order and any number of times; [`state`] decides what it means, and the new
//! state, its ledger posting and the notice to order are one transaction.

mod app;
mod callback;
mod error;
mod grpc;
mod http;
mod metrics;
mod orders;
mod provider;
mod reconcile;
mod store;
#[cfg(test)]
mod test_databases;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use domain::Invalid;
use proto::payment::v1::payment_service_server::PaymentServiceServer;
use rpc::{Clock, Component, Limits, Link};
use secrecy::SecretString;
use serde::Deserialize;
use storage::{DatabaseUrl, OpenError};
use trade as state;

pub use http::CALLBACK_PATH;

/// The role's name.
pub const ROLE: &str = "payment";

/// How payment is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where the provider posts its callbacks: this role's HTTP socket and [`CALLBACK_PATH`].
    pub callback_url: String,
    /// How old a callback's signature may be, and how far in the future, in ms.
    pub callback_window_ms: u32,
    /// How long the provider may take to answer a call, in ms.
    pub provider_timeout_ms: u32,
    /// When the provider is asked again about an outcome that is not known, in ms; doubles from then on.
    pub check_first_ms: u32,
    /// The longest time between two such questions, in ms.
    pub check_max_ms: u32,
    /// How often the database is asked for what is due, in ms.
    pub poll_ms: u32,
    /// How many trades, refunds and notices are worked on at once, of each.
    pub in_flight_max: u32,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            callback_url: format!("http://127.0.0.1:7081{CALLBACK_PATH}"),
            callback_window_ms: 300_000,
            provider_timeout_ms: 3_000,
            check_first_ms: 2_000,
            // Well under the minute after which no refund may still be stuck, as seeds of the simulation showed.
            check_max_ms: 20_000,
            poll_ms: 200,
            in_flight_max: 64,
            limits: Limits::internal(),
        }
    }
}

impl Options {
    /// Refuses what payment could not work with.
    ///
    /// # Errors
    /// The first wrong field.
    pub fn validate(&self) -> Result<(), Invalid> {
        let positive = [
            ("callback_window_ms", self.callback_window_ms),
            ("provider_timeout_ms", self.provider_timeout_ms),
            ("check_first_ms", self.check_first_ms),
            ("poll_ms", self.poll_ms),
            ("in_flight_max", self.in_flight_max),
        ];
        if let Some((field, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(Invalid::new(field, "1 or more", "0"));
        }
        if self.check_max_ms < self.check_first_ms {
            let got = self.check_max_ms.to_string();
            return Err(Invalid::new("check_max_ms", "check_first_ms or more", &got));
        }
        if !self.callback_url.starts_with("http://") && !self.callback_url.starts_with("https://") {
            return Err(Invalid::new("callback_url", "http://HOST:PORT/callbacks/payment", &self.callback_url));
        }
        self.limits.validate()
    }
}

/// What payment needs from its host.
#[derive(Debug)]
pub struct Dependencies {
    /// Its own database.
    pub database: DatabaseUrl,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The key of callback signatures, shared with the provider.
    pub callback_secret: SecretString,
    /// The way to the provider.
    pub provider: Link,
    /// The way to order, which is told what became of trades and refunds.
    pub order: Link,
}

/// Why payment could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Opens the database and builds the role.
///
/// # Errors
/// See [`BuildError`].
pub async fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let check_times = store::CheckTimes { first_ms: options.check_first_ms, most_ms: options.check_max_ms };
    let store = store::open(&dependencies.database, check_times).await?;
    let timeout = Duration::from_millis(options.provider_timeout_ms.into());
    let provider = provider::SandboxProvider::new(dependencies.provider, options.callback_url, timeout);
    let callbacks =
        callback::CallbackRules { secret: dependencies.callback_secret, window_ms: options.callback_window_ms.into() };
    let app = Arc::new(app::App::new(store, Arc::new(provider), dependencies.clock, callbacks));
    let due = due_work::Limits { in_flight_max: options.in_flight_max as usize, poll_ms: options.poll_ms.into() };
    let (sweeping, telling) = (app.clone(), app.clone());
    let orders = Arc::new(orders::OrderService::new(dependencies.order));
    Ok(Component::new(ROLE, options.limits)
        .service(PaymentServiceServer::new(grpc::Face::new(app.clone())))
        .http(http::router(app))
        .task("sweep", move |stop| workers::sweep(sweeping, due, stop))
        .task("tell orders", move |stop| workers::tell_orders(telling, orders, due, stop)))
}
