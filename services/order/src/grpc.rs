//! The wire's words to the domain's and back. No rules here.

mod operator;
mod read;
mod write;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{Money, OrderId};
use futures::Stream;
use futures::stream::unfold;
use proto::order::v1::order_service_server::OrderService;
use proto::order::v1::{self as wire};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::error::Error;
use crate::order::{Order, Phase, TradeState};
use crate::state::TradeNews;
use crate::watch::Watcher;

use read::{account, order_id, page_end};
use write::{Writer, page_token};

/// The gRPC face of the order service.
#[derive(Clone, Debug)]
pub struct Face {
    app: Arc<App>,
}

impl Face {
    /// The face of an app.
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn write(&self, order: &Order) -> Option<wire::Order> {
        Some(Writer { timetable: &self.app.timetable, vault: &self.app.vault }.order(order))
    }
}

#[tonic::async_trait]
impl OrderService for Face {
    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<wire::WatchOrderResponse, Status>> + Send>>;

    async fn open_order(
        &self,
        request: Request<wire::OpenOrderRequest>,
    ) -> Result<Response<wire::OpenOrderResponse>, Status> {
        let request = request.into_inner();
        let new = read::new_order(&request)?;
        let order = if request.repeat_only { self.app.repeat(new).await? } else { self.app.open(new).await? };
        Ok(Response::new(wire::OpenOrderResponse { order: self.write(&order) }))
    }

