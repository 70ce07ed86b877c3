//! The face: `chunyun.inventory.v1` to the kernel's commands and back.

mod answer;
mod command;
mod hold_stream;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::Run;
use engine::{Decision, EngineHandle, Viewed};
use futures::Stream;
use inventory::{Answer, Command, TrainDate};
use proto::common::v1 as common;
use proto::inventory::v1::inventory_service_server::InventoryService;
use proto::inventory::v1::*;
use rpc::CallContext;
use rpc::context::TraceContext;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::boards::Boards;
use crate::error::Error;
use crate::feed::{Feed, FeedReader};
use crate::grpc::hold_stream::HoldStream;
use crate::ownership::Ownership;

pub use answer::board as board_to_wire;

/// The most that an answer is early, so that it reaches its caller before the caller gives up.
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(50);

/// The inventory service of one shard.
#[derive(Clone, Debug)]
pub struct Face {
    engine: EngineHandle,
    ownership: Ownership,
    boards: Arc<Boards>,
    feed: Feed,
    /// Cancelled when the shard leaves.
    leaving: CancellationToken,
    bounds: Bounds,
}

/// Bounds of the face.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a caller without a deadline waits.
    pub timeout_default: Duration,
    /// Holds of one stream that may be unanswered.
    pub stream_holds_max: usize,
    /// The least time between two messages of boards to one watcher.
    pub board_interval: Duration,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Face {
    /// Answers from this engine for the slots that are the shard's.
    pub fn new(
        engine: EngineHandle,
        ownership: Ownership,
        boards: Arc<Boards>,
        feed: Feed,
        leaving: CancellationToken,
        bounds: Bounds,
    ) -> Self {
        Self { engine, ownership, boards, feed, leaving, bounds }
    }

    async fn run(&self, named: Option<&common::Run>) -> Result<Run, Error> {
        let run = command::run(named)?;
        self.ownership.admit(run).await?;
        Ok(run)
    }

    async fn submit(&self, run: Run, command: Command) -> Result<Decision, Error> {
        let context = CallContext::current();
        let trace = context.trace.map(TraceContext::bytes);
        let timeout = context.remaining().map_or(self.bounds.timeout_default, answered_in_time);
        let decision = self.engine.submit(run, trace, command, timeout).await;
        decision.map_err(|error| self.ownership.explain(error))
    }

    /// Has a command decided and gives its answer.
    async fn answer(&self, named: Option<&common::Run>, command: Command) -> Result<Answer, Error> {
        let run = self.run(named).await?;
        Ok(self.submit(run, command).await?.answer()?)
    }

    async fn read<T: Send + 'static>(
        &self,
        run: Run,
        look: impl FnOnce(&TrainDate) -> T + Send + 'static,
    ) -> Result<Viewed<T>, Error> {
        let timeout = CallContext::current().remaining().map_or(self.bounds.timeout_default, answered_in_time);
        let seen = self.engine.read(run, timeout, look).await;
        seen.map_err(|error| self.ownership.explain(error))
    }

    async fn hold_one(&self, request: &HoldRequest) -> Result<HoldResponse, Error> {
        let run = self.run(request.run.as_ref()).await?;
        hold_stream::held(self.submit(run, Command::Hold(command::hold(request)?)).await?)
    }

    async fn change_one(&self, request: &ChangeRequest) -> Result<ChangeResponse, Error> {
        let new = request.hold.as_ref().ok_or_else(|| Error::Plan { field: "hold", message: "missing".to_owned() })?;
        if new.run.is_some() && new.run != request.run {
            return Err(Error::Plan { field: "hold.run", message: "not the run of the old hold".to_owned() });
        }
        let old = command::hold_id("old_hold_id", &request.old_hold_id)?;
        let change = Command::Change { old, new: command::hold(new)? };
        match self.answer(request.run.as_ref(), change).await? {
            Answer::Changed(held) => Ok(ChangeResponse { places: answer::places(&held.parts) }),
            other => unreachable!("a change is answered by {other:?}"),
        }
    }

    async fn open_one(&self, request: &OpenHoldRequest) -> Result<OpenHoldResponse, Error> {
        let hold = command::hold_id("hold_id", &request.hold_id)?;
        match self.answer(request.run.as_ref(), Command::OpenHold { hold }).await? {
            Answer::HoldOpened { pay_by, hard_limit } => {
                Ok(OpenHoldResponse { pay_by_ms: pay_by.millis(), hard_limit_ms: hard_limit.millis() })
            }
            other => unreachable!("an opening is answered by {other:?}"),
        }
    }

    async fn hold_now(&self, request: &GetHoldRequest) -> Result<GetHoldResponse, Error> {
        let run = self.run(request.run.as_ref()).await?;
        let hold = command::hold_id("hold_id", &request.hold_id)?;
        let seen = self.read(run, move |train_date| train_date.hold(hold)).await?;
        seen.value.map(|view| answer::hold_view(&view)).ok_or(Error::HoldNotFound)
    }

    async fn join(&self, request: &JoinLineRequest) -> Result<JoinLineResponse, Error> {
        let run = self.run(request.run.as_ref()).await?;
        match self.submit(run, command::join(request)?).await?.answer()? {
            Answer::Joined { sequence } => {
                // Those who came after it in this instant are counted too; never more than ever came before it.
                let waiting = self.read(run, TrainDate::waiting).await?.value;
                let before = u32::try_from(sequence - 1).unwrap_or(u32::MAX);
                Ok(JoinLineResponse { sequence, ahead: waiting.saturating_sub(1).min(before) })
            }
            other => unreachable!("a join is answered by {other:?}"),
        }
    }

    async fn accept(&self, request: &AcceptOfferRequest) -> Result<AcceptOfferResponse, Error> {
        let id = command::wish_id(&request.entry_id)?;
        match self.answer(request.run.as_ref(), Command::AcceptOffer { id }).await? {
            Answer::OfferAccepted { hold, pay_by, hard_limit, parts } => Ok(AcceptOfferResponse {
                hold_id: hold.bytes().to_vec().into(),
                places: answer::places(&parts),
                pay_by_ms: pay_by.millis(),
                hard_limit_ms: hard_limit.millis(),
            }),
            other => unreachable!("an acceptance is answered by {other:?}"),
        }
    }

    async fn board_now(&self, request: &GetBoardRequest) -> Result<GetBoardResponse, Error> {
        let run = self.run(request.run.as_ref()).await?;
        let Viewed { value, epoch, version, time } = self.read(run, TrainDate::board).await?;
        if value.stops == 0 {
            return Err(Error::RunNotFound);
        }
        Ok(GetBoardResponse { board: Some(answer::board(run, &value, epoch.0, version.0, time.millis())) })
    }
}

