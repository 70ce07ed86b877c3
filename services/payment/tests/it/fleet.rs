//! Payment, the sandbox provider and an order service that writes down what it is told.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Time;
use futures::{Stream, TryStreamExt};
use portable_sql::Engine;
use proto::order::v1::order_service_server::{OrderService, OrderServiceServer};
use proto::order::v1::*;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::payment::v1::{
    CloseTradeRequest, CreateRefundRequest, CreateTradeRequest, GetTradeRequest, ReconcileRequest, RefundState, Trade,
};
use proto::provider::v1::sandbox_provider_service_client::SandboxProviderServiceClient;
use proto::provider::v1::{ChargeRequest, DownloadStatementRequest};
use rpc::clock::ManualClock;
use rpc::{Component, Limits, Link, Running, Switchboard};
use sandbox_provider::{Behaviour, SIGNATURE_HEADER, sign};
use secrecy::ExposeSecret;
use storage::DatabaseUrl;
use tonic::{Request, Response, Status};

use crate::databases::TestDatabase;

/// 2026-11-22T00:00:00Z.
pub const NOW_MS: i64 = 1_795_305_600_000;
const SECRET: &str = "a secret of the tests";

/// What an order was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Trade(TradeOutcome, i64),
    Refund(String),
}

/// An order id.
pub fn order_id(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

/// A running payment and all around it.
pub struct Fleet {
    clock: ManualClock,
    orders: Arc<Orders>,
    callback_url: String,
    http: reqwest::Client,
    switchboard: Switchboard,
    running: Vec<Running>,
    _provider_database: Option<TestDatabase>,
}

impl Fleet {
    /// Starts everything; the provider remembers nothing of an earlier fleet.
    pub async fn start(database: &TestDatabase, behaviour: Behaviour) -> Self {
        let provider_database = crate::databases::databases("provider").await.remove(0);
        let mut fleet = Self::start_with(database, &provider_database, behaviour).await;
        fleet._provider_database = Some(provider_database);
        fleet
    }

    /// Starts everything on two databases.
    pub async fn start_with(database: &TestDatabase, provider: &TestDatabase, behaviour: Behaviour) -> Self {
        let clock = ManualClock::at(Time::from_millis(NOW_MS));
        let switchboard = Switchboard::new();
        let orders = Arc::new(Orders::default());
        let order = Component::new("order", Limits::internal())
            .service(OrderServiceServer::from_arc(orders.clone()))
            .start()
            .await;

        let dependencies = sandbox_provider::Dependencies {
            database: provider.url.clone(),
            clock: Arc::new(clock.clone()),
            callback_secret: SECRET.into(),
        };
        let options = sandbox_provider::Options { behaviour, ..Default::default() };
        let provider = sandbox_provider::build(options, dependencies).await.unwrap().start().await;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_url = format!("http://{}{}", listener.local_addr().unwrap(), payment::CALLBACK_PATH);
        let dependencies = payment::Dependencies {
            database: database.url.clone(),
            clock: Arc::new(clock.clone()),
            callback_secret: SECRET.into(),
            provider: switchboard.link(sandbox_provider::ROLE),
            order: switchboard.link("order"),
        };
        let options = payment::Options { callback_url: callback_url.clone(), poll_ms: 20, ..Default::default() };
        let payment = payment::build(options, dependencies).await.unwrap().start().await;
        payment.serve_http(listener);

        let running = vec![payment, provider, order];
        for role in &running {
            switchboard.connect(role.name(), role.stack());
        }
        let http = reqwest::Client::new();
        Self { clock, orders, callback_url, http, switchboard, running, _provider_database: None }
    }

    fn payment(&self) -> PaymentServiceClient<Link> {
        PaymentServiceClient::new(self.switchboard.link(payment::ROLE))
    }

    fn provider(&self) -> SandboxProviderServiceClient<Link> {
        SandboxProviderServiceClient::new(self.switchboard.link(sandbox_provider::ROLE))
    }

    /// Pays 100 yuan.
    pub async fn pay(&self, order: &str, attempt: u32, token: &str) -> Result<Trade, Status> {
        let request = CreateTradeRequest {
            order_id: order.into(),
            amount_fen: 10_000,
            payment_token: token.into(),
            expires_at_ms: NOW_MS + 900_000,
            attempt,
            supplement: false,
        };
        Ok(self.payment().create_trade(request).await?.into_inner().trade.unwrap())
    }

    /// The first trade of an order.
    pub async fn trade(&self, order: &str) -> Trade {
        let request = GetTradeRequest { trade_id: format!("{order}-0") };
        self.payment().get_trade(request).await.unwrap().into_inner().trade.unwrap()
    }

    pub async fn close(&self, order: &str) -> Trade {
        let request = CloseTradeRequest { trade_id: format!("{order}-0") };
        self.payment().close_trade(request).await.unwrap().into_inner().trade.unwrap()
    }

    pub async fn refund(&self, order: &str, id: &str, amount: i64, fee: i64) -> Result<RefundState, Status> {
        let request = CreateRefundRequest {
            refund_id: id.into(),
            trade_id: format!("{order}-0"),
            amount_fen: amount,
            fee_fen: fee,
        };
        Ok(self.payment().create_refund(request).await?.into_inner().state())
    }

    /// The differences of the day: id, ours, theirs.
    pub async fn reconcile(&self) -> Vec<(String, Option<i64>, Option<i64>)> {
        let request = ReconcileRequest { date: "2026-11-22".into() };
        let lines = self.payment().reconcile(request).await.unwrap().into_inner();
        lines.map_ok(|line| (line.id, line.ours_fen, line.theirs_fen)).try_collect().await.unwrap()
    }

    /// The provider's statement of the day, sorted: id, fen.
    pub async fn statement(&self) -> Vec<(String, i64)> {
        let request = DownloadStatementRequest { date: "2026-11-22".into() };
        let lines = self.provider().download_statement(request).await.unwrap().into_inner();
        let mut lines: Vec<_> = lines.map_ok(|line| (line.merchant_id, line.amount_fen)).try_collect().await.unwrap();
        lines.sort();
        lines
    }

    /// A charge that payment knows nothing of.
    pub async fn charge_behind_our_back(&self, id: &str, amount_fen: i64) {
        let request = ChargeRequest {
            merchant_trade_id: id.into(),
            amount_fen,
            payment_token: "sandbox-ok".into(),
            callback_url: self.callback_url.clone(),
            expires_at_ms: NOW_MS + 900_000,
        };
        self.provider().charge(request).await.unwrap();
    }

    /// The body with which the provider would say that the order's first trade has succeeded.
    pub fn callback_body(&self, order: &str, amount_fen: i64) -> String {
        // SHA-256 of the merchant's id, as the provider makes its own ids.
        let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{order}-0").as_bytes());
        serde_json::json!({
            "merchant_trade_id": format!("{order}-0"), "provider_charge_id": format!("ch_{}", hex::encode(&digest[..12])),
            "state": "succeeded", "amount_fen": amount_fen, "at_ms": NOW_MS, "kind": "charge",
        })
        .to_string()
    }

    /// Posts a callback that was signed at a time: status and reason.
    pub async fn call_back(&self, body: &str, signed_at_ms: i64) -> (u16, String) {
        let signature = sign(&SECRET.into(), Time::from_millis(signed_at_ms), body);
        self.post(&signature, body).await
    }

    /// Posts a callback with any signature: status and reason.
    pub async fn post(&self, signature: &str, body: &str) -> (u16, String) {
        let request = self.http.post(&self.callback_url).header(SIGNATURE_HEADER, signature).body(body.to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let answer: serde_json::Value = answer.json().await.unwrap();
        (status, answer["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// What an order was told so far.
    pub fn told(&self, order: &str) -> Vec<Told> {
        self.orders.told.lock().unwrap().get(order).cloned().unwrap_or_default()
    }

    /// Lets the order service refuse to listen.
    pub fn deafen_orders(&self, deaf: bool) {
        self.orders.deaf.store(deaf, Ordering::SeqCst);
    }

    /// How often an order was told or tried to be told.
    pub fn attempts_to_tell(&self) -> usize {
        self.orders.attempts.load(Ordering::SeqCst)
    }

    /// Lets both clocks run.
    pub fn pass_time(&self, millis: i64) {
        self.clock.advance_ms(millis);
    }

    /// Lets both clocks run, ten seconds at a time, until the answer is yes: at most half an hour of their time.
    pub async fn pass_time_until(&self, mut question: impl AsyncFnMut() -> bool) {
        for _ in 0..180 {
            self.clock.advance_ms(10_000);
            for _ in 0..10 {
                if question().await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        panic!("it did not become so within half an hour");
    }

    pub async fn stop(self) {
        for role in self.running {
            role.drain(Duration::ZERO).await;
            role.join().await;
        }
    }
}

/// What every posting moved at the provider, behind payment's back.
pub async fn postings(database: &TestDatabase) -> Vec<i64> {
    match &database.url {
        DatabaseUrl::Sqlite(path) => {
            read(&sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap()).await
        }
        DatabaseUrl::Postgres(url) => read(&sqlx::PgPool::connect(url.expose_secret()).await.unwrap()).await,
    }
}

async fn read<E: Engine>(pool: &sqlx::Pool<E>) -> Vec<i64> {
    let mut connection = pool.acquire().await.unwrap();
    let rows = E::fetch(&mut connection, "SELECT provider_fen FROM ledger_posting".into(), Vec::new()).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

/// An order service that only listens.
#[derive(Default)]
struct Orders {
    told: Mutex<HashMap<String, Vec<Told>>>,
    deaf: AtomicBool,
    attempts: AtomicUsize,
}

impl Orders {
    fn hear(&self, order: String, told: Told) -> Result<(), Status> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        if self.deaf.load(Ordering::SeqCst) {
            return Err(Status::unavailable("deaf"));
        }
        self.told.lock().unwrap().entry(order).or_default().push(told);
        Ok(())
    }
}

macro_rules! not_asked {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl OrderService for Orders {
            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("payment does not ask for this"))
            })*

            type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send>>;

            async fn watch_order(
                &self,
                _: Request<WatchOrderRequest>,
            ) -> Result<Response<Self::WatchOrderStream>, Status> {
                Err(Status::unimplemented("payment does not ask for this"))
            }

            async fn note_trade(
                &self,
                request: Request<NoteTradeRequest>,
            ) -> Result<Response<NoteTradeResponse>, Status> {
                let request = request.into_inner();
                let told = Told::Trade(request.outcome(), request.captured_fen);
                self.hear(request.order_id, told)?;
                Ok(Response::new(NoteTradeResponse {}))
            }

            async fn note_refund(
                &self,
                request: Request<NoteRefundRequest>,
            ) -> Result<Response<NoteRefundResponse>, Status> {
                let request = request.into_inner();
                self.hear(request.order_id, Told::Refund(request.refund_id))?;
                Ok(Response::new(NoteRefundResponse {}))
            }
        }
    };
}

not_asked! {
    open_order(OpenOrderRequest) -> OpenOrderResponse;
    get_order(GetOrderRequest) -> GetOrderResponse;
    list_orders(ListOrdersRequest) -> ListOrdersResponse;
    pay_order(PayOrderRequest) -> PayOrderResponse;
    cancel_order(CancelOrderRequest) -> CancelOrderResponse;
    refund_ticket(RefundTicketRequest) -> RefundTicketResponse;
    quote_order(QuoteOrderRequest) -> QuoteOrderResponse;
    quote_change(QuoteChangeRequest) -> QuoteChangeResponse;
    change_tickets(ChangeTicketsRequest) -> ChangeTicketsResponse;
}

/// Asks until the answer is yes, for ten seconds.
pub async fn wait_until(mut question: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it did not become so within ten seconds");
}