    async fn quote_order(
        &self,
        request: Request<wire::QuoteOrderRequest>,
    ) -> Result<Response<wire::QuoteOrderResponse>, Status> {
        let quote = self.app.quote(&read::new_quote(&request.into_inner())?)?;
        Ok(Response::new(write::quote(quote)))
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::GetOrderResponse>, Status> {
        let request = request.into_inner();
        let order = self.app.get(&account(&request.account)?, order_id(&request.order_id)?).await?;
        Ok(Response::new(wire::GetOrderResponse { order: self.write(&order) }))
    }

    async fn list_orders(
        &self,
        request: Request<wire::ListOrdersRequest>,
    ) -> Result<Response<wire::ListOrdersResponse>, Status> {
        let request = request.into_inner();
        let limit = read::page_size(request.page_size)?;
        let after = page_end(&request.page_token)?;
        // One more than asked for tells whether there is a next page.
        let mut orders = self.app.list(&account(&request.account)?, after, limit + 1).await?;
        let more = orders.len() > limit as usize;
        orders.truncate(limit as usize);
        let next_page_token = orders.last().filter(|_| more).map(page_token).unwrap_or_default();
        let orders = orders.iter().filter_map(|order| self.write(order)).collect();
        Ok(Response::new(wire::ListOrdersResponse { orders, next_page_token }))
    }

    async fn pay_order(
        &self,
        request: Request<wire::PayOrderRequest>,
    ) -> Result<Response<wire::PayOrderResponse>, Status> {
        let request = request.into_inner();
        let (account, id) = (account(&request.account)?, order_id(&request.order_id)?);
        let token = read::payment_token(request.payment_token)?;
        let order = self.app.pay(&account, id, token).await?;
        let trade_id = order.trades.last().and_then(|trade| trade.id.clone()).unwrap_or_default();
        Ok(Response::new(wire::PayOrderResponse { order: self.write(&order), trade_id }))
    }

    async fn cancel_order(
        &self,
        request: Request<wire::CancelOrderRequest>,
    ) -> Result<Response<wire::CancelOrderResponse>, Status> {
        let request = request.into_inner();
        let order = self.app.cancel(&account(&request.account)?, order_id(&request.order_id)?).await?;
        Ok(Response::new(wire::CancelOrderResponse { order: self.write(&order) }))
    }

    async fn refund_ticket(
        &self,
        request: Request<wire::RefundTicketRequest>,
    ) -> Result<Response<wire::RefundTicketResponse>, Status> {
        let request = request.into_inner();
        let (account, id) = (account(&request.account)?, order_id(&request.order_id)?);
        let (order, given_back) = self.app.refund_ticket(&account, id, &request.ticket_id).await?;
        Ok(Response::new(wire::RefundTicketResponse {
            order: self.write(&order),
            refund_fen: given_back.refund.as_fen(),
            fee_fen: given_back.fee.as_fen(),
        }))
    }

    async fn quote_change(
        &self,
        request: Request<wire::QuoteChangeRequest>,
    ) -> Result<Response<wire::QuoteChangeResponse>, Status> {
        let wanted = read::new_tickets(request.into_inner().journey)?;
        let quoted = self.app.quote_change(&wanted).await?;
        Ok(Response::new(write::change_quote(&quoted)))
    }

    async fn change_tickets(
        &self,
        request: Request<wire::ChangeTicketsRequest>,
    ) -> Result<Response<wire::ChangeTicketsResponse>, Status> {
        let request = request.into_inner();
        let id = read::change_id(&request.change_id)?;
        let agreed = read::agreed(request.agreed_fen)?;
        let token =
            (!request.payment_token.is_empty()).then(|| read::payment_token(request.payment_token)).transpose()?;
        let wanted = read::new_tickets(request.journey)?;
        let (order, change) = self.app.change_tickets(id, &wanted, agreed, token).await?;
        let change = Some(write::change(&order, &change));
        Ok(Response::new(wire::ChangeTicketsResponse { order: self.write(&order), change }))
    }

    async fn watch_order(
        &self,
        request: Request<wire::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let request = request.into_inner();
        let (account, id) = (account(&request.account)?, order_id(&request.order_id)?);
        // Watched before it is read: no change falls between the two.
        let watcher = self.app.watchers.watch(id).ok_or(Error::TooManyWatched)?;
        let order = self.app.get(&account, id).await?;
        let watching = Watching { face: self.clone(), id, watcher, first: Some(order.into()), sent: 0 };
        let stream = unfold(Some(watching), |watching| async move { watching?.next().await });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn note_trade(
        &self,
        request: Request<wire::NoteTradeRequest>,
    ) -> Result<Response<wire::NoteTradeResponse>, Status> {
        let request = request.into_inner();
        let id = order_id(&request.order_id)?;
        let (state, captured) = match request.outcome() {
            wire::TradeOutcome::Captured => (TradeState::Captured, Money::fen(request.captured_fen)),
            wire::TradeOutcome::Declined => (TradeState::Declined, Money::ZERO),
            wire::TradeOutcome::Closed => (TradeState::Closed, Money::ZERO),
            wire::TradeOutcome::Unspecified => return Err(read::wrong("outcome", "captured, declined or closed")),
        };
        let news = TradeNews { attempt: None, id: request.trade_id, state, captured, revive: true };
        self.app.note_trade(id, news).await?;
        Ok(Response::new(wire::NoteTradeResponse {}))
    }

    async fn note_refund(
        &self,
        request: Request<wire::NoteRefundRequest>,
    ) -> Result<Response<wire::NoteRefundResponse>, Status> {
        let request = request.into_inner();
        self.app.note_refund(order_id(&request.order_id)?, request.refund_id).await?;
        Ok(Response::new(wire::NoteRefundResponse {}))
    }
}

/// A stream of one order's states.
struct Watching {
    face: Face,
    id: OrderId,
    watcher: Watcher,
    /// The order as it was when the stream began, until it is sent.
    first: Option<Arc<Order>>,
    /// The version sent last.
    sent: u64,
}

impl Watching {
    /// The present state, then each later one. The stream ends after an order's end.
    async fn next(mut self) -> Option<(Result<wire::WatchOrderResponse, Status>, Option<Self>)> {
        let order = match self.first.take() {
            Some(order) => order,
            None => match self.newer().await {
                Ok(order) => order,
                Err(error) => return Some((Err(error.into()), None)),
            },
        };
        self.sent = order.version;
        let response = wire::WatchOrderResponse { order: self.face.write(&order) };
        let ended = matches!(order.phase, Phase::Released(_) | Phase::Refunded(_));
        Some((Ok(response), (!ended).then_some(self)))
    }

    /// Waits until the order is newer than what was sent: told by this process, or found out by reading.
    async fn newer(&mut self) -> Result<Arc<Order>, Error> {
        let poll = Duration::from_millis(self.face.app.options.watch_poll_ms);
        loop {
            let order = match tokio::time::timeout(poll, self.watcher.changed()).await {
                Ok(order) => order,
                // Another replica may have changed it.
                Err(_) => self.face.app.load(self.id).await?.into(),
            };
            if order.version > self.sent {
                return Ok(order);
            }
        }
    }
}
