use std::sync::Arc;

use futures::Stream;
use futures::stream::{BoxStream, StreamExt};
use proto::gateway::v1::operator_service_server::OperatorService;
use proto::gateway::v1::{
    ChangeRingRequest, ChangeRingResponse, CloseSaleRequest, CloseSaleResponse, GetRingRequest, GetRingResponse,
    OpenSaleRequest, OpenSaleResponse, PlanRingRequest, PlanRingResponse, ReconcileRequest, ReconcileResponse,
    RefundRunRequest, RefundRunResponse,
};
use proto::order::v1 as order;
use rpc::identity::Role;
use tonic::{Request, Response, Status};

use super::identified;
use crate::Options;
use crate::app::{App, Opening};
use crate::error::Error;

/// What operators call.
pub struct OperatorFace {
    app: Arc<App>,
    opening_runs_max: usize,
}

impl OperatorFace {
    /// A face of the app.
    pub fn new(app: Arc<App>, options: &Options) -> Self {
        Self { app, opening_runs_max: options.opening_runs_max }
    }
}

fn operator<T>(request: Request<T>) -> Result<T, Error> {
    let (identity, message) = identified(request)?;
    if identity.has(Role::Operator) { Ok(message) } else { Err(Error::RoleMissing(Role::Operator.name())) }
}

#[tonic::async_trait]
impl OperatorService for OperatorFace {
    type OpenSaleStream = BoxStream<'static, Result<OpenSaleResponse, Status>>;
    type ChangeRingStream = BoxStream<'static, Result<ChangeRingResponse, Status>>;

    async fn open_sale(&self, request: Request<OpenSaleRequest>) -> Result<Response<Self::OpenSaleStream>, Status> {
        let opening = self.app.read_opening(&operator(request)?)?;
        Ok(Response::new(open_all(Arc::clone(&self.app), opening, self.opening_runs_max).boxed()))
    }

    async fn close_sale(&self, request: Request<CloseSaleRequest>) -> Result<Response<CloseSaleResponse>, Status> {
        self.app.close_sale(&operator(request)?).await?;
        Ok(Response::new(CloseSaleResponse {}))
    }

    type RefundRunStream = BoxStream<'static, Result<RefundRunResponse, Status>>;

    async fn refund_run(&self, request: Request<RefundRunRequest>) -> Result<Response<Self::RefundRunStream>, Status> {
        let reports = self.app.refund_run(&operator(request)?).await?;
        let told = |report: order::RefundRunResponse| RefundRunResponse {
            orders_done: report.orders_done,
            orders_total: report.orders_total,
            tickets_refunded: report.tickets_refunded,
            refund_fen: report.refund_fen,
            orders_ended: report.orders_ended,
            orders_failed: report.orders_failed,
        };
        Ok(Response::new(reports.map(move |report| report.map(told)).boxed()))
    }

    type ReconcileStream = BoxStream<'static, Result<ReconcileResponse, Status>>;

    async fn reconcile(&self, request: Request<ReconcileRequest>) -> Result<Response<Self::ReconcileStream>, Status> {
        let lines = self.app.reconcile(operator(request)?).await?;
        let told = |line: order::ReconcileResponse| ReconcileResponse {
            id: line.id,
            ours_fen: line.ours_fen,
            theirs_fen: line.theirs_fen,
        };
        Ok(Response::new(lines.map(move |line| line.map(told)).boxed()))
    }

    async fn get_ring(&self, request: Request<GetRingRequest>) -> Result<Response<GetRingResponse>, Status> {
        operator(request)?;
        Ok(Response::new(self.app.ring()))
    }

    async fn plan_ring(&self, request: Request<PlanRingRequest>) -> Result<Response<PlanRingResponse>, Status> {
        Ok(Response::new(self.app.plan_ring(&operator(request)?).await?))
    }

    async fn change_ring(
        &self,
        request: Request<ChangeRingRequest>,
    ) -> Result<Response<Self::ChangeRingStream>, Status> {
        let (identity, request) = identified(request)?;
        if !identity.has(Role::Operator) {
            return Err(Error::RoleMissing(Role::Operator.name()).into());
        }
        let changed = self.app.change_ring(&request, identity.account.as_str()).await?;
        let app = Arc::clone(&self.app);
        let steps = futures::stream::unfold(Some(changed), move |following| {
            let app = Arc::clone(&app);
            async move {
                match app.follow_ring(following?).await {
                    Ok((step, following)) => Some((Ok(step), following)),
                    Err(error) => Some((Err(Status::from(error)), None)),
                }
            }
        });
        Ok(Response::new(steps.boxed()))
    }
}

/// Opens every run, so many at once, and tells how far it is after each. Runs that cannot be opened do not stop the
/// others: the stream ends with the first one's reason.
fn open_all(
    app: Arc<App>,
    opening: Opening,
    at_once: usize,
) -> impl Stream<Item = Result<OpenSaleResponse, Status>> + Send {
    let total = opening.trains.len() as u32;
    let opening = Arc::new(opening);
    let trains = opening.trains.clone();
    let opened = futures::stream::iter(trains).map(move |train| {
        let (app, opening) = (Arc::clone(&app), Arc::clone(&opening));
        async move { app.open_run(&opening, train).await }
    });
    // One more item than runs: what went wrong, if anything did.
    let steps = opened.buffer_unordered(at_once).map(Some).chain(futures::stream::iter([None]));
    let progress = OpenSaleResponse { total, ..OpenSaleResponse::default() };
    steps
        .scan((progress, 0, None), move |(progress, failed, first), step| {
            let told = match step {
                Some(Ok(places)) => {
                    progress.opened += 1;
                    progress.places += u64::from(places);
                    Some(Ok(*progress))
                }
                Some(Err(failure)) => {
                    *failed += 1;
                    first.get_or_insert(failure);
                    None
                }
                None if total == 0 => Some(Ok(*progress)),
                None => first.take().map(|(run, cause)| {
                    Err(Status::from(Error::NotAllOpened {
                        failed: *failed,
                        total,
                        first: run,
                        cause: Box::new(cause),
                    }))
                }),
            };
            std::future::ready(Some(told))
        })
        .filter_map(std::future::ready)
}
