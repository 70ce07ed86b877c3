//! The gRPC front that every design stands behind: it speaks the shard's own protocol, for holds and releases alone.

use std::sync::Arc;

use domain::Run;
use futures::stream::{BoxStream, StreamExt};
use proto::common::v1 as common;
use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::inventory_service_server::InventoryService;
use proto::inventory::v1::*;
use rpc::Failure;
use tonic::{Request, Response, Status, Streaming};

use crate::seats::Seats;

/// Requests of one stream worked on at once, and so the most that wait in it.
const STREAM_IN_FLIGHT_MAX: usize = 4_096;
/// Answers in one message.
const MESSAGE_ITEMS_MAX: usize = 256;

/// Puts a design behind gRPC.
#[derive(Clone)]
pub(crate) struct Front(pub Arc<dyn Seats>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The run of a request, read as a gateway reads it.
fn read_run(run: Option<&common::Run>) -> Result<Run, Status> {
    let named = run.ok_or_else(|| Failure::bad_field("run", "missing"))?;
    let invalid = |invalid: domain::Invalid| Failure::bad_field("run", invalid.to_string());
    let date = named.service_date.parse().map_err(invalid)?;
    Ok(Run::first(named.train_code.parse().map_err(invalid)?, date))
}

async fn answer(seats: Arc<dyn Seats>, item: HoldStreamItem) -> HoldStreamAnswer {
    let correlation = item.correlation;
    let outcome = match outcome(&*seats, item).await {
        Ok(outcome) => outcome,
        Err(status) => Outcome::Status(rpc::encode_status(&status)),
    };
    HoldStreamAnswer { correlation, outcome: Some(outcome) }
}

async fn outcome(seats: &dyn Seats, item: HoldStreamItem) -> Result<Outcome, Status> {
    match (item.hold, item.release) {
        (Some(hold), _) => Ok(Outcome::Held(seats.hold(read_run(hold.run.as_ref())?, hold).await?)),
        (None, Some(release)) => {
            seats.release(read_run(release.run.as_ref())?, release).await?;
            Ok(Outcome::Released(ReleaseResponse {}))
        }
        (None, None) => Err(Failure::bad_field("hold", "missing").into()),
    }
}

macro_rules! front {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl InventoryService for Front {
            type HoldStreamStream = Answers<HoldStreamResponse>;
            type WatchBoardsStream = Answers<WatchBoardsResponse>;
            type ReadFeedStream = Answers<ReadFeedResponse>;

            async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
                let request = request.into_inner();
                Ok(Response::new(self.0.hold(read_run(request.run.as_ref())?, request).await?))
            }

            async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
                let request = request.into_inner();
                self.0.release(read_run(request.run.as_ref())?, request).await?;
                Ok(Response::new(ReleaseResponse {}))
            }

            async fn hold_stream(
                &self,
                request: Request<Streaming<HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                let seats = self.0.clone();
                let items = request.into_inner().flat_map(|message| {
                    // A broken stream ends the answers; nobody is left to be told why.
                    futures::stream::iter(message.map(|message| message.items).unwrap_or_default())
                });
                let answers = items
                    .map(move |item| answer(seats.clone(), item))
                    .buffer_unordered(STREAM_IN_FLIGHT_MAX)
                    .ready_chunks(MESSAGE_ITEMS_MAX)
                    .map(|answers| Ok(HoldStreamResponse { answers, leaving: false }));
                Ok(Response::new(answers.boxed()))
            }

            async fn watch_boards(
                &self,
                _: Request<WatchBoardsRequest>,
            ) -> Result<Response<Self::WatchBoardsStream>, Status> {
                Err(Status::unimplemented("the front holds and releases"))
            }

            async fn read_feed(
                &self,
                _: Request<ReadFeedRequest>,
            ) -> Result<Response<Self::ReadFeedStream>, Status> {
                Err(Status::unimplemented("the front holds and releases"))
            }

            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("the front holds and releases"))
            })*
        }
    };
}

front! {
    open_sale(OpenSaleRequest) -> OpenSaleResponse;
    close_sale(CloseSaleRequest) -> CloseSaleResponse;
    add_capacity(AddCapacityRequest) -> AddCapacityResponse;
    set_quotas(SetQuotasRequest) -> SetQuotasResponse;
    open_hold(OpenHoldRequest) -> OpenHoldResponse;
    confirm(ConfirmRequest) -> ConfirmResponse;
    refund(RefundRequest) -> RefundResponse;
    change(ChangeRequest) -> ChangeResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    join_line(JoinLineRequest) -> JoinLineResponse;
    leave_line(LeaveLineRequest) -> LeaveLineResponse;
    accept_offer(AcceptOfferRequest) -> AcceptOfferResponse;
    decline_offer(DeclineOfferRequest) -> DeclineOfferResponse;
    get_board(GetBoardRequest) -> GetBoardResponse;
}
