//! A gateway on a socket, with played roles behind it, on the morning of 2026-11-22.

use std::sync::Arc;

use domain::{Channel, Time};
use gateway::{Dependencies, Options};
use policy::Policy;
use privacy::{Key, PersonTokens};
use proto::common::v1::{DocumentKind, Passenger, PassengerKind, SeatClass};
use proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use proto::gateway::v1::{LegRequest, PlaceOrderRequest};
use proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use proto::order::v1::order_service_server::OrderServiceServer;
use proto::query::v1::query_service_server::QueryServiceServer;
use proto::waitlist::v1::waitlist_service_server::WaitlistServiceServer;
use rpc::clock::ManualClock;
use rpc::identity::{Identity, Role, TokenIssuer, TokenVerifier};
use rpc::{Component, Limits, Running, Switchboard};
use shard_client::{FixedList, ShardRouter, ShardsOptions};
use timetable::Timetable;
use tokio::net::TcpListener;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel as Connection, Endpoint};
use tonic::{Request, Status};

use crate::fake_roles::{FakeOrders, FakeQuery, FakeWaitlist};
use crate::fake_shard::FakeShard;

/// 2026-11-22 at 10:00 in Shanghai, a Sunday within the selling hours.
pub const MORNING: Time = Time::from_millis(1_795_312_800_000);

/// The example number of GB 11643-1999, and others whose check characters were computed by its rule.
pub const DOCUMENTS: [&str; 3] = ["11010519491231002X", "440524188001010014", "110101199003078478"];

type Authorized = InterceptedService<Connection, Bearer>;
pub type Client = GatewayServiceClient<Authorized>;

pub struct Gateway {
    running: Vec<Running>,
    pub shard: FakeShard,
    pub orders: FakeOrders,
    pub waitlist: FakeWaitlist,
    pub clock: ManualClock,
    pub timetable: Arc<Timetable>,
    pub connection: Connection,
    issuer: TokenIssuer,
    _switchboard: Switchboard,
}

pub async fn gateway() -> Gateway {
    gateway_with(Options::default()).await
}

pub async fn gateway_with(options: Options) -> Gateway {
    let (shard, orders, waitlist) = (FakeShard::new(), FakeOrders::default(), FakeWaitlist::default());
    let switchboard = Switchboard::new();
    let shards = ShardsOptions::default();
    let mut roles = vec![
        Component::new("order", Limits::internal()).service(OrderServiceServer::new(orders.clone())),
        Component::new("query", Limits::internal()).service(QueryServiceServer::new(FakeQuery)),
        Component::new("waitlist", Limits::internal()).service(WaitlistServiceServer::new(waitlist.clone())),
    ];
    for listed in &shards.list {
        let server = InventoryServiceServer::new(shard.clone());
        roles.push(Component::new(listed.name.clone(), Limits::internal()).service(server));
    }
    let mut running = Vec::new();
    for role in roles {
        let role = role.start().await;
        switchboard.connect(role.name(), role.stack());
        running.push(role);
    }
    let clock = ManualClock::at(MORNING);
    let issuer = TokenIssuer::new(&[1; 32], "https://tokens.test", "chunyun");
    let timetable = Arc::new(Timetable::sample());
    let discovery = FixedList::new(&shards.list).unwrap();
    let dependencies = Dependencies {
        timetable: Arc::clone(&timetable),
        policy: Arc::new(Policy::default()),
        person_tokens: Arc::new(PersonTokens::new(key())),
        verifier: Arc::new(TokenVerifier::new(&issuer.options(), Arc::new(clock.clone()))),
        shards: ShardRouter::new(&shards, &discovery, &switchboard).unwrap(),
        discovery: Arc::new(discovery),
        query: switchboard.link("query"),
        order: switchboard.link("order"),
        waitlist: switchboard.link("waitlist"),
        redis: None,
        clock: Arc::new(clock.clone()),
    };
    let gateway = gateway::build(options, dependencies).await.unwrap().start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    gateway.serve(listener);
    running.push(gateway);
    let connection = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    Gateway { running, shard, orders, waitlist, clock, timetable, connection, issuer, _switchboard: switchboard }
}

fn key() -> Key {
    Key::from_hex(&"0123456789abcdef".repeat(4)).unwrap()
}

/// The same tokens as the gateway makes.
pub fn person_tokens() -> PersonTokens {
    PersonTokens::new(key())
}

/// Sends a bearer token with every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Gateway {
    /// Somebody who buys online.
    pub fn passenger(&self) -> Client {
        self.client(&Identity::passenger("somebody".parse().unwrap()))
    }

    /// A station window.
    pub fn window(&self) -> Client {
        let identity = Identity { channels: vec![Channel::Window], ..Identity::passenger("window-7".parse().unwrap()) };
        self.client(&identity)
    }

    pub fn client(&self, identity: &Identity) -> Client {
        GatewayServiceClient::with_interceptor(self.connection.clone(), self.bearer(identity))
    }

    pub fn operator(&self) -> OperatorServiceClient<Authorized> {
        let identity = Identity { roles: vec![Role::Operator], ..Identity::passenger("operator".parse().unwrap()) };
        OperatorServiceClient::with_interceptor(self.connection.clone(), self.bearer(&identity))
    }

    pub fn bearer(&self, identity: &Identity) -> Bearer {
        let token = self.issuer.issue(identity, MORNING, 30 * 86_400).unwrap();
        Bearer(format!("Bearer {token}").parse().unwrap())
    }

    /// Stops every role, which also proves that they stop.
    pub async fn stop(self) {
        for role in self.running.into_iter().rev() {
            role.drain(std::time::Duration::ZERO).await;
            role.join().await;
        }
    }
}

/// An id of an order by a small number.
pub fn order_id(number: u64) -> String {
    format!("0192f0c1-2d3e-7a4b-8c5d-{number:012x}")
}

pub fn adult(number: &str) -> Passenger {
    Passenger {
        name: "王小明".into(),
        document_kind: DocumentKind::ResidentId.into(),
        document_number: number.into(),
        kind: PassengerKind::Adult.into(),
        preference: 0,
        student: None,
        adult_ticket_id: String::new(),
    }
}

/// G71 from Beijing West to Shenzhen North on 2026-12-01, second class.
pub fn g71() -> LegRequest {
    LegRequest {
        train_code: "G71".into(),
        boarding_date: "2026-12-01".into(),
        from_station: "北京西".into(),
        to_station: "深圳北".into(),
        seat_class: SeatClass::Second.into(),
    }
}

pub fn order(number: u64) -> PlaceOrderRequest {
    PlaceOrderRequest {
        order_id: order_id(number),
        legs: vec![g71()],
        passengers: vec![adult(DOCUMENTS[0])],
        ..PlaceOrderRequest::default()
    }
}
