//! The service as its callers see it: over gRPC, with a database, against an inventory and a payment service that do what
//! they are told to.

mod bad_input;
mod changes;
mod discounts;
mod fakes;
mod payment;
mod quotes;
mod stories;

use std::sync::Arc;
use std::time::Duration;

use domain::{DocumentKind, HoldId, OrderId, Time};
use proto::common::v1 as common;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::order::v1::{self as wire, OrderState};
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::payment::v1::payment_service_server::PaymentServiceServer;
use rpc::clock::ManualClock;
use rpc::{Component, Failure, Limits, Link, Running, Switchboard};
use timetable::Timetable;
use tonic::Status;

use crate::app::App;
use crate::test_databases::{TestStore, sqlite};
use crate::watch::Watchers;
use crate::{Options, component};

pub(crate) use fakes::{FakeInventory, FakePayment};

/// 2026-12-01, 00:00 in Shanghai: 20,788 days after the epoch, less eight hours.
pub(crate) const NOW: Time = Time::from_millis(20_788 * 86_400_000 - 8 * 3_600_000);
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// G1 of 2026-12-20 leaves Beijing South at 09:00.
pub(crate) const DEPARTURE: Time = Time::from_millis(NOW.millis() + 19 * DAY + 9 * HOUR);
/// Beijing South to Shanghai Hongqiao, second class, as `fares.csv` of the sample says.
pub(crate) const FARE_FEN: i64 = 56_100;

/// A running order service.
pub(crate) struct World {
    pub client: OrderServiceClient<Link>,
    pub link: Link,
    pub inventory: Arc<FakeInventory>,
    pub payment: FakePayment,
    pub clock: ManualClock,
    pub store: TestStore,
    running: Vec<Running>,
    // The links are dead without it.
    _switchboard: Switchboard,
}

impl World {
    pub async fn new() -> Self {
        Self::on(sqlite().await).await
    }

    /// Sells around the clock, so that stories may take their time.
    pub async fn on(store: TestStore) -> Self {
        let mut policy = policy::Policy::default();
        (policy.sale.open_minute, policy.sale.close_minute, policy.sale.close_minute_tuesday) = (0, 1_440, 1_440);
        Self::by(store, policy).await
    }

    pub async fn by(store: TestStore, policy: policy::Policy) -> Self {
        Self::with(store, policy, Timetable::sample()).await
    }

    pub async fn with(store: TestStore, policy: policy::Policy, timetable: Timetable) -> Self {
        let switchboard = Switchboard::new();
        let clock = ManualClock::at(NOW);
        let inventory = Arc::new(FakeInventory::new(clock.clone()));
        let payment = FakePayment::default();
        let limits = Limits { deadline_max_ms: 60_000, ..Limits::internal() };
        let options = Options { sweep_poll_ms: 10, watch_poll_ms: 50, limits: limits.clone(), ..Options::default() };
        let policy = Arc::new(policy);
        let key = |digits: &str| privacy::Key::from_hex(&digits.repeat(32)).unwrap();
        let app = App {
            store: store.store.clone(),
            inventory: inventory.clone(),
            payment: PaymentServiceClient::new(switchboard.link("payment")),
            timetable: Arc::new(timetable),
            vault: Arc::new(privacy::DocumentVault::new(1, vec![(1, key("11"))], key("22")).unwrap()),
            tokens: Arc::new(privacy::PersonTokens::new(key("33"))),
            clock: Arc::new(clock.clone()),
            calendar: policy::RailwayClock::new(),
            watchers: Watchers::new(options.watched_orders_max),
            terms: App::terms(&options, &policy),
            policy,
            options,
        };
        let face = Component::new("payment", limits).service(PaymentServiceServer::new(payment.clone()));
        let mut running = Vec::new();
        for component in [component(Arc::new(app)), face] {
            let started = component.start().await;
            switchboard.connect(started.name(), started.stack());
            running.push(started);
        }
        let link = switchboard.link("order");
        let client = OrderServiceClient::new(link.clone());
        Self { client, link, inventory, payment, clock, store, running, _switchboard: switchboard }
    }

    pub async fn stop(self) {
        for running in self.running {
            running.join().await;
        }
    }

    /// Holds seats as the gateway would, and opens an order for them.
    pub async fn place(&self, id: OrderId) -> Result<wire::Order, Failure> {
        self.open(request(self, id)).await
    }

    pub async fn open(&self, request: wire::OpenOrderRequest) -> Result<wire::Order, Failure> {
        let response = self.client.clone().open_order(request).await.map_err(Failure::from)?;
        Ok(response.into_inner().order.unwrap())
    }

