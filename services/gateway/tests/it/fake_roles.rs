//! Query, order and waitlist that remember what they were asked and answer as they were told.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use proto::order::v1::order_service_server::OrderService;
use proto::order::v1::*;
use proto::query::v1 as query;
use proto::waitlist::v1 as waitlist;
use rpc::{Failure, reason};
use tonic::{Request, Response, Status};

/// The price of every order.
pub const PRICE_FEN: i64 = 93_650;

#[derive(Clone, Default)]
pub struct FakeOrders(pub Arc<Orders>);

#[derive(Default)]
pub struct Orders {
    pub opened: Mutex<HashMap<String, OpenOrderRequest>>,
    pub paid: Mutex<Vec<PayOrderRequest>>,
    pub changed: Mutex<Vec<ChangeTicketsRequest>>,
    in_work: AtomicUsize,
    pub most_in_work: AtomicUsize,
}

fn not_found() -> Status {
    Failure::not_found(reason::ORDER_NOT_FOUND, "no such order").into()
}

impl FakeOrders {
    fn find(&self, account: &str, order_id: &str) -> Result<Order, Status> {
        let opened = self.0.opened.lock();
        let order = opened.get(order_id).filter(|order| order.account == account).ok_or_else(not_found)?;
        Ok(order_of(order))
    }
}

fn order_of(request: &OpenOrderRequest) -> Order {
    Order {
        order_id: request.order_id.clone(),
        account: request.account.clone(),
        state: OrderState::Held.into(),
        total_fen: PRICE_FEN,
        ..Order::default()
    }
}

#[tonic::async_trait]
impl OrderService for FakeOrders {
    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send>>;

