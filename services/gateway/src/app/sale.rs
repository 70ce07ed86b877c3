use std::time::Duration;

use domain::{Run, SeatClass, ServiceDate};
use prost::Message;
use proto::gateway::v1::{
    CloseSaleRequest, GetRingResponse, OpenSaleRequest, ReconcileRequest, RefundRunRequest, ShardShare,
};
use proto::inventory::v1 as inventory;
use proto::order::v1 as order;
use proto::order::v1::order_operator_service_client::OrderOperatorServiceClient;
use rpc::{CallContext, Failure};
use timetable::TrainIndex;
use tonic::Streaming;

use super::App;
use crate::error::Error;
use crate::parse::{self, run_out};
use crate::sale_plan::Planner;

/// The most trains that may be named in one request; none named means all.
const TRAINS_NAMED_MAX: usize = 4_096;

/// A sale to open.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The date at the trains' origins.
    pub date: ServiceDate,
    /// The trains that run.
    pub trains: Vec<TrainIndex>,
    /// When sale opens at every stop, in ms since 1970-01-01 UTC; 0 for what the policy says of each.
    pub sale_opens_ms: i64,
}

impl App {
    /// Reads what is to be opened.
    pub fn read_opening(&self, request: &OpenSaleRequest) -> Result<Opening, Error> {
        let date = request.service_date.parse().map_err(Error::invalid("service_date"))?;
        if request.sale_opens_ms < 0 {
            let message = "expected ms since 1970-01-01 UTC, or 0 for what the policy says";
            return Err(Error::field("sale_opens_ms", message));
        }
        if request.train_codes.len() > TRAINS_NAMED_MAX {
            return Err(Error::field("train_codes", format!("expected at most {TRAINS_NAMED_MAX} trains")));
        }
        let trains = if request.train_codes.is_empty() {
            self.timetable.train_indexes().filter(|train| self.timetable.runs_on(*train, date)).collect()
        } else {
            let named = request.train_codes.iter().enumerate();
            named.map(|(index, code)| self.read_train(index, code, date)).collect::<Result<_, _>>()?
        };
        Ok(Opening { date, trains, sale_opens_ms: request.sale_opens_ms })
    }

    fn read_train(&self, index: usize, code: &str, date: ServiceDate) -> Result<TrainIndex, Error> {
        let field = format!("train_codes[{index}]");
        let code = code.parse().map_err(Error::invalid(field.clone()))?;
        let train = self
            .timetable
            .train_by_code(code)
            .ok_or_else(|| Error::field(field.clone(), format!("no train {code} in the timetable")))?;
        if self.timetable.runs_on(train, date) {
            Ok(train)
        } else {
            Err(Error::field(field, format!("{code} does not run on {date}")))
        }
    }

    /// Puts one run on sale and says how many places it has. Repeating it is safe.
    pub async fn open_run(&self, opening: &Opening, train: TrainIndex) -> Result<u32, (Run, Failure)> {
        let run = Run::first(self.timetable.train(train).code, opening.date);
        let planner = Planner {
            timetable: &self.timetable,
            policy: &self.policy,
            calendar: &self.calendar,
            sale_opens_ms: opening.sale_opens_ms,
        };
        let (run, plan) = planner
            .plan(train, opening.date)
            .map_err(|invalid| (run, Failure::invalid_field("service_date", &invalid)))?;
        let request = inventory::OpenSaleRequest {
            run: Some(run_out(run)),
            request_id: request_id("open", run, &plan.encode_to_vec()),
            plan: Some(plan),
        };
        let opened = self.shards.call(&run, |mut client| {
            let request = request.clone();
            async move { client.open_sale(request).await }
        });
        let timeout = Duration::from_millis(self.opening_timeout_ms.into());
        let opened = CallContext::within(timeout).scope(opened).await;
        opened.map(|answer| answer.places).map_err(|status| (run, Failure::from_status(&status)))
    }

    /// Ends the sale of a run.
    pub async fn close_sale(&self, request: &CloseSaleRequest) -> Result<(), Error> {
        let run = parse::run_in("run", request.run.as_ref())?;
        let request = inventory::CloseSaleRequest {
            run: Some(run_out(run)),
            request_id: request_id("close", run, &[u8::from(request.cancelled)]),
            cancelled: request.cancelled,
        };
        let closed = self.shards.call(&run, |mut client| {
            let request = request.clone();
            async move { client.close_sale(request).await }
        });
        closed.await?;
        Ok(())
    }

    /// Gives the tickets of a run back; the order service tells how far it is.
    pub async fn refund_run(&self, request: &RefundRunRequest) -> Result<Streaming<order::RefundRunResponse>, Error> {
        let run = Some(run_out(parse::run_in("run", request.run.as_ref())?));
        let known = u8::try_from(request.seat_class).is_ok_and(|code| SeatClass::from_code(code).is_some());
        if request.seat_class != 0 && !known {
            return Err(Error::field("seat_class", "expected a class, or nothing for all of them"));
        }
        let request = order::RefundRunRequest { run, seat_class: request.seat_class };
        Ok(OrderOperatorServiceClient::new(self.order.clone()).refund_run(request).await?.into_inner())
    }

    /// Compares a day of the books with the provider's statement.
    pub async fn reconcile(&self, request: ReconcileRequest) -> Result<Streaming<order::ReconcileResponse>, Error> {
        request.date.parse::<ServiceDate>().map_err(Error::invalid("date"))?;
        let request = order::ReconcileRequest { date: request.date };
        Ok(OrderOperatorServiceClient::new(self.order.clone()).reconcile(request).await?.into_inner())
    }

    /// The ring as this gateway sees it.
    pub fn ring(&self) -> GetRingResponse {
        let ring = self.shards.ring();
        let addresses = self.shards.addresses();
        let address = |shard: &ring::ShardId| {
            let known = addresses.iter().find(|(id, _)| id == shard);
            known.and_then(|(_, address)| address.clone()).unwrap_or_else(|| "in-process".to_owned())
        };
        let shards = ring.shares().into_iter().map(|(shard, slots)| ShardShare {
            shard: shard.to_string(),
            address: address(shard),
            slots,
        });
        GetRingResponse { version: ring.version(), shards: shards.collect() }
    }
}

/// The id of an operator's request: the same content has the same id, so that repeating it is safe.
fn request_id(what: &str, run: Run, content: &[u8]) -> prost::bytes::Bytes {
    let mut text = format!("{what} {run}\0").into_bytes();
    text.extend_from_slice(content);
    xxhash_rust::xxh3::xxh3_128(&text).to_be_bytes().to_vec().into()
}
