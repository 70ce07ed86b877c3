use std::time::Duration;

use http::Request;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::Stack;
use crate::Limits;

/// Waits this long after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that answers gRPC.
pub(crate) struct Listening {
    pub listener: TcpListener,
    pub stack: Stack,
    pub limits: Limits,
}

impl Listening {
    /// Accepts connections until the stack closes, then waits for those that are open.
    pub async fn run(self) {
        let closing = self.stack.closing();
        let connections = TaskTracker::new();
        while let Some(accepted) = closing.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, _)) if connections.len() < self.limits.connections_max as usize => {
                    connections.spawn(serve(stream, self.stack.clone(), self.limits.clone()));
                }
                Ok(_) => tracing::warn!("a connection was closed: as many are open as there may be"),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // New connections are refused from here on, not left in the backlog.
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }
}

async fn serve(stream: TcpStream, stack: Stack, limits: Limits) {
    // Answers are small and final: waiting to fill a packet only delays them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (closing, abandoned) = (stack.closing(), stack.abandoned());
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = stack.clone().answer(request.map(Body::new));
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.connection_calls_max)
        // A busy server accepts calls late, and finds many whose callers have given up. The library breaks the connection at
        // 20 of them, and with it the calls of everybody who shares it; as many as may be in flight are no attack.
        .max_pending_accept_reset_streams(limits.connection_calls_max as usize)
        // Above our own limit, so that the caller gets a status rather than a broken connection.
        .max_header_list_size(limits.metadata_bytes_max.saturating_mul(8))
        .keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms.into()))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms.into()));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let age = Duration::from_millis(limits.connection_age_max_ms.into());
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = closing.cancelled() => None,
        () = tokio::time::sleep(age) => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            () = abandoned.cancelled() => {}
        }
    }
}
