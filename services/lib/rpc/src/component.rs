use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::identity::TokenVerifier;
use crate::server::{Dispatch, Endpoint};
use crate::{Limits, Running};

pub(crate) type TaskBody = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A background task, not started yet.
pub(crate) struct Task {
    pub name: &'static str,
    pub body: TaskBody,
}

/// What a service's `build` returns: its generated servers, its background tasks and what else it listens to, nothing
/// of it started yet.
///
/// ```ignore
/// Component::new("order", Limits::internal())
///     .service(OrderServiceServer::new(grpc))
///     .task("sweeper", move |stop| app.sweep(stop))
/// ```
pub struct Component {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) http: Option<axum::Router>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) ready_when: Option<BoxFuture<'static, ()>>,
    pub(crate) authentication: Option<Authentication>,
}

/// Who may call: tokens are verified before anything else sees the call.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// Verifies bearer tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Methods that need no token, by path; a token that comes all the same must be valid.
    pub open_methods: &'static [&'static str],
}

impl Component {
    /// A component without services. The name is the role's, such as `order` or `inventory-shard-0`.
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self {
            name: name.into(),
            limits,
            endpoints: Vec::new(),
            http: None,
            tasks: Vec::new(),
            ready_when: None,
            authentication: None,
        }
    }

    /// With a generated server.
    #[must_use]
    pub fn service<S>(mut self, server: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.endpoints.push(Endpoint { service: S::NAME, dispatch: Arc::new(Dispatch(server)) });
        self
    }

    /// With plain HTTP routes beside gRPC, such as payment callbacks: the host gives them a socket of their own.
    #[must_use]
    pub fn http(mut self, router: axum::Router) -> Self {
        self.http = Some(router);
        self
    }

    /// With a background task. It must end soon after its token is cancelled; a task that panics fails the component.
    #[must_use]
    pub fn task<F, T>(mut self, name: &'static str, body: F) -> Self
    where
        F: FnOnce(CancellationToken) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(Task { name, body: Box::new(|stop| Box::pin(body(stop))) });
        self
    }

    /// NOT_SERVING until this future ends; without it the component is ready at once.
    #[must_use]
    pub fn ready_when(mut self, ready: impl Future<Output = ()> + Send + 'static) -> Self {
        self.ready_when = Some(Box::pin(ready));
        self
    }

    /// Every call needs a bearer token, but for the open methods, health and reflection.
    #[must_use]
    pub fn authenticate(mut self, authentication: Authentication) -> Self {
        self.authentication = Some(authentication);
        self
    }

    /// The role's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts the tasks and begins to answer.
    pub async fn start(self) -> Running {
        Running::start(self).await
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.service).collect();
        f.debug_struct("Component").field("name", &self.name).field("services", &services).finish_non_exhaustive()
    }
}
