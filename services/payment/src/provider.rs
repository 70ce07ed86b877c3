//! The provider of payments, as payment needs one: behind a trait, with the sandbox as its first kind.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Money, ServiceDate};
use futures::TryStreamExt;
use proto::provider::v1::sandbox_provider_service_client::SandboxProviderServiceClient;
use proto::provider::v1::{
    ChargeRequest, ChargeState as WireState, CloseChargeRequest, DownloadStatementRequest, QueryChargeRequest,
    RefundRequest,
};
use rpc::{CallContext, Link};
use tonic::{Code, Status};

use crate::state::{Call, ChargeState, Refund, RefundEvent, Trade, TradeEvent};

/// The most operations of one day that are held in memory to be compared.
const STATEMENT_LINES_MAX: usize = 10_000_000;

/// What moves money. A call that is not answered has an unknown outcome: it may be repeated under the same id.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Makes a call about a trade: what it told of the trade.
    async fn ask(&self, call: Call, trade: &Trade) -> TradeEvent;
    /// Pays a refund back; repeating it asks for it.
    async fn refund(&self, refund: &Refund) -> RefundEvent;
    /// The operations of one UTC day by merchant id, refunds negative.
    async fn statement(&self, day: ServiceDate) -> Result<HashMap<String, Money>, StatementError>;
}

/// Why a statement could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The provider did not answer.
    #[error("the provider's statement could not be read")]
    Unavailable(#[source] Status),
    /// More operations than can be compared.
    #[error("the provider's statement has more than {STATEMENT_LINES_MAX} lines")]
    TooLong,
    /// One id with two operations.
    #[error("the provider's statement lists {0} twice")]
    Twice(String),
}

/// The sandbox provider.
pub struct SandboxProvider {
    link: Link,
    callback_url: String,
    timeout: Duration,
}

impl SandboxProvider {
    /// A provider behind a link that is to call back to a URL, and is given up after so long.
    pub fn new(link: Link, callback_url: String, timeout: Duration) -> Self {
        Self { link, callback_url, timeout }
    }

    fn client(&self) -> SandboxProviderServiceClient<Link> {
        SandboxProviderServiceClient::new(self.link.clone())
    }

    /// Bounds a call by the provider's time-out as well as by the caller's deadline.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let timeout = CallContext::current().remaining().map_or(self.timeout, |left| left.min(self.timeout));
        tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
    }

    async fn charge(&self, trade: &Trade) -> Result<TradeEvent, Status> {
        let request = ChargeRequest {
            merchant_trade_id: trade.trade_id.clone(),
            amount_fen: trade.amount.as_fen(),
            payment_token: trade.payment_token.clone(),
            callback_url: self.callback_url.clone(),
            expires_at_ms: trade.expires_at.millis(),
        };
        let answer = self.client().charge(request).await?.into_inner();
        Ok(said(answer.state(), None, Some(answer.provider_charge_id)))
    }

    async fn query(&self, trade: &Trade) -> Result<TradeEvent, Status> {
        let request = QueryChargeRequest { merchant_trade_id: trade.trade_id.clone() };
        let answer = self.client().query_charge(request).await?.into_inner();
        Ok(said(answer.state(), Some(answer.amount_fen), Some(answer.provider_charge_id)))
    }

    async fn close(&self, trade: &Trade) -> Result<TradeEvent, Status> {
        let request = CloseChargeRequest { merchant_trade_id: trade.trade_id.clone() };
        let answer = self.client().close_charge(request).await?.into_inner();
        Ok(said(answer.state(), None, None))
    }
}

#[async_trait]
impl Provider for SandboxProvider {
    async fn ask(&self, call: Call, trade: &Trade) -> TradeEvent {
        let answer = match call {
            Call::Charge => self.bounded(self.charge(trade)).await,
            Call::Query => self.bounded(self.query(trade)).await,
            Call::Close => self.bounded(self.close(trade)).await,
        };
        answer.unwrap_or_else(|status| match (call, status.code()) {
            // A token it does not take: no charge was made, and none can be.
            (Call::Charge, Code::InvalidArgument) => said(WireState::Declined, None, None),
            (Call::Query, Code::NotFound) => TradeEvent::NotKnown,
            _ => {
                tracing::debug!(trade = trade.trade_id, ?call, %status, "the provider did not answer");
                TradeEvent::NoAnswer
            }
        })
    }

    async fn refund(&self, refund: &Refund) -> RefundEvent {
        let request = RefundRequest {
            merchant_refund_id: refund.refund_id.clone(),
            merchant_trade_id: refund.trade_id.clone(),
            amount_fen: refund.amount.as_fen(),
        };
        match self.bounded(async { self.client().refund(request).await }).await {
            Ok(answer) if answer.get_ref().succeeded => RefundEvent::Arrived,
            Ok(_) => RefundEvent::NotYet,
            Err(status) => {
                tracing::debug!(refund = refund.refund_id, %status, "the provider did not answer");
                RefundEvent::NotYet
            }
        }
    }

    async fn statement(&self, day: ServiceDate) -> Result<HashMap<String, Money>, StatementError> {
        let request = DownloadStatementRequest { date: day.to_string() };
        let lines = self.client().download_statement(request).await.map_err(StatementError::Unavailable)?;
        let mut lines = lines.into_inner();
        let mut operations = HashMap::new();
        while let Some(line) = lines.try_next().await.map_err(StatementError::Unavailable)? {
            if operations.len() >= STATEMENT_LINES_MAX {
                return Err(StatementError::TooLong);
            }
            if operations.insert(line.merchant_id.clone(), Money::fen(line.amount_fen)).is_some() {
                return Err(StatementError::Twice(line.merchant_id));
            }
        }
        Ok(operations)
    }
}

fn said(state: WireState, amount_fen: Option<i64>, provider_charge_id: Option<String>) -> TradeEvent {
    let state = match state {
        WireState::Succeeded => ChargeState::Succeeded,
        WireState::Declined => ChargeState::Declined,
        WireState::Closed => ChargeState::Closed,
        WireState::Pending => ChargeState::Pending,
        // A state of a later version is no outcome.
        WireState::Unspecified => return TradeEvent::NoAnswer,
    };
    TradeEvent::ProviderSaid { state, amount: amount_fen.map(Money::fen), provider_charge_id }
}
