//! How clients reach a design.

use std::sync::Arc;
use std::time::Duration;

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use proto::inventory::v1::{HoldRequest, HoldResponse, HoldStreamItem, ReleaseRequest};
use rpc::{Component, Limits, Running};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};

use crate::bare_line::BareLine;
use crate::front::Front;
use crate::{BenchError, Seats};

/// Where clients stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Entry {
    /// Inside the gateway's process.
    Inside,
    /// In front of an edge, a call for each request.
    Unary,
    /// In front of an edge, all requests on one stream.
    Streaming,
}

impl Entry {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inside, Self::Unary, Self::Streaming];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Unary => "unary",
            Self::Streaming => "streaming",
        }
    }
}

/// A server that was started on the present runtime.
pub(crate) enum Server {
    /// A component with the fleet's whole server stack.
    Component(Box<Running>),
    /// A bare tonic server.
    Bare(tokio::task::JoinHandle<()>),
}

impl Server {
    pub async fn stop(self) {
        match self {
            Self::Component(running) => {
                running.drain(Duration::ZERO).await;
                running.join().await;
            }
            Self::Bare(task) => task.abort(),
        }
    }
}

async fn listen() -> Result<(TcpListener, String), BenchError> {
    let failed = BenchError::because("no socket to listen on");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(BenchError::because("a socket without an address"))?;
    Ok((listener, format!("http://{address}")))
}

/// Serves a component on a socket of its own; gives its address.
pub(crate) async fn serve(component: Component) -> Result<(Server, String), BenchError> {
    let (listener, address) = listen().await?;
    let running = component.start().await;
    running.serve(listener);
    if !running.ready().await {
        return Err(BenchError::new(format!("{} did not become ready", running.name())));
    }
    Ok((Server::Component(Box::new(running)), address))
}

/// Serves a design with the stack of a gateway.
pub(crate) async fn serve_front(seats: Arc<dyn Seats>) -> Result<(Server, String), BenchError> {
    let limits = Limits { message_bytes_max: Limits::internal().message_bytes_max, ..Limits::default() };
    serve(Component::new("edge", limits).service(InventoryServiceServer::new(Front(seats)))).await
}

/// Serves a design with nothing around it.
pub(crate) async fn serve_bare(seats: Arc<dyn Seats>) -> Result<(Server, String), BenchError> {
    let (listener, address) = listen().await?;
    let router = tonic::transport::Server::builder().add_service(InventoryServiceServer::new(Front(seats)));
    // The builder's own setting is for sockets it opens itself: without this, answers wait 40 ms for what was sent before.
    let sockets = TcpIncoming::from(listener).with_nodelay(Some(true));
    let task = tokio::spawn(async move {
        // It ends when it is aborted; a connection that breaks is seen by its client.
        let _ = router.serve_with_incoming(sockets).await;
    });
    Ok((Server::Bare(task), address))
}

/// A connection of the bench's own.
pub(crate) async fn connect(address: &str) -> Result<InventoryServiceClient<Channel>, BenchError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(BenchError::because("no address"))?;
    let channel = endpoint.tcp_nodelay(true).connect().await.map_err(BenchError::because("an edge did not answer"))?;
    Ok(InventoryServiceClient::new(channel))
}

/// A server as its clients see it: each request a call of its own.
pub(crate) struct UnaryCalls(pub InventoryServiceClient<Channel>);

impl Seats for UnaryCalls {
    fn hold(&self, _: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        let mut client = self.0.clone();
        Box::pin(async move { Ok(client.hold(request).await?.into_inner()) })
    }

    fn release(&self, _: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        let mut client = self.0.clone();
        Box::pin(async move { client.release(request).await.map(drop) })
    }
}

/// A server as its clients see it that stream.
pub(crate) struct StreamedCalls(pub BareLine);

impl Seats for StreamedCalls {
    fn hold(&self, _: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(async move {
            match self.0.ask(HoldStreamItem { hold: Some(request), ..HoldStreamItem::default() }).await? {
                Outcome::Held(held) => Ok(held),
                _ => Err(Status::unavailable("another answer than to a hold")),
            }
        })
    }

    fn release(&self, _: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            self.0.ask(HoldStreamItem { release: Some(request), ..HoldStreamItem::default() }).await.map(drop)
        })
    }
}
