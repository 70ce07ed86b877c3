//! A role with a handler that does what its request says, reachable in-process and over a socket.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use proto::gateway::v1::operator_service_server::{OperatorService, OperatorServiceServer};
use proto::gateway::v1::{
    ChangeRingRequest, ChangeRingResponse, CloseSaleRequest, CloseSaleResponse, GetRingRequest, GetRingResponse,
    OpenSaleRequest, OpenSaleResponse, PlanRingRequest, PlanRingResponse, ReconcileRequest, ReconcileResponse,
    RefundRunRequest, RefundRunResponse,
};
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::query::v1::query_service_server::{QueryService, QueryServiceServer};
use proto::query::v1::{
    FindStationsRequest, FindStationsResponse, GetTrainRequest, GetTrainResponse, SearchTrainsRequest,
    SearchTrainsResponse, Station,
};
use rpc::{Authentication, CallContext, Component, Limits, Link, LinkOptions, Running, Switchboard};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

/// A role at work.
pub struct Role {
    pub running: Running,
    pub switchboard: Switchboard,
    pub address: String,
    pub entered: Arc<Notify>,
    pub go_on: Arc<Notify>,
}

pub async fn role(limits: Limits) -> Role {
    role_with(limits, None).await
}

pub async fn role_with(limits: Limits, authentication: Option<Authentication>) -> Role {
    let switchboard = Switchboard::new();
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let handler = Handler {
        entered: Arc::clone(&entered),
        go_on: Arc::clone(&go_on),
        local: switchboard.link("query"),
        network: Link::network(&address, &LinkOptions::default()).unwrap(),
    };
    let mut component = Component::new("query", limits)
        .service(QueryServiceServer::new(handler))
        .service(OperatorServiceServer::new(Ticker));
    if let Some(authentication) = authentication {
        component = component.authenticate(authentication);
    }
    let running = component.start().await;
    switchboard.connect("query", running.stack());
    running.serve(listener);
    Role { running, switchboard, address, entered, go_on }
}

impl Role {
    pub fn network(&self) -> Link {
        Link::network(&self.address, &LinkOptions::default()).unwrap()
    }

    /// The two ways to the role.
    pub fn links(&self) -> [Link; 2] {
        [self.switchboard.link("query"), self.network()]
    }
}

/// Asks the handler to do something; answers its words.
pub async fn ask(link: Link, what: &str) -> Result<Vec<String>, Status> {
    let request = FindStationsRequest { text: what.into(), limit: 0 };
    let answer = QueryServiceClient::new(link).find_stations(request).await?.into_inner();
    Ok(answer.stations.into_iter().map(|station| station.name).collect())
}

/// The status a stream ends with, after what it still sends.
pub async fn stream_end<T>(stream: &mut tonic::Streaming<T>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a status"),
            Err(status) => return status,
        }
    }
}

struct Handler {
    entered: Arc<Notify>,
    go_on: Arc<Notify>,
    local: Link,
    network: Link,
}

#[tonic::async_trait]
impl QueryService for Handler {
    async fn find_stations(
        &self,
        request: Request<FindStationsRequest>,
    ) -> Result<Response<FindStationsResponse>, Status> {
        let account = request.extensions().get::<rpc::identity::Identity>().map(|who| who.account.to_string());
        let words = match request.into_inner().text.as_str() {
            "context" => {
                let context = CallContext::current();
                let remaining = context.remaining().map(|remaining| remaining.as_millis().to_string());
                vec![remaining.unwrap_or_default(), context.trace.map(|trace| trace.to_string()).unwrap_or_default()]
            }
            "hop in-process" => ask(self.local.clone(), "context").await?,
            "hop over the network" => ask(self.network.clone(), "context").await?,
            "account" => vec![account.unwrap_or_default()],
            "wait" => {
                self.entered.notify_one();
                self.go_on.notified().await;
                vec!["waited".into()]
            }
            "for ever" => {
                self.entered.notify_one();
                std::future::pending().await
            }
            "panic" => panic!("as asked"),
            "internal" => return Err(Status::internal("a library's words")),
            other => vec![other.to_owned()],
        };
        let stations = words.into_iter().map(|name| Station { name, ..Station::default() }).collect();
        Ok(Response::new(FindStationsResponse { stations }))
    }

    async fn search_trains(&self, _: Request<SearchTrainsRequest>) -> Result<Response<SearchTrainsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn get_train(&self, _: Request<GetTrainRequest>) -> Result<Response<GetTrainResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

/// Streams one answer at once, and then one every ten milliseconds; panics at the third if asked for `panic`.
struct Ticker;

#[tonic::async_trait]
impl OperatorService for Ticker {
    type OpenSaleStream = Pin<Box<dyn Stream<Item = Result<OpenSaleResponse, Status>> + Send>>;

    async fn open_sale(&self, request: Request<OpenSaleRequest>) -> Result<Response<Self::OpenSaleStream>, Status> {
        let panics = request.into_inner().service_date == "panic";
        let ticks = futures::stream::unfold(0, move |opened| async move {
            assert!(!panics || opened < 3, "as asked");
            if opened > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Some((Ok(OpenSaleResponse { opened, ..OpenSaleResponse::default() }), opened + 1))
        });
        Ok(Response::new(Box::pin(ticks)))
    }

    async fn close_sale(&self, _: Request<CloseSaleRequest>) -> Result<Response<CloseSaleResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn get_ring(&self, _: Request<GetRingRequest>) -> Result<Response<GetRingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    type RefundRunStream = futures::stream::Empty<Result<RefundRunResponse, Status>>;
    type ReconcileStream = futures::stream::Empty<Result<ReconcileResponse, Status>>;

    async fn refund_run(&self, _: Request<RefundRunRequest>) -> Result<Response<Self::RefundRunStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }

    async fn reconcile(&self, _: Request<ReconcileRequest>) -> Result<Response<Self::ReconcileStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }

    type ChangeRingStream = futures::stream::Empty<Result<ChangeRingResponse, Status>>;

    async fn plan_ring(&self, _: Request<PlanRingRequest>) -> Result<Response<PlanRingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn change_ring(&self, _: Request<ChangeRingRequest>) -> Result<Response<Self::ChangeRingStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }
}
