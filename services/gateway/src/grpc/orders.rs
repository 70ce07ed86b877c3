use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::StreamExt;
use proto::gateway::v1::place_orders_response::Outcome;
use proto::gateway::v1::{PlaceOrderRequest, PlaceOrdersRequest, PlaceOrdersResponse, Refusal};
use proto::order::v1::Order;
use rpc::context::TraceContext;
use rpc::identity::Identity;
use rpc::{CallContext, Failure, reason};
use tonic::{Code, Status};

use crate::Options;
use crate::app::App;
use crate::error::Error;

/// Bounds of one stream of orders.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Orders worked on at once.
    in_flight_max: usize,
    /// How long one order is worked on.
    timeout: Duration,
}

impl Bounds {
    /// The bounds of a configuration.
    pub fn of(options: &Options) -> Self {
        Self {
            in_flight_max: options.stream_orders_max,
            timeout: Duration::from_millis(options.stream_order_timeout_ms.into()),
        }
    }
}

/// Places every order of a stream, so many at once; the answers come in the order in which they are known.
pub fn place_all(
    app: Arc<App>,
    identity: Identity,
    requests: impl Stream<Item = Result<PlaceOrdersRequest, Status>> + Send + 'static,
    bounds: Bounds,
) -> impl Stream<Item = Result<PlaceOrdersResponse, Status>> + Send {
    let answers = requests.map(move |request| {
        let (app, identity) = (Arc::clone(&app), identity.clone());
        async move {
            let order = request?.order.unwrap_or_default();
            let order_id = order.order_id.clone();
            let outcome = match place(&app, &identity, order, bounds.timeout).await {
                Ok(order) => Outcome::Order(order),
                Err(failure) => Outcome::Refusal(refusal(failure)),
            };
            Ok(PlaceOrdersResponse { order_id, outcome: Some(outcome) })
        }
    });
    // Bounded: a client that sends more waits until it has taken answers.
    answers.buffer_unordered(bounds.in_flight_max)
}

/// Places one order under a deadline of its own and in a trace of its own: the stream has neither.
async fn place(app: &App, identity: &Identity, order: PlaceOrderRequest, timeout: Duration) -> Result<Order, Failure> {
    let context = CallContext { trace: Some(TraceContext::random()), ..CallContext::within(timeout) };
    let placed = context.scope(async {
        let _in_flight = app.admit(identity).await?;
        app.place_order(identity, order).await
    });
    match tokio::time::timeout(timeout, placed).await {
        Ok(placed) => placed.map_err(|error: Error| error.into()),
        Err(_) => Err(Failure::new(
            Code::DeadlineExceeded,
            reason::DEADLINE_EXCEEDED,
            "the deadline passed before the order was placed: place it again to learn what came of it",
        )),
    }
}

/// What a unary call would answer as its status.
fn refusal(failure: Failure) -> Refusal {
    Refusal {
        code: failure.code.into(),
        reason: failure.reason.to_owned(),
        message: failure.message,
        metadata: failure.metadata.into_iter().collect(),
        retry_after_ms: failure.retry_after_ms.unwrap_or(0),
    }
}
