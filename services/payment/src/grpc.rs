use std::pin::Pin;
use std::sync::Arc;

use domain::{Invalid, Money, OrderId, ServiceDate, Time};
use futures::{Stream, stream};
use proto::payment::v1::payment_service_server::PaymentService;
use proto::payment::v1::{
    CloseTradeRequest, CloseTradeResponse, CreateRefundRequest, CreateRefundResponse, CreateTradeRequest,
    CreateTradeResponse, GetRefundRequest, GetRefundResponse, GetTradeRequest, GetTradeResponse, ReconcileRequest,
    ReconcileResponse, RefundState as WireRefundState, Trade as WireTrade, TradeState as WireTradeState,
};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::error::Error;
use crate::reconcile::{Difference, reconcile};
use crate::state::{RefundState, Trade, TradeState};
use crate::store::{NewRefund, NewTrade};

/// The most a trade may be, in fen: a million yuan.
const AMOUNT_FEN_MAX: i64 = 100_000_000;
/// The most attempts of one order.
const ATTEMPTS_MAX: u32 = 1_000;

/// Turns messages into payment's own words and back.
pub struct Face {
    app: Arc<App>,
}

impl Face {
    /// The face of payment.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl PaymentService for Face {
    async fn create_trade(
        &self,
        request: Request<CreateTradeRequest>,
    ) -> Result<Response<CreateTradeResponse>, Status> {
        let request = request.into_inner();
        let order_id: OrderId = request.order_id.parse().map_err(invalid("order_id"))?;
        let asked = NewTrade {
            order_id: order_id.to_string(),
            attempt: at_most("attempt", request.attempt, ATTEMPTS_MAX)?,
            amount: amount("amount_fen", request.amount_fen, 1)?,
            payment_token: plain("payment_token", request.payment_token)?,
            expires_at: Time::from_millis(request.expires_at_ms),
            supplement: request.supplement,
        };
        let trade = self.app.create_trade(asked).await?;
        Ok(Response::new(CreateTradeResponse { trade: Some(wire_trade(trade)) }))
    }

    async fn get_trade(&self, request: Request<GetTradeRequest>) -> Result<Response<GetTradeResponse>, Status> {
        let trade_id = plain("trade_id", request.into_inner().trade_id)?;
        let trade = self.app.trade(&trade_id).await?;
        Ok(Response::new(GetTradeResponse { trade: Some(wire_trade(trade)) }))
    }

    async fn close_trade(&self, request: Request<CloseTradeRequest>) -> Result<Response<CloseTradeResponse>, Status> {
        let trade_id = plain("trade_id", request.into_inner().trade_id)?;
        let trade = self.app.close_trade(&trade_id).await?;
        Ok(Response::new(CloseTradeResponse { trade: Some(wire_trade(trade)) }))
    }

    async fn create_refund(
        &self,
        request: Request<CreateRefundRequest>,
    ) -> Result<Response<CreateRefundResponse>, Status> {
        let request = request.into_inner();
        let asked = NewRefund {
            refund_id: plain("refund_id", request.refund_id)?,
            trade_id: plain("trade_id", request.trade_id)?,
            amount: amount("amount_fen", request.amount_fen, 0)?,
            fee: amount("fee_fen", request.fee_fen, 0)?,
        };
        if asked.amount + asked.fee == Money::ZERO {
            let nothing = Invalid::new("refund", "an amount, a fee or both", "0 fen");
            return Err(invalid("amount_fen")(nothing).into());
        }
        let refund = self.app.create_refund(asked).await?;
        Ok(Response::new(CreateRefundResponse { state: wire_refund_state(refund.state).into() }))
    }

    async fn get_refund(&self, request: Request<GetRefundRequest>) -> Result<Response<GetRefundResponse>, Status> {
        let refund_id = plain("refund_id", request.into_inner().refund_id)?;
        let refund = self.app.refund(&refund_id).await?;
        let state = wire_refund_state(refund.state).into();
        Ok(Response::new(GetRefundResponse { state, amount_fen: refund.amount.as_fen() }))
    }

    type ReconcileStream = Pin<Box<dyn Stream<Item = Result<ReconcileResponse, Status>> + Send>>;

    async fn reconcile(&self, request: Request<ReconcileRequest>) -> Result<Response<Self::ReconcileStream>, Status> {
        let day: ServiceDate = request.into_inner().date.parse().map_err(invalid("date"))?;
        let differences = reconcile(&self.app, day).await?;
        let lines = differences.into_iter().map(|difference| Ok(wire_difference(difference)));
        Ok(Response::new(Box::pin(stream::iter(lines))))
    }
}

fn wire_trade(trade: Trade) -> WireTrade {
    let state = match trade.state {
        TradeState::Pending => WireTradeState::Pending,
        TradeState::Captured => WireTradeState::Captured,
        TradeState::Declined => WireTradeState::Declined,
        TradeState::Closed => WireTradeState::Closed,
    };
    WireTrade {
        captured_fen: trade.captured().as_fen(),
        trade_id: trade.trade_id,
        order_id: trade.order_id,
        amount_fen: trade.amount.as_fen(),
        state: state.into(),
        refunded_fen: trade.refunded.as_fen(),
    }
}

fn wire_refund_state(state: RefundState) -> WireRefundState {
    match state {
        RefundState::Pending => WireRefundState::Pending,
        RefundState::Succeeded => WireRefundState::Succeeded,
    }
}

fn wire_difference(difference: Difference) -> ReconcileResponse {
    ReconcileResponse {
        id: difference.id,
        ours_fen: difference.ours.map(Money::as_fen),
        theirs_fen: difference.theirs.map(Money::as_fen),
    }
}

fn invalid(field: &'static str) -> impl Fn(Invalid) -> Error {
    move |source| Error::Invalid { field, source }
}

/// 1 to 80 characters of `A-Z a-z 0-9 . _ / -`: ids and tokens go to the provider and into its files as they are.
fn plain(field: &'static str, text: String) -> Result<String, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    if (1..=80).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text);
    }
    let allowed = "1 to 80 letters, digits, dots, hyphens, slashes or underscores";
    Err(invalid(field)(Invalid::new("id or token", allowed, &text)))
}

fn amount(field: &'static str, fen: i64, least: i64) -> Result<Money, Error> {
    if (least..=AMOUNT_FEN_MAX).contains(&fen) {
        return Ok(Money::fen(fen));
    }
    let allowed = if least == 0 { "0 to 100000000 fen" } else { "1 to 100000000 fen" };
    Err(invalid(field)(Invalid::new("amount", allowed, &fen.to_string())))
}

fn at_most(field: &'static str, number: u32, most: u32) -> Result<u32, Error> {
    if number <= most {
        return Ok(number);
    }
    Err(invalid(field)(Invalid::new("number", "0 to 1000", &number.to_string())))
}
