//! Shards that count what they are asked and answer as their script says.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::Run;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use proto::common::v1::Run as WireRun;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::*;
use ring::ShardId;
use rpc::{Component, Failure, Limits, Running, Switchboard, reason};
use shard_client::{FixedList, Membership, RetryOptions, ShardRouter, ShardsOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// What a shard answers to its n-th call, from 0.
pub type Script = Box<dyn Fn(usize) -> Result<(), Status> + Send + Sync>;

#[derive(Clone)]
pub struct FakeShard(pub Arc<State>);

pub struct State {
    pub calls: AtomicUsize,
    pub unary_holds: AtomicUsize,
    /// Items of each message on hold streams.
    pub batches: Mutex<Vec<usize>>,
    pub streams: AtomicUsize,
    /// Whether hold streams are refused.
    pub no_streams: AtomicBool,
    /// Hold streams that their caller has ended.
    pub streams_ended: AtomicUsize,
    /// Whether the next message ends its stream unanswered.
    pub break_stream: AtomicBool,
    /// While false, messages on hold streams wait for their answers.
    pub answering: watch::Sender<bool>,
    /// Whether it says on its hold streams that it leaves.
    pub leaving: watch::Sender<bool>,
    pub script: Mutex<Script>,
}

impl FakeShard {
    fn new() -> Self {
        Self(Arc::new(State {
            calls: AtomicUsize::new(0),
            unary_holds: AtomicUsize::new(0),
            batches: Mutex::default(),
            streams: AtomicUsize::new(0),
            no_streams: AtomicBool::new(false),
            streams_ended: AtomicUsize::new(0),
            break_stream: AtomicBool::new(false),
            answering: watch::Sender::new(true),
            leaving: watch::Sender::new(false),
            script: Mutex::new(Box::new(|_| Ok(()))),
        }))
    }

    pub fn answer_with(&self, script: impl Fn(usize) -> Result<(), Status> + Send + Sync + 'static) {
        *self.0.script.lock() = Box::new(script);
    }

    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn answer(&self) -> Result<(), Status> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst);
        (*self.0.script.lock())(number)
    }

    /// A hold answers with its own id as the version, so that callers can tell their answers apart.
    fn held(&self, hold: &HoldRequest) -> Result<HoldResponse, Status> {
        self.answer()?;
        Ok(HoldResponse { version: number_of(hold), ..HoldResponse::default() })
    }
}

pub fn hold(run: Run, number: u64) -> HoldRequest {
    let mut hold_id = [0; 17];
    hold_id[8..16].copy_from_slice(&number.to_be_bytes());
    HoldRequest { run: Some(wire(run)), hold_id: hold_id.to_vec().into(), ..HoldRequest::default() }
}

fn number_of(hold: &HoldRequest) -> u64 {
    u64::from_be_bytes(hold.hold_id[8..16].try_into().unwrap())
}

pub fn wire(run: Run) -> WireRun {
    WireRun { train_code: run.train.to_string(), service_date: run.date.to_string(), ordinal: run.ordinal.into() }
}

/// A fleet of shards in this process and a router over them.
pub struct Fleet {
    pub shards: Vec<(ShardId, FakeShard)>,
    pub router: ShardRouter,
    pub switchboard: Switchboard,
    pub running: Vec<Running>,
}

pub async fn fleet(retry: RetryOptions) -> Fleet {
    let options = ShardsOptions { retry, ..ShardsOptions::default() };
    let switchboard = Switchboard::new();
    let discovery = FixedList::new(&options.list).unwrap();
    let router = ShardRouter::new(&options, &discovery, &switchboard).unwrap();
    let mut fleet = Fleet { shards: Vec::new(), router, switchboard, running: Vec::new() };
    for ordinal in 0..4 {
        fleet.add(ordinal).await;
    }
    fleet
}

impl Fleet {
    pub async fn add(&mut self, ordinal: u16) {
        let (id, shard) = (ShardId::numbered(ordinal), FakeShard::new());
        let component = Component::new(id.as_str(), Limits::internal());
        let running = component.service(InventoryServiceServer::new(shard.clone())).start().await;
        self.switchboard.connect(id.as_str(), running.stack());
        self.running.push(running);
        self.shards.push((id, shard));
    }

    pub fn shard(&self, id: &ShardId) -> &FakeShard {
        &self.shards.iter().find(|(known, _)| known == id).unwrap().1
    }

