use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;
use tracing::Instrument;

use super::reply::{Record, Reply, panicked};
use super::request::{BoundedRequest, check_metadata};
use super::wire_status;
use crate::context::{CallContext, RING_VERSION, TraceContext, parse_timeout};
use crate::methods::{self, Method};
use crate::{Authentication, Failure, Limits, metrics, reason};

/// A server's whole stack, down to its handlers. Cloning is cheap; every clone is the same server.
#[derive(Clone)]
pub struct Stack(Arc<Inner>);

struct Inner {
    name: String,
    limits: Limits,
    endpoints: HashMap<&'static str, Arc<dyn Answer>>,
    authentication: Option<Authentication>,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    in_flight: TaskTracker,
    /// Cancelled when the server asks load balancers to go elsewhere.
    draining: CancellationToken,
    /// Cancelled when new calls are refused and streams end.
    closing: CancellationToken,
    /// Cancelled when calls still in flight are given up.
    abandoned: CancellationToken,
}

/// Services that answer whatever the load, without a token, and until the last.
const ALWAYS: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// How long a stream of requests may take to answer what it has when the server closes.
const STREAM_FINISH: Duration = Duration::from_secs(2);

impl Stack {
    pub(crate) fn new(
        name: &str,
        limits: Limits,
        endpoints: Vec<Endpoint>,
        authentication: Option<Authentication>,
    ) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            calls: Arc::new(Semaphore::new(limits.calls_in_flight_max as usize)),
            streams: Arc::new(Semaphore::new(limits.streams_open_max as usize)),
            limits,
            endpoints: endpoints.into_iter().map(|endpoint| (endpoint.service, endpoint.dispatch)).collect(),
            authentication,
            in_flight: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            abandoned: CancellationToken::new(),
        }))
    }

    /// Answers one call. Layers in the order in which they act: size of metadata, draining, load, identity, deadline,
    /// trace, panic, the handler; and on the way back: documented statuses, the end of streams, metrics.
    pub(crate) async fn answer(self, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let method = methods::at(request.uri().path());
        match self.admit(method, request, started) {
            Ok(admitted) => self.handle(method, admitted, started).await,
            Err(failure) => {
                metrics::record_call(method.label, failure.code, started.elapsed());
                Status::from(failure).into_http()
            }
        }
    }

    fn admit(&self, method: Method, mut request: Request<Body>, started: Instant) -> Result<Admitted, Failure> {
        let inner = &*self.0;
        check_metadata(request.headers(), inner.limits.metadata_bytes_max)?;
        let service = service_of(request.uri().path());
        let endpoint = inner.endpoints.get(service).ok_or_else(|| {
            Failure::new(Code::Unimplemented, reason::METHOD_UNKNOWN, "no such service on this server")
        })?;
        let always = ALWAYS.contains(&service);
        let permit = if always { None } else { Some(self.permit(method)?) };
        if let Some(authentication) = inner.authentication.as_ref().filter(|_| !always) {
            let open = authentication.open_methods.contains(&method.label);
            if let Some(identity) = authentication.verifier.authenticate(request.headers(), open)? {
                request.extensions_mut().insert(identity);
            }
        }
        let deadline = self.deadline(method, request.headers(), started)?;
        let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()?.parse().ok());
        // One that cannot be read says nothing: the caller is then sent on by the ring of whoever it asked.
        let ring_version = request.headers().get(RING_VERSION).and_then(|value| value.to_str().ok()?.parse().ok());
        let closing = method.client_streaming.then(|| inner.closing.clone().cancelled_owned());
        let limit = inner.limits.message_bytes_max;
        Ok(Admitted {
            endpoint: Arc::clone(endpoint),
            request: request.map(|body| Body::new(BoundedRequest::new(body, limit, closing))),
            deadline,
            trace,
            ring_version,
            ticket: Ticket { _permit: permit, in_flight: Some(inner.in_flight.token()) },
        })
    }

    fn permit(&self, method: Method) -> Result<OwnedSemaphorePermit, Failure> {
        let inner = &*self.0;
        if inner.closing.is_cancelled() {
            return Err(Failure::unavailable(reason::DRAINING, "the server is shutting down", 50));
        }
        let semaphore = if method.is_stream() { &inner.streams } else { &inner.calls };
        Arc::clone(semaphore).try_acquire_owned().map_err(|_| {
            let retry = inner.limits.overload_retry_after_ms;
            Failure::unavailable(reason::OVERLOADED, "the server has as much work as it can do", retry)
        })
    }

    /// Unary calls always get a deadline; streams only the one they bring, and their age is bounded instead.
    fn deadline(&self, method: Method, headers: &HeaderMap, started: Instant) -> Result<Option<Instant>, Failure> {
        let limits = &self.0.limits;
        let asked = match headers.get("grpc-timeout") {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(parse_timeout).ok_or_else(|| {
                Failure::bad_field("grpc-timeout", "expected one to eight digits and a unit of H, M, S, m, u or n")
            })?),
        };
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let timeout = if method.is_stream() {
            asked
        } else {
            Some(asked.unwrap_or(millis(limits.deadline_default_ms)).min(millis(limits.deadline_max_ms)))
        };
        // A timeout past what the clock can hold is no deadline.
        Ok(timeout.and_then(|timeout| started.checked_add(timeout)))
    }

    async fn handle(&self, method: Method, admitted: Admitted, started: Instant) -> Response<Body> {
        let Admitted { endpoint, request, deadline, trace, ring_version, ticket } = admitted;
        let span = server_span(&self.0.name, method.label, trace);
        let trace = trace_of(&span).or(trace).unwrap_or_else(TraceContext::random);
        let context = CallContext { deadline, trace: Some(trace), ring_version };
        let work = AssertUnwindSafe(context.scope(endpoint.answer(request))).catch_unwind().instrument(span);
        let outcome = tokio::select! {
            biased;
            outcome = work => outcome.map_err(|_| {
                tracing::error!(method = method.label, trace = %trace, "a handler panicked");
                panicked()
            }),
            () = at(deadline) => Err(deadline_exceeded()),
            () = self.0.abandoned.cancelled() => {
                Err(Failure::unavailable(reason::DRAINING, "the server is shutting down", 50))
            }
        };
        let record = Record { method: method.label, started, ticket };
        match outcome {
            Err(failure) => {
                record.finish(failure.code);
                Status::from(failure).into_http()
            }
            Ok(response) => self.reply(method, response, deadline, record),
        }
    }

    fn reply(
        &self,
        method: Method,
        response: Response<Body>,
        deadline: Option<Instant>,
        mut record: Record,
    ) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        if let Some(code) = wire_status::make_documented(&mut parts.headers) {
            // The status is in the headers: there is no body.
            record.finish(code);
            return Response::from_parts(parts, Body::empty());
        }
        let end = method.is_stream().then(|| {
            record.ticket.is_stream_now();
            self.end_of_stream(method, deadline)
        });
        Response::from_parts(parts, Body::new(Reply::new(body, end, record)))
    }

    fn end_of_stream(&self, method: Method, deadline: Option<Instant>) -> BoxFuture<'static, Failure> {
        let (closing, abandoned) = (self.0.closing.clone(), self.0.abandoned.clone());
        let age = Duration::from_millis(self.0.limits.stream_age_max_ms.into());
        async move {
            let closed = async {
                closing.cancelled().await;
                if method.client_streaming {
                    tokio::time::timeout(STREAM_FINISH, abandoned.cancelled()).await.unwrap_or(());
                }
            };
            tokio::select! {
                () = closed => Failure::unavailable(reason::DRAINING, "the server is shutting down", 50),
                () = at(deadline) => deadline_exceeded(),
                () = tokio::time::sleep(age) => {
                    Failure::unavailable(reason::STREAM_TOO_OLD, "the stream is as old as it may get: open a new one", 0)
                }
            }
        }
        .boxed()
    }

    pub(crate) fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    pub(crate) fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    pub(crate) fn close(&self) {
        self.0.closing.cancel();
        self.0.in_flight.close();
    }

    /// Waits until no call is in flight. Only after [`Stack::close`].
    pub(crate) async fn idle(&self) {
        self.0.in_flight.wait().await;
    }

    pub(crate) fn abandon(&self) {
        self.0.abandoned.cancel();
    }

    pub(crate) fn abandoned(&self) -> CancellationToken {
        self.0.abandoned.clone()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("name", &self.0.name).finish_non_exhaustive()
    }
}

