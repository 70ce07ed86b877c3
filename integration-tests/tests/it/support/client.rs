use std::path::Path;
use std::time::Duration;

use proto::common::v1 as wire;
use proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use proto::gateway::v1::{self as gateway, LegRequest, PlaceOrderRequest};
use proto::order::v1::{Order, OrderState};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use super::process;

/// The service date that stories sell: inside the presale horizon, and days before departure.
pub const DAYS_AHEAD: i64 = 6;
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Availability is at most 1 s old in normal running; a loaded machine gets more.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Adds a token to each call, and the wish that it be traced.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        let ids = (uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().as_u64_pair().1);
        let traced = format!("00-{}-{:016x}-01", ids.0, ids.1);
        request.metadata_mut().insert("traceparent", traced.parse().expect("plain text"));
        Ok(request)
    }
}

/// A client of the gateway with an account.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    bearer: Bearer,
}

impl Caller {
    /// An account's client, with a token of the data directory's development key.
    pub async fn new(gateway: &str, data: &Path, account: &str, more: &[&str]) -> Self {
        let mut arguments = vec!["token", account, "--data", data.to_str().unwrap()];
        arguments.extend(more);
        let output = process::chunyun(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).unwrap();
        let channel = Endpoint::from_shared(gateway.to_owned()).unwrap().connect().await.unwrap();
        Self { channel, bearer: Bearer(format!("Bearer {}", token.trim()).parse().unwrap()) }
    }

    pub fn gateway(&self) -> GatewayServiceClient<InterceptedService<Channel, Bearer>> {
        GatewayServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub fn operator(&self) -> OperatorServiceClient<InterceptedService<Channel, Bearer>> {
        OperatorServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Puts trains of the stories' service date on sale.
    pub async fn open_sale(&self, trains: &[&str]) {
        let request = gateway::OpenSaleRequest {
            service_date: service_date(),
            train_codes: trains.iter().map(|train| (*train).to_owned()).collect(),
            sale_opens_ms: 1,
        };
        let mut steps = self.operator().open_sale(request).await.unwrap().into_inner();
        let mut last = gateway::OpenSaleResponse::default();
        while let Some(step) = steps.message().await.unwrap() {
            last = step;
        }
        assert_eq!((last.opened, last.total), (trains.len() as u32, trains.len() as u32));
        let shown = async {
            for train in trains {
                while !self.shows_seats(train).await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(SHOWN_TIMEOUT, shown).await.expect("what is on sale is shown in time");
    }

    /// Whether a train is shown with seats over its whole way.
    async fn shows_seats(&self, train: &str) -> bool {
        let run = wire::Run { train_code: train.to_owned(), service_date: service_date(), ordinal: 1 };
        let answer = self.gateway().get_train(gateway::GetTrainRequest { run: Some(run) }).await.unwrap().into_inner();
        answer.train.unwrap().availability.iter().any(|available| available.seats > 0)
    }

    /// Pays an order and waits until it has tickets or has ended.
    pub async fn pay(&self, order_id: &str, payment_token: &str) -> Order {
        let request =
            gateway::PayOrderRequest { order_id: order_id.to_owned(), payment_token: payment_token.to_owned() };
        self.gateway().pay_order(request).await.unwrap();
        self.until(order_id, &[OrderState::Confirmed, OrderState::Released, OrderState::Refunded]).await
    }

    /// Watches an order until it is in one of these states.
    pub async fn until(&self, order_id: &str, states: &[OrderState]) -> Order {
        let watched = async {
            loop {
                let request = gateway::WatchOrderRequest { order_id: order_id.to_owned() };
                let mut changes = self.gateway().watch_order(request).await.unwrap().into_inner();
                while let Some(change) = changes.message().await.unwrap() {
                    let order = change.order.unwrap();
                    if states.iter().any(|state| *state as i32 == order.state) {
                        return order;
                    }
                }
            }
        };
        tokio::time::timeout(SETTLE_TIMEOUT, watched).await.expect("the order settles in time")
    }
}

/// The stories' service date, YYYY-MM-DD in China.
pub fn service_date() -> String {
    service_date_in(DAYS_AHEAD)
}

/// The date in so many days, YYYY-MM-DD in China.
pub fn service_date_in(days: i64) -> String {
    let output = std::process::Command::new("date")
        .env("TZ", "Asia/Shanghai")
        .args(["-d", &format!("+{days} days"), "+%F"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A new id as clients make it.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A passenger of a number, with a passport that belongs to nobody.
pub fn passenger(number: u32) -> wire::Passenger {
    wire::Passenger {
        name: format!("Passenger {number}"),
        document_kind: wire::DocumentKind::Passport as i32,
        document_number: format!("T{number:08}"),
        kind: wire::PassengerKind::Adult as i32,
        preference: 0,
        student: None,
        adult_ticket_id: String::new(),
    }
}

/// An order for one train in second class.
pub fn order_for(train: &str, from: &str, to: &str, passengers: &[u32]) -> PlaceOrderRequest {
    PlaceOrderRequest {
        order_id: new_id(),
        legs: vec![LegRequest {
            train_code: train.to_owned(),
            boarding_date: service_date(),
            from_station: from.to_owned(),
            to_station: to.to_owned(),
            seat_class: wire::SeatClass::Second as i32,
        }],
        passengers: passengers.iter().map(|number| passenger(*number)).collect(),
        channel: wire::Channel::Online as i32,
        ..Default::default()
    }
}

/// The stable reason of a refusal.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields that a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    details.bad_request().map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect()).unwrap_or_default()
}
