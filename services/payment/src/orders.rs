use async_trait::async_trait;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::order::v1::{NoteRefundRequest, NoteTradeRequest, TradeOutcome};
use rpc::Link;
use tonic::Status;

use crate::state::TradeState;
use crate::store::{News, Notice};

/// Those who must know what became of trades and refunds.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Tells an order; repeats change nothing there.
    async fn tell(&self, notice: &Notice) -> Result<(), Status>;
}

/// The order service.
pub struct OrderService {
    link: Link,
}

impl OrderService {
    /// The order service behind a link.
    pub fn new(link: Link) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Orders for OrderService {
    async fn tell(&self, notice: &Notice) -> Result<(), Status> {
        let mut client = OrderServiceClient::new(self.link.clone());
        let order_id = notice.order_id.clone();
        match &notice.news {
            News::Trade { outcome, captured } => {
                let request = NoteTradeRequest {
                    order_id,
                    trade_id: notice.trade_id.clone(),
                    outcome: wire_outcome(*outcome).into(),
                    captured_fen: captured.as_fen(),
                };
                client.note_trade(request).await.map(drop)
            }
            News::Refund { refund_id } => {
                let request = NoteRefundRequest { order_id, refund_id: refund_id.clone() };
                client.note_refund(request).await.map(drop)
            }
        }
    }
}

fn wire_outcome(outcome: TradeState) -> TradeOutcome {
    match outcome {
        TradeState::Captured => TradeOutcome::Captured,
        TradeState::Declined => TradeOutcome::Declined,
        TradeState::Closed => TradeOutcome::Closed,
        TradeState::Pending => TradeOutcome::Unspecified,
    }
}
