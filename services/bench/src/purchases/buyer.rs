//! One account that buys one ticket after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{SeatClass, ServiceDate, StopIndex};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use proto::common::v1 as wire;
use proto::gateway::v1 as gateway;
use proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use proto::order::v1::OrderState;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rpc::Clock;
use timetable::{Timetable, TrainIndex};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::BenchError;
use crate::load::new_histogram;
use crate::purchases::fleet::Fleet;

/// The service dates on sale: inside the presale horizon, and days before departure.
const DAYS_AHEAD: [i32; 4] = [5, 6, 7, 8];
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const TICKET_TIMEOUT: Duration = Duration::from_secs(30);
/// China's clock is so far ahead of UTC all year.
const CHINA_OFFSET_MS: i64 = 8 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// A step of a purchase, as its buyer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Place the order: the seat is held, the order open.
    Place,
    /// Pay it: the trade is made.
    Pay,
    /// From paying to the ticket: callback, capture, confirm.
    Ticket,
    /// All of it.
    Purchase,
}

impl Step {
    /// In order.
    pub const ALL: [Self; 4] = [Self::Place, Self::Pay, Self::Ticket, Self::Purchase];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Pay => "pay",
            Self::Ticket => "callback, confirm, ticket",
            Self::Purchase => "the purchase",
        }
    }
}

/// What all buyers have seen.
pub struct Seen {
    pub bought: u64,
    pub failed: u64,
    pub failure: Option<String>,
    /// Times in µs, in the order of [`Step::ALL`].
    pub micros: Vec<Histogram<u64>>,
}

impl Seen {
    pub fn new() -> Self {
        let micros = Step::ALL.iter().map(|_| new_histogram()).collect();
        Self { bought: 0, failed: 0, failure: None, micros }
    }
}

/// What can be bought: second-class seats from one stop to the next, on every train of some days.
pub struct Journeys {
    timetable: Timetable,
    /// A train, a date at its origin, the stop where the passenger gets on.
    choices: Vec<(TrainIndex, ServiceDate, StopIndex)>,
}

impl Journeys {
    /// Puts the trains on sale.
    pub async fn open_sale(fleet: &Fleet) -> Result<Self, BenchError> {
        let timetable = Timetable::sample();
        let mut operator = OperatorServiceClient::new(connect(fleet).await?);
        let token = bearer(&fleet.token("ops", true)?)?;
        let today = today()?;
        let mut choices = Vec::new();
        for date in DAYS_AHEAD.map(|days| today.plus_days(days)) {
            let open =
                gateway::OpenSaleRequest { service_date: date.to_string(), train_codes: Vec::new(), sale_opens_ms: 1 };
            let refused = BenchError::because::<Status>;
            let mut steps = operator
                .open_sale(authorized(open, &token))
                .await
                .map_err(refused("the sale was not opened"))?
                .into_inner();
            while steps.message().await.map_err(refused("the sale was not opened"))?.is_some() {}
            choices.extend(sold_on(&timetable, date));
        }
        Ok(Self { timetable, choices })
    }

    fn one(&self, random: &mut SmallRng) -> gateway::LegRequest {
        let (train, date, stop) = self.choices[random.random_range(0..self.choices.len())];
        let at = &self.timetable.train(train).stops;
        let station = |stop: StopIndex| self.timetable.station(at[usize::from(stop)].station).name.to_string();
        let boarding = self.timetable.boarding_date(train, date, stop);
        gateway::LegRequest {
            train_code: self.timetable.train(train).code.to_string(),
            boarding_date: boarding.map_or_else(|| date.to_string(), |boarding| boarding.to_string()),
            from_station: station(stop),
            to_station: station(stop + 1),
            seat_class: i32::from(SeatClass::Second.code()),
        }
    }
}

fn sold_on(timetable: &Timetable, date: ServiceDate) -> Vec<(TrainIndex, ServiceDate, StopIndex)> {
    let mut sold = Vec::new();
    for train in timetable.train_indexes().filter(|train| timetable.runs_on(*train, date)) {
        let neighbours = timetable.train(train).intervals().filter(|interval| interval.segments() == 1);
        let priced = neighbours.filter(|interval| timetable.fare(train, SeatClass::Second, None, *interval).is_some());
        sold.extend(priced.map(|interval| (train, date, interval.from())));
    }
    sold
}

/// One account.
pub struct Buyer {
    gateway: GatewayServiceClient<Channel>,
    token: MetadataValue<Ascii>,
    journeys: Arc<Journeys>,
    /// Passengers of this buyer are numbered from here; no two tickets are one person's.
    next_passenger: u32,
    random: SmallRng,
}