    /// A run, and the shard that owns it.
    pub fn a_run(&self) -> (Run, FakeShard) {
        let run: Run = "G71@2026-12-01".parse().unwrap();
        (run, self.shard(self.router.ring().owner_of(&run)).clone())
    }

    /// A ring of a later version without one of the shards.
    pub fn leave_out(&self, id: &ShardId) {
        let mut layout = self.router.ring().layout().clone();
        layout.version += 1;
        layout.members.retain(|member| member.shard != *id);
        let addresses = layout.members.iter().map(|member| (member.shard.clone(), None)).collect();
        self.router.replace(Membership { layout, addresses }).unwrap();
    }

    pub async fn confirm(&self, run: Run) -> Result<(), Status> {
        let request = ConfirmRequest { run: Some(wire(run)), ..ConfirmRequest::default() };
        let confirmed = self.router.call(&run, |mut client| {
            let request = request.clone();
            async move { client.confirm(request).await }
        });
        confirmed.await.map(|_| ())
    }
}

pub fn unavailable() -> Status {
    Failure::unavailable(reason::UNAVAILABLE, "not now", 1).into()
}

macro_rules! fake {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl InventoryService for FakeShard {
            type HoldStreamStream = Pin<Box<dyn Stream<Item = Result<HoldStreamResponse, Status>> + Send>>;
            type WatchBoardsStream = Pin<Box<dyn Stream<Item = Result<WatchBoardsResponse, Status>> + Send>>;
            type ReadFeedStream = Pin<Box<dyn Stream<Item = Result<ReadFeedResponse, Status>> + Send>>;

            async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
                self.0.unary_holds.fetch_add(1, Ordering::SeqCst);
                Ok(Response::new(self.held(&request.into_inner())?))
            }

            async fn hold_stream(
                &self,
                request: Request<Streaming<HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                if self.0.no_streams.load(Ordering::SeqCst) {
                    return Err(Status::unimplemented("no streams here"));
                }
                self.0.streams.fetch_add(1, Ordering::SeqCst);
                let shard = self.clone();
                let (answering, mut leaving) = (self.0.answering.subscribe(), self.0.leaving.subscribe());
                let (counted, ended) = (self.clone(), CancellationToken::new());
                let over = ended.clone();
                let says_leaving = futures::stream::once(async move {
                    let told = over.run_until_cancelled(leaving.wait_for(|leaving| *leaving)).await.is_some();
                    Ok(HoldStreamResponse { answers: Vec::new(), leaving: told })
                });
                let answers = request.into_inner().then(move |message| {
                    if let Ok(message) = &message {
                        shard.0.batches.lock().push(message.items.len());
                    }
                    let mut answering = answering.clone();
                    let shard = shard.clone();
                    async move {
                    let message = message?;
                    answering.wait_for(|answering| *answering).await.unwrap();
                    if shard.0.break_stream.swap(false, Ordering::SeqCst) {
                        return Err(unavailable());
                    }
                    // In another order than asked: the correlation tells.
                    let answers = message.items.into_iter().rev().map(|item| HoldStreamAnswer {
                        correlation: item.correlation,
                        outcome: Some(match item.hold.map(|hold| shard.held(&hold)) {
                            Some(Ok(held)) => hold_stream_answer::Outcome::Held(held),
                            Some(Err(status)) => hold_stream_answer::Outcome::Status(rpc::encode_status(&status)),
                            None => hold_stream_answer::Outcome::Released(ReleaseResponse {}),
                        }),
                    });
                    Ok(HoldStreamResponse { answers: answers.collect(), leaving: false })
                    }
                });
                let answers = answers.chain(futures::stream::once(async move {
                    counted.0.streams_ended.fetch_add(1, Ordering::SeqCst);
                    ended.cancel();
                    Ok(HoldStreamResponse::default())
                }));
                Ok(Response::new(futures::stream::select(says_leaving, answers).boxed()))
            }

            async fn confirm(&self, _: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
                self.answer()?;
                Ok(Response::new(ConfirmResponse {}))
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
    open_sale(OpenSaleRequest) -> OpenSaleResponse;
    close_sale(CloseSaleRequest) -> CloseSaleResponse;
    add_capacity(AddCapacityRequest) -> AddCapacityResponse;
    set_quotas(SetQuotasRequest) -> SetQuotasResponse;
    open_hold(OpenHoldRequest) -> OpenHoldResponse;
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
