use std::fmt;
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::component::Task;
use crate::server::{self, Endpoint, Listening, Stack};
use crate::{Component, Limits};

/// A component at work. Dropping it does not stop it: [`Running::drain`] and then [`Running::join`] do.
pub struct Running {
    name: String,
    limits: Limits,
    stack: Stack,
    http: Option<Router>,
    health: Health,
    ready: watch::Receiver<bool>,
    /// Cancelled when background tasks are to end.
    stop_tasks: CancellationToken,
    /// Cancelled when a background task has panicked.
    failed: CancellationToken,
    tasks: TaskTracker,
    /// Sockets and their connections.
    sockets: TaskTracker,
}

/// The name under which the health service answers SERVING for as long as the component runs, ready or not: what discovery
/// asks. A shard that still claims its slots is unready but must not lose them for it.
pub const ALIVE: &str = "alive";

/// The health service's statuses of every service of a component.
#[derive(Clone)]
struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    async fn set(&self, status: ServingStatus) {
        self.reporter.set_service_status("", status).await;
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

impl Running {
    pub(crate) async fn start(component: Component) -> Self {
        let Component { name, limits, mut endpoints, http, tasks, ready_when, authentication } = component;
        let health = Health {
            reporter: HealthReporter::new(),
            services: endpoints.iter().map(|endpoint| endpoint.service).collect(),
        };
        health.set(ServingStatus::NotServing).await;
        health.reporter.set_service_status(ALIVE, ServingStatus::Serving).await;
        endpoints.extend(server::reflection(&health.services));
        endpoints.push(Endpoint::of(HealthServer::new(HealthService::from_health_reporter(health.reporter.clone()))));
        let stack = Stack::new(&name, limits.clone(), endpoints, authentication);
        let (set_ready, ready) = watch::channel(false);
        let running = Self {
            name,
            limits,
            stack,
            http,
            health,
            ready,
            stop_tasks: CancellationToken::new(),
            failed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sockets: TaskTracker::new(),
        };
        for task in tasks {
            running.spawn(task);
        }
        running.announce_when_ready(set_ready, ready_when).await;
        running
    }

    async fn announce_when_ready(
        &self,
        set_ready: watch::Sender<bool>,
        ready_when: Option<futures::future::BoxFuture<'static, ()>>,
    ) {
        let health = self.health.clone();
        let Some(condition) = ready_when else {
            health.set(ServingStatus::Serving).await;
            set_ready.send_replace(true);
            return;
        };
        let stop = self.stack.draining();
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(condition).await.is_some() {
                health.set(ServingStatus::Serving).await;
                set_ready.send_replace(true);
            }
        });
    }

    fn spawn(&self, task: Task) {
        let Task { name, body } = task;
        let (component, failed) = (self.name.clone(), self.failed.clone());
        let work = body(self.stop_tasks.clone());
        self.tasks.spawn(async move {
            if std::panic::AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(component, task = name, "background task panicked");
                failed.cancel();
            }
        });
    }

    /// The role's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What answers calls: for [`crate::Switchboard::connect`].
    pub fn stack(&self) -> Stack {
        self.stack.clone()
    }

    /// The plain HTTP routes, where the component has any.
    pub fn http(&self) -> Option<Router> {
        self.http.clone()
    }

    /// Waits until the component answers SERVING; `false` when it is drained before that.
    pub async fn ready(&self) -> bool {
        let mut ready = self.ready.clone();
        ready.wait_for(|ready| *ready).await.is_ok()
    }

    /// Whether it answers SERVING or did before it was drained.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until a background task has panicked: the host should then end the process.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Answers gRPC on a socket until it is drained.
    pub fn serve(&self, listener: TcpListener) {
        let listening = Listening { listener, stack: self.stack.clone(), limits: self.limits.clone() };
        self.sockets.spawn(listening.run());
    }

    /// Answers the plain HTTP routes on a socket until it is drained.
    pub fn serve_http(&self, listener: TcpListener) {
        let Some(router) = self.http.clone() else { return };
        let (stop, name) = (self.stack.closing(), self.name.clone());
        self.sockets.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(component = name, %error, "http socket failed");
            }
        });
    }

    /// Stops answering in the order that loses nothing: NOT_SERVING first, then `notice` for load balancers to see it,
    /// then new calls are refused with DRAINING, streams are ended and calls in flight finish, for `drain_ms` at most.
    pub async fn drain(&self, notice: Duration) {
        self.health.set(ServingStatus::NotServing).await;
        self.stack.draining().cancel();
        tokio::time::sleep(notice).await;
        self.stack.close();
        self.sockets.close();
        let grace = Duration::from_millis(self.limits.drain_ms.into());
        let finished = async {
            self.stack.idle().await;
            self.sockets.wait().await;
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(component = self.name, "calls were still in flight when the drain time ended");
        }
        self.stack.abandon();
    }

    /// Stops the background tasks and waits for their end. Call [`Running::drain`] first: calls in flight may need them.
    pub async fn join(self) {
        self.stack.draining().cancel();
        self.stack.close();
        self.stack.abandon();
        self.stop_tasks.cancel();
        self.tasks.close();
        self.sockets.close();
        self.sockets.wait().await;
        self.tasks.wait().await;
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("name", &self.name).field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