impl Buyer {
    pub fn new(fleet: &Fleet, channel: Channel, number: usize, journeys: Arc<Journeys>) -> Result<Self, BenchError> {
        let token = bearer(&fleet.token(&format!("buyer-{number}"), false)?)?;
        let gateway = GatewayServiceClient::new(channel);
        let next_passenger = number as u32 * 100_000;
        Ok(Self { gateway, token, journeys, next_passenger, random: SmallRng::seed_from_u64(number as u64) })
    }

    /// Buys one ticket after the other until it is told to stop.
    pub async fn buy_on(mut self, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let bought = self.buy().await;
            let mut seen = seen.lock();
            match bought {
                Ok(times) => {
                    seen.bought += 1;
                    for (all, time) in seen.micros.iter_mut().zip(times) {
                        all.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
                    }
                }
                Err(status) => {
                    seen.failed += 1;
                    seen.failure.get_or_insert_with(|| format!("{:?}: {}", status.code(), status.message()));
                }
            }
        }
        self
    }

    /// One purchase; how long each step took, in the order of [`Step::ALL`].
    async fn buy(&mut self) -> Result<[Duration; 4], Status> {
        let begun = Instant::now();
        let order_id = self.place().await?;
        let placed = begun.elapsed();
        self.pay(&order_id, "sandbox-ok").await?;
        let paid = begun.elapsed();
        let ticket = tokio::time::timeout(TICKET_TIMEOUT, self.ticket(order_id)).await;
        ticket.map_err(|_| Status::deadline_exceeded("no ticket in time"))??;
        let bought = begun.elapsed();
        Ok([placed, paid - placed, bought - paid, bought])
    }

    /// Places an order: its id.
    pub async fn place(&mut self) -> Result<String, Status> {
        self.next_passenger += 1;
        let order_id = uuid::Uuid::now_v7().to_string();
        let passenger = wire::Passenger {
            name: format!("Passenger {}", self.next_passenger),
            document_kind: wire::DocumentKind::Passport as i32,
            document_number: format!("T{:08}", self.next_passenger),
            kind: wire::PassengerKind::Adult as i32,
            ..Default::default()
        };
        let request = gateway::PlaceOrderRequest {
            order_id: order_id.clone(),
            legs: vec![self.journeys.one(&mut self.random)],
            passengers: vec![passenger],
            channel: wire::Channel::Online as i32,
            ..Default::default()
        };
        self.gateway.place_order(authorized(request, &self.token)).await?;
        Ok(order_id)
    }

    /// Pays an order by a token of the sandbox provider.
    pub async fn pay(&mut self, order_id: &str, payment_token: &str) -> Result<(), Status> {
        let (order_id, payment_token) = (order_id.to_owned(), payment_token.to_owned());
        let request = gateway::PayOrderRequest { order_id, payment_token };
        self.gateway.pay_order(authorized(request, &self.token)).await.map(drop)
    }

    /// Watches the order until it has its ticket.
    pub async fn ticket(&mut self, order_id: String) -> Result<(), Status> {
        loop {
            let request = gateway::WatchOrderRequest { order_id: order_id.clone() };
            let mut request = authorized(request, &self.token);
            request.set_timeout(TICKET_TIMEOUT);
            let mut changes = self.gateway.watch_order(request).await?.into_inner();
            while let Some(change) = changes.message().await? {
                let order = change.order.unwrap_or_default();
                match OrderState::try_from(order.state).unwrap_or_default() {
                    OrderState::Confirmed => return Ok(()),
                    OrderState::Released | OrderState::Refunded => {
                        return Err(Status::failed_precondition(format!("ended: {}", order.end_reason)));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The present date in China.
fn today() -> Result<ServiceDate, BenchError> {
    let days = (rpc::SystemClock.now().millis() + CHINA_OFFSET_MS).div_euclid(DAY_MS);
    let date = i32::try_from(days).ok().and_then(|days| ServiceDate::from_days(days).ok());
    date.ok_or_else(|| BenchError::new("the clock stands outside the years that are sold"))
}

/// A connection to the gateway.
pub async fn connect(fleet: &Fleet) -> Result<Channel, BenchError> {
    let endpoint = Endpoint::from_shared(fleet.gateway()).map_err(BenchError::because("no address"))?;
    endpoint.connect().await.map_err(BenchError::because("the gateway did not answer"))
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, BenchError> {
    format!("Bearer {token}").parse().map_err(BenchError::because("a token that is no text"))
}

fn authorized<T>(message: T, token: &MetadataValue<Ascii>) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request.set_timeout(CALL_TIMEOUT);
    request
}
