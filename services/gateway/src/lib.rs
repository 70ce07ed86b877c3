//! The public face of the fleet.
//!
//! Verifies tokens, reads every field into the railway's words, limits accounts, folds duplicates, holds seats at the shard
//! that owns the train-date and hands the order over. Knows neither seats nor money, and stores nothing: a gateway may die
//! at any moment and whatever it was doing is found again by the client's own ids.

mod app;
mod config;
mod error;
mod fold;
mod grpc;
mod limiter;
mod metrics;
mod parse;
mod ring_moves;
mod sale_plan;

use std::sync::Arc;

use discovery::Discovery;
use domain::Invalid;
use policy::Policy;
use privacy::PersonTokens;
use proto::gateway::v1::gateway_service_server::GatewayServiceServer;
use proto::gateway::v1::operator_service_server::OperatorServiceServer;
use rpc::identity::TokenVerifier;
use rpc::{Authentication, Clock, Component, Link};
use secrecy::SecretString;
use shard_client::{HoldLines, ShardRouter};
use timetable::Timetable;

pub use config::{LimiterOptions, Options};

use crate::app::App;
use crate::grpc::{OperatorFace, PublicFace};
use crate::limiter::Limiter;

/// What a gateway needs.
#[derive(Clone)]
pub struct Dependencies {
    /// The timetable the whole fleet has loaded.
    pub timetable: Arc<Timetable>,
    /// The railway's numbers.
    pub policy: Arc<Policy>,
    /// Makes the tokens under which inventory knows passengers.
    pub person_tokens: Arc<PersonTokens>,
    /// Verifies bearer tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Knows the shards.
    pub shards: ShardRouter,
    /// Knows the ring's settings, for operators.
    pub discovery: Arc<dyn Discovery>,
    /// The query service.
    pub query: Link,
    /// The order service.
    pub order: Link,
    /// The waitlist service.
    pub waitlist: Link,
    /// Where gateways share their limits, as redis://HOST:PORT; none keeps them to this process.
    pub redis: Option<SecretString>,
    /// Tells the day and the selling hours.
    pub clock: Arc<dyn Clock>,
}

/// Why a gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Options that could not work.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// An address of Redis that is none.
    #[error("storage.redis is no address of a Redis server")]
    Redis(#[from] redis::RedisError),
}

/// What may be asked without a token: reads of what everybody may know.
const OPEN_METHODS: &[&str] = &[
    "/chunyun.gateway.v1.GatewayService/SearchTrains",
    "/chunyun.gateway.v1.GatewayService/GetTrain",
    "/chunyun.gateway.v1.GatewayService/FindStations",
];

/// Builds the role.
///
/// # Errors
/// Options that could not work, or an address of Redis that is none. A Redis that does not answer is no error: limits are
/// kept locally until it does.
pub async fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let limiter = Limiter::new(&options.limiter, &dependencies.policy, dependencies.redis.as_ref())?;
    let (holds, lines) = HoldLines::new(dependencies.shards.clone());
    let authentication = Authentication { verifier: Arc::clone(&dependencies.verifier), open_methods: OPEN_METHODS };
    let app = Arc::new(App::new(&options, dependencies, holds, limiter));
    Ok(Component::new("gateway", options.limits.clone())
        .service(GatewayServiceServer::new(PublicFace::new(Arc::clone(&app), &options)))
        .service(OperatorServiceServer::new(OperatorFace::new(app, &options)))
        .task("hold lines", move |stop| lines.run(stop))
        .authenticate(authentication))
}
