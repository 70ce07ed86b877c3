//! A shard that remembers what it was asked and answers as it was told.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use proto::common::v1::Place;
use proto::inventory::v1::inventory_service_server::InventoryService;
use proto::inventory::v1::*;
use rpc::{Failure, reason};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

/// Shared by the test and the server.
#[derive(Clone)]
pub struct FakeShard(pub Arc<State>);

pub struct State {
    pub holds: Mutex<Vec<HoldRequest>>,
    pub states: Mutex<HashMap<Bytes, HoldState>>,
    pub released: Mutex<Vec<Bytes>>,
    pub opened: Mutex<Vec<OpenSaleRequest>>,
    pub closed: Mutex<Vec<CloseSaleRequest>>,
    /// Trains that have nothing left.
    pub sold_out: Mutex<Vec<String>>,
    /// Trains whose sale cannot be opened.
    pub broken: Mutex<Vec<String>>,
    /// Holds wait for a permit each.
    pub gate: Semaphore,
}

impl FakeShard {
    pub fn new() -> Self {
        Self(Arc::new(State {
            holds: Mutex::default(),
            states: Mutex::default(),
            released: Mutex::default(),
            opened: Mutex::default(),
            closed: Mutex::default(),
            sold_out: Mutex::default(),
            broken: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }))
    }

    async fn answer(&self, request: HoldRequest) -> Result<HoldResponse, Status> {
        self.0.holds.lock().push(request.clone());
        self.0.gate.acquire().await.unwrap().forget();
        let train = request.run.clone().unwrap().train_code;
        if self.0.sold_out.lock().contains(&train) {
            return Err(Failure::refused(reason::SOLD_OUT, "sold out").with("free", 0).into());
        }
        self.0.states.lock().entry(request.hold_id.clone()).or_insert(HoldState::Held);
        let places = request.passengers.iter().enumerate().map(|(passenger, _)| Place {
            passenger: passenger as u32,
            seat_class: request.seat_class,
            carriage: 5,
            label: format!("{:02}A", passenger + 1),
            from_stop: request.from_stop,
            to_stop: request.to_stop,
            ..Place::default()
        });
        Ok(HoldResponse { places: places.collect(), open_by_ms: 1, version: 1 })
    }
}

macro_rules! fake {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl InventoryService for FakeShard {
            type HoldStreamStream = Pin<Box<dyn Stream<Item = Result<HoldStreamResponse, Status>> + Send>>;
            type WatchBoardsStream = Pin<Box<dyn Stream<Item = Result<WatchBoardsResponse, Status>> + Send>>;
            type ReadFeedStream = Pin<Box<dyn Stream<Item = Result<ReadFeedResponse, Status>> + Send>>;

            async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
                Ok(Response::new(self.answer(request.into_inner()).await?))
            }

            async fn hold_stream(
                &self,
                request: Request<Streaming<HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                let shard = self.clone();
                let items = request.into_inner().flat_map(|message| futures::stream::iter(message.unwrap().items));
                let answers = items.map(move |item| {
                    let shard = shard.clone();
                    async move {
                        let outcome = match shard.answer(item.hold.unwrap()).await {
                            Ok(held) => hold_stream_answer::Outcome::Held(held),
                            Err(status) => hold_stream_answer::Outcome::Status(rpc::encode_status(&status)),
                        };
                        let answer = HoldStreamAnswer { correlation: item.correlation, outcome: Some(outcome) };
                        Ok(HoldStreamResponse { answers: vec![answer], leaving: false })
                    }
                });
                Ok(Response::new(answers.buffer_unordered(256).boxed()))
            }

            async fn get_hold(&self, request: Request<GetHoldRequest>) -> Result<Response<GetHoldResponse>, Status> {
                let state = self.0.states.lock().get(&request.into_inner().hold_id).copied();
                let state = state.ok_or_else(|| Failure::not_found(reason::HOLD_NOT_FOUND, "no such hold"))?;
                Ok(Response::new(GetHoldResponse { state: state.into(), ..GetHoldResponse::default() }))
            }

            async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
                self.0.released.lock().push(request.into_inner().hold_id);
                Ok(Response::new(ReleaseResponse {}))
            }

            async fn open_sale(&self, request: Request<OpenSaleRequest>) -> Result<Response<OpenSaleResponse>, Status> {
                let request = request.into_inner();
                if self.0.broken.lock().contains(&request.run.clone().unwrap().train_code) {
                    return Err(Failure::new(tonic::Code::AlreadyExists, reason::ALREADY_ON_SALE, "on sale").into());
                }
                let places = request.plan.as_ref().unwrap().carriages.iter().map(|carriage| carriage.places).sum();
                self.0.opened.lock().push(request);
                Ok(Response::new(OpenSaleResponse { places }))
            }

            async fn close_sale(
                &self,
                request: Request<CloseSaleRequest>,
            ) -> Result<Response<CloseSaleResponse>, Status> {
                self.0.closed.lock().push(request.into_inner());
                Ok(Response::new(CloseSaleResponse {}))
            }

            async fn watch_boards(
                &self,
                _: Request<WatchBoardsRequest>,
            ) -> Result<Response<Self::WatchBoardsStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            async fn read_feed(&self, _: Request<ReadFeedRequest>) -> Result<Response<Self::ReadFeedStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            })*
        }
    };
}

fake! {
    add_capacity(AddCapacityRequest) -> AddCapacityResponse;
    set_quotas(SetQuotasRequest) -> SetQuotasResponse;
    open_hold(OpenHoldRequest) -> OpenHoldResponse;
    confirm(ConfirmRequest) -> ConfirmResponse;
    refund(RefundRequest) -> RefundResponse;
    change(ChangeRequest) -> ChangeResponse;
    join_line(JoinLineRequest) -> JoinLineResponse;
    leave_line(LeaveLineRequest) -> LeaveLineResponse;
    accept_offer(AcceptOfferRequest) -> AcceptOfferResponse;
    decline_offer(DeclineOfferRequest) -> DeclineOfferResponse;
    get_board(GetBoardRequest) -> GetBoardResponse;
}
