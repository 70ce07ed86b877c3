use std::pin::Pin;
use std::sync::Arc;

use domain::{Invalid, Money, ServiceDate, Time};
use futures::{Stream, TryStreamExt, stream};
use proto::provider::v1::sandbox_provider_service_server::SandboxProviderService;
use proto::provider::v1::{
    ChargeRequest, ChargeResponse, ChargeState as WireState, CloseChargeRequest, CloseChargeResponse,
    DownloadStatementRequest, DownloadStatementResponse, QueryChargeRequest, QueryChargeResponse, QueryRefundRequest,
    QueryRefundResponse, RefundRequest, RefundResponse,
};
use tonic::{Request, Response, Status};

use crate::app::{App, STATEMENT_PAGE_LINES, check_merchant_id};
use crate::error::Error;
use crate::model::{ChargeState, NewCharge, NewRefund, StatementLine};

/// The most a charge may be, in yuan.
const AMOUNT_YUAN_MAX: i64 = 1_000_000;
/// The longest callback URL in bytes.
const CALLBACK_URL_BYTES_MAX: usize = 512;

/// Turns messages into the provider's own words and back.
pub struct Face {
    app: Arc<App>,
}

impl Face {
    /// The face of a provider.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl SandboxProviderService for Face {
    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<ChargeResponse>, Status> {
        let request = request.into_inner();
        let asked = NewCharge {
            merchant_trade_id: merchant_id("merchant_trade_id", &request.merchant_trade_id)?,
            amount: amount(request.amount_fen)?,
            token: request.payment_token.parse().map_err(invalid("payment_token"))?,
            callback_url: callback_url(request.callback_url)?,
            expires_at: Time::from_millis(request.expires_at_ms),
        };
        let charge = self.app.charge(asked).await?;
        let state = wire_state(charge.state).into();
        Ok(Response::new(ChargeResponse { provider_charge_id: charge.provider_charge_id, state }))
    }

    async fn query_charge(
        &self,
        request: Request<QueryChargeRequest>,
    ) -> Result<Response<QueryChargeResponse>, Status> {
        let id = merchant_id("merchant_trade_id", &request.into_inner().merchant_trade_id)?;
        let charge = self.app.query_charge(&id).await?;
        Ok(Response::new(QueryChargeResponse {
            state: wire_state(charge.state).into(),
            amount_fen: charge.asked.amount.as_fen(),
            provider_charge_id: charge.provider_charge_id,
        }))
    }

    async fn close_charge(
        &self,
        request: Request<CloseChargeRequest>,
    ) -> Result<Response<CloseChargeResponse>, Status> {
        let id = merchant_id("merchant_trade_id", &request.into_inner().merchant_trade_id)?;
        let state = self.app.close_charge(&id).await?;
        Ok(Response::new(CloseChargeResponse { state: wire_state(state).into() }))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        let request = request.into_inner();
        let asked = NewRefund {
            merchant_refund_id: merchant_id("merchant_refund_id", &request.merchant_refund_id)?,
            merchant_trade_id: merchant_id("merchant_trade_id", &request.merchant_trade_id)?,
            amount: amount(request.amount_fen)?,
        };
        let refund = self.app.refund(asked).await?;
        Ok(Response::new(RefundResponse { succeeded: refund.settled_at.is_some() }))
    }

    async fn query_refund(
        &self,
        request: Request<QueryRefundRequest>,
    ) -> Result<Response<QueryRefundResponse>, Status> {
        let id = merchant_id("merchant_refund_id", &request.into_inner().merchant_refund_id)?;
        let refund = self.app.query_refund(&id).await?;
        let succeeded = refund.as_ref().is_some_and(|refund| refund.settled_at.is_some());
        Ok(Response::new(QueryRefundResponse { known: refund.is_some(), succeeded }))
    }

    type DownloadStatementStream = Pin<Box<dyn Stream<Item = Result<DownloadStatementResponse, Status>> + Send>>;

    async fn download_statement(
        &self,
        request: Request<DownloadStatementRequest>,
    ) -> Result<Response<Self::DownloadStatementStream>, Status> {
        let day: ServiceDate = request.into_inner().date.parse().map_err(invalid("date"))?;
        let app = self.app.clone();
        // A page at a time; the last line of one is where the next begins.
        let pages = stream::try_unfold(Some(None::<StatementLine>), move |state| {
            let app = app.clone();
            async move {
                let Some(after) = state else { return Ok::<_, Status>(None) };
                let lines = app.statement(day, after.as_ref()).await?;
                let full = lines.len() >= STATEMENT_PAGE_LINES as usize;
                let next = if full { lines.last().cloned().map(Some) } else { None };
                let lines = lines.into_iter().map(|line| Ok(wire_line(line)));
                Ok(Some((stream::iter(lines), next)))
            }
        });
        Ok(Response::new(Box::pin(pages.try_flatten())))
    }
}

fn wire_state(state: ChargeState) -> WireState {
    match state {
        ChargeState::Pending => WireState::Pending,
        ChargeState::Succeeded => WireState::Succeeded,
        ChargeState::Declined => WireState::Declined,
        ChargeState::Closed => WireState::Closed,
    }
}

fn wire_line(line: StatementLine) -> DownloadStatementResponse {
    let (kind, amount) = if line.is_refund { ("refund", -line.amount) } else { ("charge", line.amount) };
    DownloadStatementResponse {
        merchant_id: line.merchant_id,
        kind: kind.to_owned(),
        amount_fen: amount.as_fen(),
        at_ms: line.at.millis(),
    }
}

fn invalid(field: &'static str) -> impl Fn(Invalid) -> Error {
    move |source| Error::Invalid { field, source }
}

fn merchant_id(field: &'static str, text: &str) -> Result<String, Error> {
    check_merchant_id("merchant id", text).map_err(invalid(field))
}

fn amount(fen: i64) -> Result<Money, Error> {
    if (1..=Money::yuan(AMOUNT_YUAN_MAX).as_fen()).contains(&fen) {
        Ok(Money::fen(fen))
    } else {
        let allowed = "1 to 100000000 fen";
        Err(invalid("amount_fen")(Invalid::new("amount", allowed, &fen.to_string())))
    }
}

fn callback_url(text: String) -> Result<String, Error> {
    let http = text.starts_with("http://") || text.starts_with("https://");
    if http && text.len() <= CALLBACK_URL_BYTES_MAX {
        Ok(text)
    } else {
        Err(invalid("callback_url")(Invalid::new("callback url", "http://HOST/PATH of at most 512 bytes", &text)))
    }
}