/// A call that may be worked on.
struct Admitted {
    endpoint: Arc<dyn Answer>,
    request: Request<Body>,
    deadline: Option<Instant>,
    /// The caller's, if it sent one.
    trace: Option<TraceContext>,
    ring_version: Option<u64>,
    ticket: Ticket,
}

/// Keeps a call counted until its reply has ended.
pub(crate) struct Ticket {
    _permit: Option<OwnedSemaphorePermit>,
    in_flight: Option<TaskTrackerToken>,
}

impl Ticket {
    /// A drain does not wait for streams: they are ended, and sockets wait for what is still to be sent. A reader in this
    /// process that looks away would hold it up for ever.
    fn is_stream_now(&mut self) {
        self.in_flight = None;
    }
}

/// A generated server under its name.
pub(crate) struct Endpoint {
    pub service: &'static str,
    pub dispatch: Arc<dyn Answer>,
}

impl Endpoint {
    pub fn of<S>(server: S) -> Self
    where
        S: NamedService,
        Dispatch<S>: Answer + 'static,
    {
        Self { service: S::NAME, dispatch: Arc::new(Dispatch(server)) }
    }
}

/// Answers a call; a tower service without its type.
pub(crate) trait Answer: Send + Sync {
    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

/// A generated server as an [`Answer`].
pub(crate) struct Dispatch<S>(pub S);

impl<S> Answer for Dispatch<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        // Generated servers are always ready.
        let answered = self.0.clone().call(request);
        Box::pin(answered.map(|Ok(response)| response))
    }
}

fn service_of(path: &str) -> &str {
    path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(service, _)| service)
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn deadline_exceeded() -> Failure {
    Failure::new(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, "the deadline passed before the call was completed")
}

/// A span of this hop, a child of the caller's where it sent its trace; else the first of a trace, exported with the chance
/// that is set. Costs nothing unless spans of target `rpc` are on.
fn server_span(component: &str, method: &'static str, caller: Option<TraceContext>) -> tracing::Span {
    use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    let span = tracing::debug_span!(
        target: "rpc", "call", otel.name = method, otel.kind = "server", component, rpc.method = method
    );
    if let Some(trace) = caller.filter(|_| !span.is_disabled()) {
        let remote = SpanContext::new(
            trace.trace_id.into(),
            trace.span_id.into(),
            TraceFlags::new(trace.flags),
            true,
            TraceState::default(),
        );
        let parent = opentelemetry::Context::new().with_remote_span_context(remote);
        // Fails only where no OpenTelemetry layer listens, and then nobody misses the parent.
        let _ = span.set_parent(parent);
    }
    span
}

/// The trace context of a span, where OpenTelemetry follows it.
pub(crate) fn trace_of(span: &tracing::Span) -> Option<TraceContext> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8(),
    })
}
