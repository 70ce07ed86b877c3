//! A merchant: calls the provider over its whole server stack and takes its callbacks over HTTP.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use domain::Time;
use futures::TryStreamExt;
use hmac::{Hmac, Mac};
use proto::provider::v1::sandbox_provider_service_client::SandboxProviderServiceClient;
use proto::provider::v1::{
    ChargeRequest, ChargeState, CloseChargeRequest, DownloadStatementRequest, QueryChargeRequest, RefundRequest,
};
use rpc::clock::ManualClock;
use rpc::{Link, Running, Switchboard};
use sandbox_provider::{Dependencies, Options, ROLE, SIGNATURE_HEADER};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::databases::TestDatabase;

/// 2026-11-22T00:00:00Z.
const START: Time = Time::from_millis(1_795_305_600_000);
/// How long a charge may take, in ms.
pub const EXPIRES_AFTER_MS: i64 = 900_000;
const SECRET: &str = "a secret of the tests";

/// What came in by HTTP.
#[derive(Default)]
struct Callbacks {
    told: Mutex<Vec<serde_json::Value>>,
    refuse: AtomicBool,
    refused: AtomicUsize,
}

/// A running provider and its merchant.
pub struct Merchant {
    /// The provider's clock.
    pub clock: ManualClock,
    callbacks: Arc<Callbacks>,
    callback_url: String,
    provider: Running,
    switchboard: Switchboard,
    stop: CancellationToken,
}

impl Merchant {
    /// Starts a provider on a database.
    pub async fn start(database: &TestDatabase, options: Options) -> Self {
        let callbacks = Arc::new(Callbacks::default());
        let stop = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_url = format!("http://{}/callbacks", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/callbacks", post(take)).with_state(callbacks.clone());
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await.unwrap() });

        let clock = ManualClock::at(START);
        let dependencies = Dependencies {
            database: database.url.clone(),
            clock: Arc::new(clock.clone()),
            callback_secret: SECRET.into(),
        };
        let provider = sandbox_provider::build(options, dependencies).await.unwrap().start().await;
        let switchboard = Switchboard::new();
        switchboard.connect(ROLE, provider.stack());
        Self { clock, callbacks, callback_url, provider, switchboard, stop }
    }

    /// A client of the provider.
    pub fn client(&self) -> SandboxProviderServiceClient<Link> {
        SandboxProviderServiceClient::new(self.switchboard.link(ROLE))
    }

    pub async fn charge(&self, trade: &str, amount_fen: i64, token: &str) -> Result<ChargeState, Status> {
        let request = ChargeRequest {
            merchant_trade_id: trade.into(),
            amount_fen,
            payment_token: token.into(),
            callback_url: self.callback_url.clone(),
            expires_at_ms: START.millis() + EXPIRES_AFTER_MS,
        };
        Ok(self.client().charge(request).await?.into_inner().state())
    }

    pub async fn query(&self, trade: &str) -> ChargeState {
        let request = QueryChargeRequest { merchant_trade_id: trade.into() };
        self.client().query_charge(request).await.unwrap().into_inner().state()
    }

    pub async fn close(&self, trade: &str) -> Result<ChargeState, Status> {
        let request = CloseChargeRequest { merchant_trade_id: trade.into() };
        Ok(self.client().close_charge(request).await?.into_inner().state())
    }

    pub async fn refund(&self, refund: &str, trade: &str, amount_fen: i64) -> Result<bool, Status> {
        let request = RefundRequest { merchant_refund_id: refund.into(), merchant_trade_id: trade.into(), amount_fen };
        Ok(self.client().refund(request).await?.into_inner().succeeded)
    }

    /// The day's statement: id, kind, fen.
    pub async fn statement(&self) -> Vec<(String, String, i64)> {
        let request = DownloadStatementRequest { date: "2026-11-22".into() };
        let lines = self.client().download_statement(request).await.unwrap().into_inner();
        lines.map_ok(|line| (line.merchant_id, line.kind, line.amount_fen)).try_collect().await.unwrap()
    }

    /// Every callback taken so far.
    pub fn told(&self) -> Vec<serde_json::Value> {
        self.callbacks.told.lock().unwrap().clone()
    }

    pub fn refuse_callbacks(&self, refuse: bool) {
        self.callbacks.refuse.store(refuse, Ordering::SeqCst);
    }

    /// How many callbacks were refused.
    pub fn refused(&self) -> usize {
        self.callbacks.refused.load(Ordering::SeqCst)
    }

    pub async fn stop(self) {
        self.provider.drain(Duration::ZERO).await;
        self.provider.join().await;
        self.stop.cancel();
    }
}

async fn take(State(callbacks): State<Arc<Callbacks>>, headers: HeaderMap, body: String) -> StatusCode {
    assert_signed(&headers, &body);
    if callbacks.refuse.load(Ordering::SeqCst) {
        callbacks.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    callbacks.told.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    StatusCode::OK
}

fn assert_signed(headers: &HeaderMap, body: &str) {
    let header = headers[SIGNATURE_HEADER].to_str().unwrap();
    let (at, hex_text) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    mac.verify_slice(&hex::decode(hex_text).unwrap()).unwrap();
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