    async fn open_order(&self, request: Request<OpenOrderRequest>) -> Result<Response<OpenOrderResponse>, Status> {
        let in_work = self.0.in_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_in_work.fetch_max(in_work, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.in_work.fetch_sub(1, Ordering::SeqCst);
        let request = request.into_inner();
        let mut opened = self.0.opened.lock();
        if request.repeat_only {
            let known = opened.get(&request.order_id).ok_or_else(not_found)?;
            return Ok(Response::new(OpenOrderResponse { order: Some(order_of(known)) }));
        }
        if let Some(first) = opened.get(&request.order_id) {
            if *first != request {
                return Err(Failure::request_id_reused(&request.order_id).into());
            }
        } else if request.quoted_fen != 0 && request.quoted_fen != PRICE_FEN {
            let changed = Failure::refused(reason::PRICE_CHANGED, "the price is another one");
            return Err(changed.with("total_fen", PRICE_FEN).into());
        }
        let order = order_of(&request);
        opened.insert(request.order_id.clone(), request);
        Ok(Response::new(OpenOrderResponse { order: Some(order) }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let request = request.into_inner();
        let order = self.find(&request.account, &request.order_id)?;
        Ok(Response::new(GetOrderResponse { order: Some(order) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        let account = request.into_inner().account;
        let orders = self.0.opened.lock().values().filter(|order| order.account == account).map(order_of).collect();
        Ok(Response::new(ListOrdersResponse { orders, next_page_token: "more".into() }))
    }

    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Result<Response<PayOrderResponse>, Status> {
        let request = request.into_inner();
        let order = self.find(&request.account, &request.order_id)?;
        self.0.paid.lock().push(request);
        Ok(Response::new(PayOrderResponse { order: Some(order), trade_id: "t".into() }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let request = request.into_inner();
        let order = self.find(&request.account, &request.order_id)?;
        Ok(Response::new(CancelOrderResponse { order: Some(order) }))
    }

    async fn refund_ticket(
        &self,
        request: Request<RefundTicketRequest>,
    ) -> Result<Response<RefundTicketResponse>, Status> {
        let request = request.into_inner();
        let order = self.find(&request.account, &request.order_id)?;
        Ok(Response::new(RefundTicketResponse { order: Some(order), refund_fen: 93_450, fee_fen: 200 }))
    }

    async fn quote_order(&self, request: Request<QuoteOrderRequest>) -> Result<Response<QuoteOrderResponse>, Status> {
        let passengers = request.into_inner().kinds.len() as i64;
        let total_fen = passengers * PRICE_FEN;
        Ok(Response::new(QuoteOrderResponse { quote: "signed".into(), total_fen, ..QuoteOrderResponse::default() }))
    }

    async fn quote_change(
        &self,
        request: Request<QuoteChangeRequest>,
    ) -> Result<Response<QuoteChangeResponse>, Status> {
        let journey = request.into_inner().journey.unwrap_or_default();
        self.find(&journey.account, &journey.order_id)?;
        Ok(Response::new(QuoteChangeResponse { due_fen: 1_050, ..QuoteChangeResponse::default() }))
    }

    async fn change_tickets(
        &self,
        request: Request<ChangeTicketsRequest>,
    ) -> Result<Response<ChangeTicketsResponse>, Status> {
        let request = request.into_inner();
        let journey = request.journey.clone().unwrap_or_default();
        let order = Some(self.find(&journey.account, &journey.order_id)?);
        let change = Some(TicketChange { change_id: request.change_id.clone(), ..TicketChange::default() });
        self.0.changed.lock().push(request);
        Ok(Response::new(ChangeTicketsResponse { order, change }))
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let request = request.into_inner();
        let order = self.find(&request.account, &request.order_id)?;
        let paid = Order { state: OrderState::Confirmed.into(), version: 2, ..order.clone() };
        let changes = [order, paid].map(|order| Ok(WatchOrderResponse { order: Some(order) }));
        Ok(Response::new(futures::stream::iter(changes).boxed()))
    }

    async fn note_trade(&self, _: Request<NoteTradeRequest>) -> Result<Response<NoteTradeResponse>, Status> {
        Err(Status::unimplemented("not asked in these tests"))
    }

    async fn note_refund(&self, _: Request<NoteRefundRequest>) -> Result<Response<NoteRefundResponse>, Status> {
        Err(Status::unimplemented("not asked in these tests"))
    }
}

#[derive(Clone, Default)]
pub struct FakeQuery;

#[tonic::async_trait]
impl query::query_service_server::QueryService for FakeQuery {
    async fn search_trains(
        &self,
        request: Request<query::SearchTrainsRequest>,
    ) -> Result<Response<query::SearchTrainsResponse>, Status> {
        if request.into_inner().from == "nowhere" {
            return Err(Failure::bad_field("from", "no such station").into());
        }
        let journeys = vec![query::Journey::default(); 3];
        Ok(Response::new(query::SearchTrainsResponse { journeys, ..query::SearchTrainsResponse::default() }))
    }

    async fn get_train(
        &self,
        request: Request<query::GetTrainRequest>,
    ) -> Result<Response<query::GetTrainResponse>, Status> {
        let run = request.into_inner().run;
        Ok(Response::new(query::GetTrainResponse { run, ..query::GetTrainResponse::default() }))
    }

    async fn find_stations(
        &self,
        _: Request<query::FindStationsRequest>,
    ) -> Result<Response<query::FindStationsResponse>, Status> {
        let stations = vec![query::Station { name: "北京西".into(), ..query::Station::default() }];
        Ok(Response::new(query::FindStationsResponse { stations }))
    }
}

#[derive(Clone, Default)]
pub struct FakeWaitlist(pub Arc<Mutex<Vec<waitlist::JoinWaitlistRequest>>>);

fn entry(entry_id: &str) -> Option<waitlist::Entry> {
    Some(waitlist::Entry { entry_id: entry_id.into(), ..waitlist::Entry::default() })
}

#[tonic::async_trait]
impl waitlist::waitlist_service_server::WaitlistService for FakeWaitlist {
    async fn join_waitlist(
        &self,
        request: Request<waitlist::JoinWaitlistRequest>,
    ) -> Result<Response<waitlist::JoinWaitlistResponse>, Status> {
        let request = request.into_inner();
        let entry = entry(&request.entry_id);
        self.0.lock().push(request);
        Ok(Response::new(waitlist::JoinWaitlistResponse { entry }))
    }

    async fn get_entry(
        &self,
        request: Request<waitlist::GetEntryRequest>,
    ) -> Result<Response<waitlist::GetEntryResponse>, Status> {
        Ok(Response::new(waitlist::GetEntryResponse { entry: entry(&request.into_inner().entry_id) }))
    }

    async fn list_entries(
        &self,
        _: Request<waitlist::ListEntriesRequest>,
    ) -> Result<Response<waitlist::ListEntriesResponse>, Status> {
        Ok(Response::new(waitlist::ListEntriesResponse::default()))
    }

    async fn leave_waitlist(
        &self,
        request: Request<waitlist::LeaveWaitlistRequest>,
    ) -> Result<Response<waitlist::LeaveWaitlistResponse>, Status> {
        Ok(Response::new(waitlist::LeaveWaitlistResponse { entry: entry(&request.into_inner().entry_id) }))
    }
}