/// How long the engine may keep a request of a caller who waits so long: "try again" is of use only while somebody hears it.
pub(crate) fn answered_in_time(remaining: Duration) -> Duration {
    remaining - (remaining / 8).min(ANSWER_MARGIN_MAX)
}

#[tonic::async_trait]
impl InventoryService for Face {
    type HoldStreamStream = Answers<HoldStreamResponse>;
    type WatchBoardsStream = Answers<WatchBoardsResponse>;
    type ReadFeedStream = Answers<ReadFeedResponse>;

    async fn open_sale(&self, request: Request<OpenSaleRequest>) -> Result<Response<OpenSaleResponse>, Status> {
        let request = request.into_inner();
        let run = request.run.clone();
        let command = command::open_sale(request)?;
        let places = match &command {
            Command::OpenSale { plan, .. } => plan.carriages.iter().map(|carriage| u32::from(carriage.places)).sum(),
            _ => 0,
        };
        self.answer(run.as_ref(), command).await?;
        Ok(Response::new(OpenSaleResponse { places }))
    }

    async fn close_sale(&self, request: Request<CloseSaleRequest>) -> Result<Response<CloseSaleResponse>, Status> {
        let request = request.get_ref();
        self.answer(request.run.as_ref(), command::close_sale(request)?).await?;
        Ok(Response::new(CloseSaleResponse {}))
    }

    async fn add_capacity(
        &self,
        request: Request<AddCapacityRequest>,
    ) -> Result<Response<AddCapacityResponse>, Status> {
        let request = request.into_inner();
        let run = request.run.clone();
        self.answer(run.as_ref(), command::add_capacity(request)?).await?;
        Ok(Response::new(AddCapacityResponse {}))
    }

