use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use domain::Invalid;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, TimeoutExpired};
use tower::{Service, ServiceExt};

use crate::context::{CallContext, RING_VERSION, format_timeout, parse_timeout};
use crate::server::{deadline_exceeded, trace_of};
use crate::switchboard::Roles;
use crate::{Failure, LinkOptions, Switchboard, methods, reason};

/// A unary call made outside of any call, such as by a background task, gets this deadline.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// A way to a role, on which generated clients are built: `OrderServiceClient::new(link)`. Cloning is cheap.
///
/// It is either a lazily connected channel or the whole server stack of a role in this process; calls look the same. It
/// sends the deadline and the trace of the call being handled along by itself.
#[derive(Clone)]
pub struct Link {
    target: Target,
}

#[derive(Clone)]
enum Target {
    Network(Channel),
    Local { roles: Weak<Roles>, role: Arc<str> },
}

impl Link {
    /// A link to an address such as `http://order:7000`. Connects at the first call; must be made inside a tokio runtime.
    ///
    /// # Errors
    /// An address that is none.
    pub fn network(address: &str, options: &LinkOptions) -> Result<Self, Invalid> {
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let endpoint = Endpoint::from_shared(address.to_owned())
            .ok()
            .filter(|endpoint| endpoint.uri().scheme().is_some() && endpoint.uri().host().is_some())
            .ok_or_else(|| Invalid::new("address", "http://HOST:PORT", address))?
            .connect_timeout(millis(options.connect_timeout_ms))
            .http2_keep_alive_interval(millis(options.keepalive_interval_ms))
            .keep_alive_timeout(millis(options.keepalive_timeout_ms))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        Ok(Self { target: Target::Network(endpoint.connect_lazy()) })
    }

    /// A link to an address, or, where none is configured, to the role of that name in this process.
    ///
    /// # Errors
    /// An address that is none.
    pub fn resolve(
        role: &str,
        address: Option<&str>,
        switchboard: &Switchboard,
        options: &LinkOptions,
    ) -> Result<Self, Invalid> {
        match address {
            Some(address) => Self::network(address, options),
            None => Ok(switchboard.link(role)),
        }
    }

    pub(crate) fn local(roles: Weak<Roles>, role: &str) -> Self {
        Self { target: Target::Local { roles, role: role.into() } }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Network(_) => f.write_str("Link(network)"),
            Target::Local { role, .. } => write!(f, "Link(in-process {role})"),
        }
    }
}

impl Service<Request<Body>> for Link {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Both targets are waited for within the call, where its deadline counts.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Err(failure) = stamp(&mut request) {
            return Box::pin(std::future::ready(Err(failure.into())));
        }
        match &self.target {
            Target::Network(channel) => Box::pin(over_network(channel.clone(), request)),
            Target::Local { roles, role } => match roles.upgrade().and_then(|roles| roles.find(role)) {
                Some(stack) => Box::pin(async move { Ok(stack.answer(request).await) }),
                None => {
                    let message = format!("role {role} does not run");
                    let failure = Failure::unavailable(reason::UNREACHABLE, message, 200);
                    Box::pin(std::future::ready(Err(failure.into())))
                }
            },
        }
    }
}

/// Sends deadline and trace along.
fn stamp(request: &mut Request<Body>) -> Result<(), Failure> {
    let context = CallContext::current();
    let asked = request.headers().get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
    let default = if methods::at(request.uri().path()).is_stream() { None } else { Some(TIMEOUT_DEFAULT) };
    let timeout = [asked, context.remaining()].into_iter().flatten().min().or(default);
    if let Some(timeout) = timeout {
        if timeout.is_zero() {
            return Err(deadline_exceeded());
        }
        insert(request, "grpc-timeout", format_timeout(timeout));
    }
    if let Some(trace) = trace_of(&tracing::Span::current()).or(context.trace) {
        insert(request, "traceparent", trace.to_string());
    }
    if let Some(version) = context.ring_version {
        insert(request, RING_VERSION, version.to_string());
    }
    Ok(())
}

fn insert(request: &mut Request<Body>, name: &'static str, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        request.headers_mut().insert(name, value);
    }
}

async fn over_network(channel: Channel, request: Request<Body>) -> Result<Response<Body>, Status> {
    let answered = match channel.ready_oneshot().await {
        Ok(mut channel) => channel.call(request).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(response) => Ok(response.map(|body| Body::new(body.map_err(broken_stream)))),
        Err(error) => Err(unreachable_status(&error)),
    }
}

/// tonic answers CANCELLED for its own time-outs and UNKNOWN for broken connections; callers want to know what to do.
fn unreachable_status(error: &(dyn Error + 'static)) -> Status {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return deadline_exceeded().into();
        }
        cause = error.source();
    }
    tracing::debug!(error = %Chain(error), "a call could not be delivered");
    Failure::unavailable(reason::UNREACHABLE, "the called service cannot be reached", 200).into()
}

fn broken_stream(status: Status) -> Status {
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled => {
            Failure::unavailable(reason::UNREACHABLE, "the connection broke before the answer was complete", 200).into()
        }
        _ => status,
    }
}

/// An error with its sources.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