    pub async fn get(&self, id: OrderId) -> wire::Order {
        let request = wire::GetOrderRequest { account: "li-lei".into(), order_id: id.to_string() };
        self.client.clone().get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    pub async fn pay(&self, id: OrderId, token: &str) -> Result<wire::Order, Failure> {
        let request =
            wire::PayOrderRequest { account: "li-lei".into(), order_id: id.to_string(), payment_token: token.into() };
        let response = self.client.clone().pay_order(request).await.map_err(Failure::from)?;
        Ok(response.into_inner().order.unwrap())
    }

    pub async fn cancel(&self, id: OrderId) -> Result<wire::Order, Failure> {
        let request = wire::CancelOrderRequest { account: "li-lei".into(), order_id: id.to_string() };
        let response = self.client.clone().cancel_order(request).await.map_err(Failure::from)?;
        Ok(response.into_inner().order.unwrap())
    }

    pub async fn refund(&self, id: OrderId, ticket: &str) -> Result<wire::RefundTicketResponse, Failure> {
        let request = wire::RefundTicketRequest {
            account: "li-lei".into(),
            order_id: id.to_string(),
            ticket_id: format!("{id}-{ticket}"),
        };
        self.client.clone().refund_ticket(request).await.map(|response| response.into_inner()).map_err(Failure::from)
    }

    /// Tells the order what became of its trade, as payment's outbox would.
    pub async fn note_trade(&self, id: OrderId, attempt: u32, outcome: wire::TradeOutcome) -> Result<(), Failure> {
        let trade_id = format!("{id}-{attempt}");
        let captured_fen = if outcome == wire::TradeOutcome::Captured { self.payment.capture(&trade_id) } else { 0 };
        let request =
            wire::NoteTradeRequest { order_id: id.to_string(), trade_id, outcome: outcome.into(), captured_fen };
        self.client.clone().note_trade(request).await.map(drop).map_err(Failure::from)
    }

    pub async fn note_refund(&self, id: OrderId, refund_id: &str) -> Result<(), Status> {
        let request = wire::NoteRefundRequest { order_id: id.to_string(), refund_id: refund_id.into() };
        self.client.clone().note_refund(request).await.map(drop)
    }

    /// Waits until an order is in a state; the sweeper's clock moves on meanwhile, a second at a time.
    pub async fn wait(&self, id: OrderId, state: OrderState) -> wire::Order {
        for _ in 0..1_000 {
            let order = self.get(id).await;
            if order.state() == state {
                return order;
            }
            self.clock.advance_ms(1_000);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited for {state:?}, but: {:?}", self.get(id).await);
    }

    /// Waits until so many places are taken: what an order gives back goes after the order's row has changed.
    pub async fn wait_until_seated(&self, places: usize) {
        for _ in 0..1_000 {
            if self.inventory.seated() == places {
                return;
            }
            self.clock.advance_ms(1_000);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited for {places} places, but: {}", self.inventory.seated());
    }

    /// An order with tickets, captured by payment's answer.
    pub async fn ticketed(&self, id: OrderId) -> wire::Order {
        self.place(id).await.unwrap();
        let order = self.pay(id, "sandbox-ok").await.unwrap();
        assert_eq!(order.state(), OrderState::Confirmed);
        order
    }
}

pub(crate) fn id(number: u128) -> OrderId {
    OrderId::from_u128(number)
}

pub(crate) fn passenger(name: &str, number: &str) -> common::Passenger {
    common::Passenger {
        name: name.into(),
        document_kind: i32::from(DocumentKind::ResidentId.code()),
        document_number: number.into(),
        kind: common::PassengerKind::Adult.into(),
        preference: 0,
        student: None,
        adult_ticket_id: String::new(),
    }
}

pub(crate) fn place(passenger: u32, stops: (u32, u32)) -> common::Place {
    common::Place {
        passenger,
        seat_class: common::SeatClass::Second.into(),
        carriage: 3,
        label: format!("0{}A", passenger + 1),
        standing: false,
        from_stop: stops.0,
        to_stop: stops.1,
        berth: String::new(),
    }
}

/// Two people (the examples of GB 11643) from Beijing South to Shanghai Hongqiao, on seats that are held.
pub(crate) fn request(world: &World, id: OrderId) -> wire::OpenOrderRequest {
    let hold = HoldId::of_order(id, 0);
    world.inventory.hold(hold, &[0, 1]);
    wire::OpenOrderRequest {
        order_id: id.to_string(),
        account: "li-lei".into(),
        channel: common::Channel::Online.into(),
        legs: vec![wire::HeldLeg {
            run: Some(common::Run { train_code: "G1".into(), service_date: "2026-12-20".into(), ordinal: 1 }),
            seat_class: common::SeatClass::Second.into(),
            from_stop: 0,
            to_stop: 2,
            places: vec![place(0, (0, 2)), place(1, (0, 2))],
            hold_id: hold.bytes().to_vec().into(),
            opened: false,
            pay_by_ms: 0,
            hard_limit_ms: 0,
        }],
        passengers: vec![passenger("李雷", "11010519491231002X"), passenger("韩梅梅", "440524188001010014")],
        quoted_fen: 0,
        repeat_only: false,
        quote: String::new(),
    }
}