    async fn set_quotas(&self, request: Request<SetQuotasRequest>) -> Result<Response<SetQuotasResponse>, Status> {
        let request = request.into_inner();
        let run = request.run.clone();
        self.answer(run.as_ref(), command::set_quotas(request)?).await?;
        Ok(Response::new(SetQuotasResponse {}))
    }

    async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
        Ok(Response::new(self.hold_one(request.get_ref()).await?))
    }

    async fn hold_stream(
        &self,
        request: Request<Streaming<HoldStreamRequest>>,
    ) -> Result<Response<Self::HoldStreamStream>, Status> {
        let (engine, ownership) = (self.engine.clone(), self.ownership.clone());
        let stream = HoldStream::new(request.into_inner(), engine, ownership, self.leaving.clone(), self.bounds);
        Ok(Response::new(Box::pin(futures::stream::unfold(stream, async |mut stream| {
            stream.next().await.map(|answers| (answers, stream))
        }))))
    }

    async fn open_hold(&self, request: Request<OpenHoldRequest>) -> Result<Response<OpenHoldResponse>, Status> {
        Ok(Response::new(self.open_one(request.get_ref()).await?))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        let request = request.get_ref();
        let hold = command::hold_id("hold_id", &request.hold_id)?;
        self.answer(request.run.as_ref(), Command::Confirm { hold }).await?;
        Ok(Response::new(ConfirmResponse {}))
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let request = request.get_ref();
        self.answer(request.run.as_ref(), command::release(request)?).await?;
        Ok(Response::new(ReleaseResponse {}))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        let request = request.get_ref();
        self.answer(request.run.as_ref(), command::refund(request)?).await?;
        Ok(Response::new(RefundResponse {}))
    }

    async fn change(&self, request: Request<ChangeRequest>) -> Result<Response<ChangeResponse>, Status> {
        Ok(Response::new(self.change_one(request.get_ref()).await?))
    }

    async fn get_hold(&self, request: Request<GetHoldRequest>) -> Result<Response<GetHoldResponse>, Status> {
        Ok(Response::new(self.hold_now(request.get_ref()).await?))
    }

    async fn join_line(&self, request: Request<JoinLineRequest>) -> Result<Response<JoinLineResponse>, Status> {
        Ok(Response::new(self.join(request.get_ref()).await?))
    }

    async fn leave_line(&self, request: Request<LeaveLineRequest>) -> Result<Response<LeaveLineResponse>, Status> {
        let request = request.get_ref();
        let id = command::wish_id(&request.entry_id)?;
        self.answer(request.run.as_ref(), Command::Leave { id }).await?;
        Ok(Response::new(LeaveLineResponse {}))
    }

    async fn accept_offer(
        &self,
        request: Request<AcceptOfferRequest>,
    ) -> Result<Response<AcceptOfferResponse>, Status> {
        Ok(Response::new(self.accept(request.get_ref()).await?))
    }

    async fn decline_offer(
        &self,
        request: Request<DeclineOfferRequest>,
    ) -> Result<Response<DeclineOfferResponse>, Status> {
        let request = request.get_ref();
        let id = command::wish_id(&request.entry_id)?;
        self.answer(request.run.as_ref(), Command::DeclineOffer { id }).await?;
        Ok(Response::new(DeclineOfferResponse {}))
    }

    async fn get_board(&self, request: Request<GetBoardRequest>) -> Result<Response<GetBoardResponse>, Status> {
        Ok(Response::new(self.board_now(request.get_ref()).await?))
    }

    async fn watch_boards(&self, _: Request<WatchBoardsRequest>) -> Result<Response<Self::WatchBoardsStream>, Status> {
        let watcher = Boards::watch(self.boards.clone(), self.bounds.board_interval);
        Ok(Response::new(Box::pin(futures::stream::unfold(watcher, async |mut watcher| {
            Some((Ok(watcher.next().await), watcher))
        }))))
    }

    async fn read_feed(&self, request: Request<ReadFeedRequest>) -> Result<Response<Self::ReadFeedStream>, Status> {
        let reader = FeedReader::new(self.feed.clone(), &request.get_ref().cursors)?;
        Ok(Response::new(Box::pin(futures::stream::unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            match reader.next().await {
                Ok(batches) => Some((Ok(batches), Some(reader))),
                Err(error) => Some((Err(error.into()), None)),
            }
        }))))
    }
}
