//! A shard and an order service that answer what the test tells them to, and remember what they were asked.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{EntryId, HoldId, Run};
use parking_lot::Mutex;
use prost::Message as _;
use proto::common::v1::Place;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::*;
use proto::journal::v1 as journal;
use proto::order::v1 as order;
use proto::order::v1::order_service_server::{OrderService, OrderServiceServer};
use rpc::{Component, Failure, Limits, reason};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

/// What is answered instead of success, in order; then success again.
pub type Script = Arc<Mutex<VecDeque<Failure>>>;

pub fn silence() -> Failure {
    Failure::unavailable(reason::UNAVAILABLE, "scripted", 1)
}

#[derive(Clone, Debug)]
pub struct FakeShard {
    pub joins: Script,
    pub accepts: Script,
    pub releases: Script,
    pub leaves: Script,
    pub calls: Arc<Mutex<Vec<&'static str>>>,
    pub joined: Arc<Mutex<Vec<JoinLineRequest>>>,
    sequence: Arc<AtomicU64>,
    feed: watch::Sender<Vec<FeedBatch>>,
    /// Up to which version each slot is purged.
    purged: Arc<Mutex<HashMap<u32, u64>>>,
}

impl Default for FakeShard {
    fn default() -> Self {
        Self {
            joins: Script::default(),
            accepts: Script::default(),
            releases: Script::default(),
            leaves: Script::default(),
            calls: Arc::default(),
            joined: Arc::default(),
            sequence: Arc::default(),
            feed: watch::Sender::new(Vec::new()),
            purged: Arc::default(),
        }
    }
}

impl FakeShard {
    pub fn component(&self) -> Component {
        Component::new("inventory-shard-0", Limits::internal()).service(InventoryServiceServer::new(self.clone()))
    }

    /// Commits a batch of one event to the slot of a run.
    pub fn record(&self, run: Run, kind: journal::event::Kind) {
        let key = journal::RunKey {
            train: run.train.to_string(),
            service_date: run.date.days(),
            ordinal: run.ordinal.into(),
        };
        let record = journal::Record {
            run: Some(key),
            events: vec![journal::Event { kind: Some(kind) }],
            ..journal::Record::default()
        };
        let batch = journal::Batch { schema_version: 1, records: vec![record] };
        self.feed.send_modify(|batches| {
            let slot = u32::from(run.slot().number());
            let version = batches.iter().filter(|batch| batch.slot == slot).count() as u64 + 1;
            let payload = batch.encode_to_vec().into();
            batches.push(FeedBatch { slot, version, payload, committed_at_ms: 0 });
        });
    }

    /// Purges everything the slot of a run has.
    pub fn purge(&self, run: Run) {
        let slot = u32::from(run.slot().number());
        let last = self.feed.borrow().iter().filter(|batch| batch.slot == slot).count() as u64;
        self.purged.lock().insert(slot, last);
    }

    fn answer<T>(&self, name: &'static str, script: &Script, success: T) -> Result<Response<T>, Status> {
        self.calls.lock().push(name);
        match script.lock().pop_front() {
            Some(failure) => Err(failure.into()),
            None => Ok(Response::new(success)),
        }
    }
}

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

