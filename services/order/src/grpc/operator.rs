//! The operators' face.

use std::pin::Pin;

use futures::Stream;
use futures::stream::unfold;
use proto::order::v1 as wire;
use proto::order::v1::order_operator_service_server::OrderOperatorService;
use proto::payment::v1 as payment;
use rpc::Failure;
use tonic::{Request, Response, Status};

use super::Face;
use super::read::wrong;
use crate::app::{Withdrawal, WithdrawalReport};
use crate::convert::{class_in, run_in};

#[tonic::async_trait]
impl OrderOperatorService for Face {
    type RefundRunStream = Pin<Box<dyn Stream<Item = Result<wire::RefundRunResponse, Status>> + Send>>;

    async fn refund_run(
        &self,
        request: Request<wire::RefundRunRequest>,
    ) -> Result<Response<Self::RefundRunStream>, Status> {
        let request = request.into_inner();
        let run = request.run.as_ref().ok_or_else(|| wrong("run", "a run"))?;
        let run = run_in(run).map_err(|invalid| Failure::invalid_field("run", &invalid))?;
        let class = match request.seat_class {
            0 => None,
            code => Some(class_in(code).ok_or_else(|| wrong("seat_class", "a class, or nothing"))?),
        };
        let withdrawal = Withdrawal::begin(self.app.clone(), run, class).await?;
        let first = write(withdrawal.report());
        let later = unfold(Some(withdrawal), |withdrawal| async move {
            let mut withdrawal = withdrawal?;
            match withdrawal.advance().await {
                Ok(Some(report)) => Some((Ok(write(report)), Some(withdrawal))),
                Ok(None) => None,
                Err(error) => Some((Err(Status::from(error)), None)),
            }
        });
        let reports = futures::StreamExt::chain(futures::stream::iter([Ok(first)]), later);
        Ok(Response::new(Box::pin(reports)))
    }

    type ReconcileStream = Pin<Box<dyn Stream<Item = Result<wire::ReconcileResponse, Status>> + Send>>;

    /// Payment answers to order alone, so operators ask it through here.
    async fn reconcile(
        &self,
        request: Request<wire::ReconcileRequest>,
    ) -> Result<Response<Self::ReconcileStream>, Status> {
        let request = payment::ReconcileRequest { date: request.into_inner().date };
        let lines = self.app.payment.clone().reconcile(request).await?.into_inner();
        let lines = futures::StreamExt::map(lines, |line| line.map(difference));
        Ok(Response::new(Box::pin(lines)))
    }
}

fn difference(it: payment::ReconcileResponse) -> wire::ReconcileResponse {
    wire::ReconcileResponse { id: it.id, ours_fen: it.ours_fen, theirs_fen: it.theirs_fen }
}

fn write(report: WithdrawalReport) -> wire::RefundRunResponse {
    wire::RefundRunResponse {
        orders_done: report.orders_done,
        orders_total: report.orders_total,
        tickets_refunded: report.tickets_refunded,
        refund_fen: report.refund.as_fen(),
        orders_ended: report.orders_ended,
        orders_failed: report.orders_failed,
    }
}
