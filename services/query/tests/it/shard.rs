//! A shard that sends the boards a test gives it, and knows nothing else.

use std::pin::Pin;
use std::sync::Arc;

use proto::common::v1::Run;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::*;
use rpc::{Component, Limits};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

type Messages = mpsc::Sender<Result<WatchBoardsResponse, Status>>;

#[derive(Clone, Debug, Default)]
pub struct FakeShard {
    stream: Arc<parking_lot::Mutex<Option<Messages>>>,
    opened: Arc<tokio::sync::Notify>,
    sending: Arc<Mutex<()>>,
}

impl FakeShard {
    pub fn component(&self, name: &str) -> Component {
        Component::new(name, Limits::internal()).service(InventoryServiceServer::new(self.clone()))
    }

    /// Sends boards as soon as somebody watches, with a proof of ownership; every board of the shard is said to be sent.
    pub async fn send(&self, boards: Vec<Board>, verified_at_ms: i64) {
        let _one_at_a_time = self.sending.lock().await;
        loop {
            let opened = self.opened.notified();
            let stream = self.stream.lock().clone();
            let message =
                WatchBoardsResponse { boards: boards.clone(), caught_up: true, verified_at_ms, left_slots: vec![] };
            match stream {
                Some(stream) if stream.send(Ok(message)).await.is_ok() => return,
                _ => opened.await,
            }
        }
    }

    /// Returns once everything sent has been read and applied: the channel holds one message, and each of these empty
    /// ones is taken only after those before it.
    pub async fn seen(&self) {
        for _ in 0..16 {
            self.send(vec![], 0).await;
        }
    }

    /// Ends the stream that is open, as a shard that restarts does.
    pub fn end_streams(&self) {
        *self.stream.lock() = None;
    }
}

/// A board of one class, second, on sale, with seats by a formula over the stops.
pub fn board(train: &str, date: &str, stops: u32, epoch: u64, version: u64, seats: fn(u32, u32) -> u32) -> Board {
    let intervals = (0..stops).flat_map(|from| (from + 1..stops).map(move |to| (from, to)));
    Board {
        run: Some(Run { train_code: train.into(), service_date: date.into(), ordinal: 1 }),
        epoch,
        version,
        as_of_ms: 1_000,
        sale: SaleState::Open.into(),
        stops,
        classes: vec![ClassBoard {
            seat_class: 3,
            seats: intervals.map(|(from, to)| seats(from, to)).collect(),
            standing: vec![],
        }],
        line_open: false,
    }
}

macro_rules! not_asked {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl InventoryService for FakeShard {
            type HoldStreamStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<HoldStreamResponse, Status>> + Send>>;
            type WatchBoardsStream = ReceiverStream<Result<WatchBoardsResponse, Status>>;
            type ReadFeedStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<ReadFeedResponse, Status>> + Send>>;

            async fn watch_boards(
                &self,
                _: Request<WatchBoardsRequest>,
            ) -> Result<Response<Self::WatchBoardsStream>, Status> {
                let (sender, receiver) = mpsc::channel(1);
                *self.stream.lock() = Some(sender);
                self.opened.notify_waiters();
                Ok(Response::new(ReceiverStream::new(receiver)))
            }

            async fn hold_stream(
                &self,
                _: Request<Streaming<HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            async fn read_feed(
                &self,
                _: Request<ReadFeedRequest>,
            ) -> Result<Response<Self::ReadFeedStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            })*
        }
    };
}

not_asked! {
    open_sale(OpenSaleRequest) -> OpenSaleResponse;
    close_sale(CloseSaleRequest) -> CloseSaleResponse;
    add_capacity(AddCapacityRequest) -> AddCapacityResponse;
    set_quotas(SetQuotasRequest) -> SetQuotasResponse;
    hold(HoldRequest) -> HoldResponse;
    open_hold(OpenHoldRequest) -> OpenHoldResponse;
    confirm(ConfirmRequest) -> ConfirmResponse;
    release(ReleaseRequest) -> ReleaseResponse;
    refund(RefundRequest) -> RefundResponse;
    change(ChangeRequest) -> ChangeResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    join_line(JoinLineRequest) -> JoinLineResponse;
    leave_line(LeaveLineRequest) -> LeaveLineResponse;
    accept_offer(AcceptOfferRequest) -> AcceptOfferResponse;
    decline_offer(DeclineOfferRequest) -> DeclineOfferResponse;
    get_board(GetBoardRequest) -> GetBoardResponse;
}