macro_rules! shard {
    ($($unasked:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl InventoryService for FakeShard {
            type HoldStreamStream = Answers<HoldStreamResponse>;
            type WatchBoardsStream = Answers<WatchBoardsResponse>;
            type ReadFeedStream = Answers<ReadFeedResponse>;

            async fn join_line(&self, request: Request<JoinLineRequest>) -> Result<Response<JoinLineResponse>, Status> {
                self.joined.lock().push(request.into_inner());
                let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
                self.answer("join", &self.joins, JoinLineResponse { sequence, ahead: sequence as u32 - 1 })
            }

            async fn accept_offer(
                &self,
                request: Request<AcceptOfferRequest>,
            ) -> Result<Response<AcceptOfferResponse>, Status> {
                let entry: [u8; 16] = request.into_inner().entry_id[..].try_into().unwrap();
                let hold = HoldId { owner: u128::from_be_bytes(entry), leg: 0 };
                let place = Place { carriage: 5, label: "01A".into(), seat_class: 3, to_stop: 17, ..Place::default() };
                let granted = AcceptOfferResponse {
                    hold_id: hold.bytes().to_vec().into(),
                    places: vec![place],
                    pay_by_ms: 1_000_000,
                    hard_limit_ms: 2_000_000,
                };
                self.answer("accept", &self.accepts, granted)
            }

            async fn release(&self, _: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
                self.answer("release", &self.releases, ReleaseResponse {})
            }

            async fn leave_line(&self, _: Request<LeaveLineRequest>) -> Result<Response<LeaveLineResponse>, Status> {
                self.answer("leave", &self.leaves, LeaveLineResponse {})
            }

            async fn read_feed(
                &self,
                request: Request<ReadFeedRequest>,
            ) -> Result<Response<Self::ReadFeedStream>, Status> {
                let cursors = request.into_inner().cursors.into_iter().map(|cursor| (cursor.slot, cursor.version));
                let mut cursors = cursors.collect::<HashMap<u32, u64>>();
                for (slot, purged_up_to) in &*self.purged.lock() {
                    let cursor = cursors.get_mut(slot).unwrap();
                    if *cursor > 0 && *cursor < *purged_up_to {
                        let failure = Failure::bad_field("cursors", "purged");
                        return Err(failure.with("slot", slot).with("purged_up_to", purged_up_to).into());
                    }
                    *cursor = (*cursor).max(*purged_up_to);
                }
                let reader = (self.feed.subscribe(), cursors, true);
                let stream = futures::stream::unfold(reader, async |(mut feed, mut cursors, first)| {
                    if !first && feed.changed().await.is_err() {
                        return None;
                    }
                    let mut batches = feed.borrow_and_update().clone();
                    batches.retain(|batch| batch.version > cursors[&batch.slot]);
                    cursors.extend(batches.iter().map(|batch| (batch.slot, batch.version)));
                    Some((Ok(ReadFeedResponse { batches }), (feed, cursors, false)))
                });
                Ok(Response::new(Box::pin(stream)))
            }

            async fn hold_stream(
                &self,
                _: Request<Streaming<HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            async fn watch_boards(
                &self,
                _: Request<WatchBoardsRequest>,
            ) -> Result<Response<Self::WatchBoardsStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            $(async fn $unasked(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            })*
        }
    };
}

shard! {
    open_sale(OpenSaleRequest) -> OpenSaleResponse;
    close_sale(CloseSaleRequest) -> CloseSaleResponse;
    add_capacity(AddCapacityRequest) -> AddCapacityResponse;
    set_quotas(SetQuotasRequest) -> SetQuotasResponse;
    hold(HoldRequest) -> HoldResponse;
    open_hold(OpenHoldRequest) -> OpenHoldResponse;
    confirm(ConfirmRequest) -> ConfirmResponse;
    refund(RefundRequest) -> RefundResponse;
    change(ChangeRequest) -> ChangeResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    decline_offer(DeclineOfferRequest) -> DeclineOfferResponse;
    get_board(GetBoardRequest) -> GetBoardResponse;
}

#[derive(Clone, Debug, Default)]
pub struct FakeOrders {
    pub opens: Script,
    pub opened: Arc<Mutex<Vec<order::OpenOrderRequest>>>,
}

impl FakeOrders {
    pub fn component(&self) -> Component {
        Component::new("order", Limits::internal()).service(OrderServiceServer::new(self.clone()))
    }
}

macro_rules! orders {
    ($($unasked:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl OrderService for FakeOrders {
            type WatchOrderStream = Answers<order::WatchOrderResponse>;

            async fn open_order(
                &self,
                request: Request<order::OpenOrderRequest>,
            ) -> Result<Response<order::OpenOrderResponse>, Status> {
                self.opened.lock().push(request.into_inner());
                match self.opens.lock().pop_front() {
                    Some(failure) => Err(failure.into()),
                    None => Ok(Response::new(order::OpenOrderResponse::default())),
                }
            }

            async fn watch_order(
                &self,
                _: Request<order::WatchOrderRequest>,
            ) -> Result<Response<Self::WatchOrderStream>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            }

            $(async fn $unasked(&self, _: Request<order::$request>) -> Result<Response<order::$response>, Status> {
                Err(Status::unimplemented("not asked in these tests"))
            })*
        }
    };
}

orders! {
    get_order(GetOrderRequest) -> GetOrderResponse;
    list_orders(ListOrdersRequest) -> ListOrdersResponse;
    pay_order(PayOrderRequest) -> PayOrderResponse;
    cancel_order(CancelOrderRequest) -> CancelOrderResponse;
    refund_ticket(RefundTicketRequest) -> RefundTicketResponse;
    quote_order(QuoteOrderRequest) -> QuoteOrderResponse;
    quote_change(QuoteChangeRequest) -> QuoteChangeResponse;
    change_tickets(ChangeTicketsRequest) -> ChangeTicketsResponse;
    note_trade(NoteTradeRequest) -> NoteTradeResponse;
    note_refund(NoteRefundRequest) -> NoteRefundResponse;
}

pub fn entry_bytes(id: &str) -> prost::bytes::Bytes {
    id.parse::<EntryId>().unwrap().bytes().to_vec().into()
}
