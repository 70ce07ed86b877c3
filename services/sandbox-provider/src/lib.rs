//! A payment provider to develop and test against: durable, slow or forgetful as configured.
//!
//! It behaves like the providers of the field: a charge is taken on, decided at once or later, and told of by callbacks
//! over HTTP that carry a signature, may come twice, late, out of order or never. What it does to whom follows from the
//! payment token and from [`Behaviour`], whose choices repeat with their seed.

mod app;
mod behaviour;
mod error;
mod grpc;
mod model;
mod signature;
mod store;
mod workers;

use std::sync::Arc;

use domain::Invalid;
use proto::provider::v1::sandbox_provider_service_server::SandboxProviderServiceServer;
use rpc::{Clock, Component, Limits};
use secrecy::SecretString;
use serde::Deserialize;
use storage::{DatabaseUrl, OpenError};

pub use behaviour::Behaviour;
pub use signature::{SIGNATURE_HEADER, sign};

/// The role's name.
pub const ROLE: &str = "sandbox-provider";

/// How the provider is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How it treats those who pay, and the merchant.
    pub behaviour: Behaviour,
    /// Bounds of its server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { behaviour: Behaviour::default(), limits: Limits::internal() }
    }
}

impl Options {
    /// Refuses shares above the whole and bounds no server could work with.
    ///
    /// # Errors
    /// The first wrong field.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.behaviour.validate()?;
        self.limits.validate()
    }
}

/// What the provider needs from its host.
#[derive(Debug)]
pub struct Dependencies {
    /// Its own database.
    pub database: DatabaseUrl,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The key of callback signatures, shared with the merchant.
    pub callback_secret: SecretString,
}

/// Why the provider could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The HTTP client could not be made.
    #[error("cannot make the client for callbacks")]
    Client(#[from] reqwest::Error),
}

/// Opens the database and builds the role.
///
/// # Errors
/// See [`BuildError`].
pub async fn build(options: Options, dependencies: Dependencies) -> Result<Component, BuildError> {
    options.validate()?;
    let store = store::open(&dependencies.database).await?;
    let client = workers::callback_client()?;
    let app = Arc::new(app::App::new(store, dependencies.clock, options.behaviour));
    let service = SandboxProviderServiceServer::new(grpc::Face::new(app.clone()));
    let (deciding, calling_back) = (app.clone(), app);
    let secret = dependencies.callback_secret;
    Ok(Component::new(ROLE, options.limits)
        .service(service)
        .task("decide", move |stop| workers::decide_due(deciding, stop))
        .task("call back", move |stop| workers::call_back(calling_back, secret, client, stop)))
}
