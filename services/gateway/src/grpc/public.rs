use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use proto::gateway::v1::gateway_service_server::GatewayService;
use proto::gateway::v1::*;
use tonic::{Request, Response, Status, Streaming};

use super::{identified, orders};
use crate::Options;
use crate::app::App;

/// What clients call.
pub struct PublicFace {
    app: Arc<App>,
    stream: orders::Bounds,
}

type Answer<T> = Result<Response<T>, Status>;

impl PublicFace {
    /// A face of the app.
    pub fn new(app: Arc<App>, options: &Options) -> Self {
        Self { app, stream: orders::Bounds::of(options) }
    }
}

#[tonic::async_trait]
impl GatewayService for PublicFace {
    type PlaceOrdersStream = BoxStream<'static, Result<PlaceOrdersResponse, Status>>;
    type WatchOrderStream = BoxStream<'static, Result<WatchOrderResponse, Status>>;

    async fn search_trains(&self, request: Request<SearchTrainsRequest>) -> Answer<SearchTrainsResponse> {
        let result = self.app.search_trains(request.into_inner()).await?;
        Ok(Response::new(SearchTrainsResponse { result: Some(result) }))
    }

    async fn get_train(&self, request: Request<GetTrainRequest>) -> Answer<GetTrainResponse> {
        let train = self.app.get_train(request.into_inner()).await?;
        Ok(Response::new(GetTrainResponse { train: Some(train) }))
    }

    async fn find_stations(&self, request: Request<FindStationsRequest>) -> Answer<FindStationsResponse> {
        let found = self.app.find_stations(request.into_inner()).await?;
        Ok(Response::new(FindStationsResponse { stations: found.stations }))
    }

    async fn quote_order(&self, request: Request<QuoteOrderRequest>) -> Answer<QuoteOrderResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let quote = self.app.quote_order(request).await?;
        let (expires_at_ms, total_fen) = (quote.expires_at_ms, quote.total_fen);
        Ok(Response::new(QuoteOrderResponse { quote: quote.quote, expires_at_ms, total_fen, fares: quote.fares }))
    }

    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Answer<PlaceOrderResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let order = self.app.place_order(&identity, request).await?;
        Ok(Response::new(PlaceOrderResponse { order: Some(order) }))
    }

    async fn place_orders(&self, request: Request<Streaming<PlaceOrdersRequest>>) -> Answer<Self::PlaceOrdersStream> {
        let (identity, requests) = identified(request)?;
        Ok(Response::new(orders::place_all(Arc::clone(&self.app), identity, requests, self.stream).boxed()))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<GetOrderResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let order = self.app.get_order(&identity, &request.order_id).await?;
        Ok(Response::new(GetOrderResponse { order: Some(order) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<ListOrdersResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let page = self.app.list_orders(&identity, request).await?;
        Ok(Response::new(ListOrdersResponse { orders: page.orders, next_page_token: page.next_page_token }))
    }

    // What brings money in or back is never limited by account: its own service bounds it.
    async fn pay_order(&self, request: Request<PayOrderRequest>) -> Answer<PayOrderResponse> {
        let (identity, request) = identified(request)?;
        let order = self.app.pay_order(&identity, request).await?;
        Ok(Response::new(PayOrderResponse { order: Some(order) }))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Answer<CancelOrderResponse> {
        let (identity, request) = identified(request)?;
        let order = self.app.cancel_order(&identity, &request.order_id).await?;
        Ok(Response::new(CancelOrderResponse { order: Some(order) }))
    }

    async fn refund_ticket(&self, request: Request<RefundTicketRequest>) -> Answer<RefundTicketResponse> {
        let (identity, request) = identified(request)?;
        let refund = self.app.refund_ticket(&identity, request).await?;
        let (order, refund_fen, fee_fen) = (refund.order, refund.refund_fen, refund.fee_fen);
        Ok(Response::new(RefundTicketResponse { order, refund_fen, fee_fen }))
    }

    async fn quote_change(&self, request: Request<QuoteChangeRequest>) -> Answer<QuoteChangeResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let quote = self.app.quote_change(&identity, request).await?;
        let (due_fen, refund_fen, fee_fen) = (quote.due_fen, quote.refund_fen, quote.fee_fen);
        Ok(Response::new(QuoteChangeResponse { swaps: quote.swaps, due_fen, refund_fen, fee_fen }))
    }

    async fn change_ticket(&self, request: Request<ChangeTicketRequest>) -> Answer<ChangeTicketResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let changed = self.app.change_ticket(&identity, request).await?;
        Ok(Response::new(ChangeTicketResponse { order: changed.order, change: changed.change }))
    }

    async fn watch_order(&self, request: Request<WatchOrderRequest>) -> Answer<Self::WatchOrderStream> {
        let (identity, request) = identified(request)?;
        drop(self.app.admit(&identity).await?);
        let changes = self.app.watch_order(&identity, &request.order_id).await?;
        let changes = changes.map(|change| change.map(|change| WatchOrderResponse { order: change.order }));
        Ok(Response::new(changes.boxed()))
    }

    async fn join_waitlist(&self, request: Request<JoinWaitlistRequest>) -> Answer<JoinWaitlistResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let entry = self.app.join_waitlist(&identity, request).await?;
        Ok(Response::new(JoinWaitlistResponse { entry: Some(entry) }))
    }

    async fn get_waitlist_entry(&self, request: Request<GetWaitlistEntryRequest>) -> Answer<GetWaitlistEntryResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let entry = self.app.get_entry(&identity, &request.entry_id).await?;
        Ok(Response::new(GetWaitlistEntryResponse { entry: Some(entry) }))
    }

    async fn list_waitlist_entries(
        &self,
        request: Request<ListWaitlistEntriesRequest>,
    ) -> Answer<ListWaitlistEntriesResponse> {
        let (identity, request) = identified(request)?;
        let _in_flight = self.app.admit(&identity).await?;
        let page = self.app.list_entries(&identity, request).await?;
        Ok(Response::new(ListWaitlistEntriesResponse { entries: page.entries, next_page_token: page.next_page_token }))
    }

    async fn leave_waitlist(&self, request: Request<LeaveWaitlistRequest>) -> Answer<LeaveWaitlistResponse> {
        let (identity, request) = identified(request)?;
        let entry = self.app.leave_waitlist(&identity, &request.entry_id).await?;
        Ok(Response::new(LeaveWaitlistResponse { entry: Some(entry) }))
    }
}
