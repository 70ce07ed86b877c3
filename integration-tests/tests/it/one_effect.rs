//! What is asked for a thousand times at once happens once: payments of an order, orders for a passenger, and the provider's
//! own callback.

mod recorder;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::gateway::v1::{GetOrderRequest, PayOrderRequest, PlaceOrderRequest};
use proto::order::v1::{Order, OrderState, TicketState};
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::client::{Caller, order_for, reason};
use crate::support::postgres::{audit_arguments, new_databases};
use crate::support::process::{self, Serving, free_port};
use crate::support::skipped;
use recorder::Recorder;

const PAYS: usize = 1_000;
/// The payments go over so many connections at once.
const PAY_CONNECTIONS: usize = 20;
/// A payment that is not answered is sent so often.
const SENT_MAX: usize = 20;
const RIVALS: usize = 100;
/// Over so many connections at once, each so often: 1,000 callbacks.
const CALLBACK_CONNECTIONS: usize = 20;
const CALLBACKS_EACH: usize = 50;
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_repeated_happens_once_with_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap().to_owned();
    tell(Fleet::start(dir.path(), &[], vec!["--data".to_owned(), data]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_repeated_happens_once_with_postgres() {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("repetitions on Postgres", "CHUNYUN_TEST_POSTGRES is not set");
    };
    let dir = tempfile::tempdir().unwrap();
    let databases = new_databases(&server, "once");
    let environment: Vec<(&str, &str)> = databases.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let audited = audit_arguments(&databases);
    tell(Fleet::start(dir.path(), &environment, audited).await).await;
}

/// All roles in one process, with a recorder on the provider's way to payment.
struct Fleet {
    serving: Serving,
    recorder: Recorder,
    data: PathBuf,
    /// Which databases an audit reads.
    audited: Vec<String>,
}

impl Fleet {
    async fn start(data: &Path, environment: &[(&str, &str)], audited: Vec<String>) -> Self {
        let callbacks = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let recorder = Recorder::before(callbacks).await;
        let config = data.join("chunyun.toml");
        // The provider takes its time, so that payments meet an order that is being paid.
        let text = format!(
            "{}[links]\ncallbacks = \"http://{}\"\n[sandbox_provider.behaviour]\ndecide_delay_ms = 300\n",
            process::around_the_clock(data),
            recorder.address
        );
        std::fs::write(&config, text).unwrap();
        let listen = callbacks.to_string();
        let mut environment = environment.to_vec();
        environment.push(("CHUNYUN_LISTEN__CALLBACKS", &listen));
        let folder = data.to_str().unwrap();
        let arguments = ["--data", folder, "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
        let serving = Serving::start(&arguments, &environment);
        let fleet = Self { serving, recorder, data: data.to_owned(), audited };
        fleet.caller("ops", &["--operator"]).await.open_sale(&["G71", "G1"]).await;
        fleet
    }

    async fn caller(&self, account: &str, more: &[&str]) -> Caller {
        Caller::new(&self.serving.gateway(), &self.data, account, more).await
    }

    /// How many trades and postings the books have.
    fn books(&self) -> (u64, u64) {
        let mut arguments = vec!["audit", "--running", "--json"];
        arguments.extend(self.audited.iter().map(String::as_str));
        let report: Value = serde_json::from_slice(&process::chunyun(&arguments).stdout).unwrap();
        let count = |name: &str| report["counts"][name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"));
        (count("trades"), count("postings"))
    }
}

async fn tell(fleet: Fleet) {
    let order = pay_at_once(&fleet).await;
    repeat_the_callback(&fleet, &order).await;
    let one_train = [("G71", "北京西", "武汉")];
    order_at_once(&fleet, "same", 900, &one_train).await;
    let two_trains = [("G71", "北京西", "武汉"), ("G1", "北京南", "上海虹桥")];
    order_at_once(&fleet, "other", 901, &two_trains).await;
    assert_eq!(fleet.books().0, 3, "a trade for each order that was paid");

    assert_eq!(fleet.serving.terminate(), Some(0));
    let mut arguments = vec!["audit", "--json"];
    arguments.extend(fleet.audited.iter().map(String::as_str));
    let audit = process::chunyun(&arguments);
    let report = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success(), "{report} {}", String::from_utf8_lossy(&audit.stderr));
}

/// Pays one order a thousand times at once: one trade, one capture, one ticket.
async fn pay_at_once(fleet: &Fleet) -> Order {
    let buyer = fleet.caller("payer", &[]).await;
    let placed = order_for("G71", "北京西", "深圳北", &[1]);
    let id = placed.order_id.clone();
    buyer.gateway().place_order(placed).await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..PAY_CONNECTIONS {
        connections.push(fleet.caller("payer", &[]).await);
    }
    let started = Instant::now();
    let mut paying = JoinSet::new();
    for number in 0..PAYS {
        paying.spawn(pay_until_answered(connections[number % PAY_CONNECTIONS].clone(), id.clone()));
    }
    let (answers, sent): (Vec<_>, Vec<usize>) = paying.join_all().await.into_iter().unzip();
    let (answers, sent) = (tally(answers), sent.iter().sum::<usize>());
    eprintln!("{PAYS} payments, sent {sent} times, in {:.1} s: {answers:?}", started.elapsed().as_secs_f64());
    let known = ["taken", "ORDER_STATE"];
    assert!(answers.keys().all(|answer| known.contains(&answer.as_str())), "{answers:?}");
    assert!(answers["taken"] > 1, "{answers:?}");

    let paid = buyer.until(&id, &[OrderState::Confirmed, OrderState::Released, OrderState::Refunded]).await;
    assert_eq!((paid.state(), paid.tickets.len()), (OrderState::Confirmed, 1));
    assert_eq!(paid.tickets[0].state(), TicketState::Issued);
    assert_eq!(fleet.books().0, 1, "one trade");
    paid
}

/// Pays as the error catalogue says: what is not answered in time is asked again. The answer, and how often it was asked.
async fn pay_until_answered(caller: Caller, order_id: String) -> (Result<(), Status>, usize) {
    let request = PayOrderRequest { order_id, payment_token: "sandbox-ok".to_owned() };
    let mut sent = 0;
    loop {
        sent += 1;
        let answer = caller.gateway().pay_order(request.clone()).await.map(drop);
        let passes = |status: &Status| matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        if sent == SENT_MAX || !answer.as_ref().is_err_and(passes) {
            return (answer, sent);
        }
    }
}

/// Sends the provider's callback a thousand times more: all are taken, and nothing moves.
async fn repeat_the_callback(fleet: &Fleet, order: &Order) {
    let came = async {
        while fleet.recorder.kept().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(CALLBACK_TIMEOUT, came).await.expect("the provider calls back");
    let callbacks = fleet.recorder.kept();
    let before = fleet.books();
    let started = Instant::now();
    let answers = fleet.recorder.repeat(&callbacks[0], CALLBACK_CONNECTIONS, CALLBACKS_EACH).await;
    eprintln!("{} callbacks in {:.1} s", answers.len(), started.elapsed().as_secs_f64());
    assert_eq!(answers, vec![200; CALLBACK_CONNECTIONS * CALLBACKS_EACH]);
    assert_eq!(fleet.books(), before, "trades and postings");
    let buyer = fleet.caller("payer", &[]).await;
    let request = GetOrderRequest { order_id: order.order_id.clone() };
    let after = buyer.gateway().get_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(&after, order);

    // With one word altered it is not what the provider signed.
    let mut altered = callbacks[0].clone();
    let at = altered.windows(11).position(|window| window == b"\"succeeded\"").expect("the body tells its state");
    altered[at + 1..at + 10].copy_from_slice(b"SUCCEEDED");
    assert_eq!(fleet.recorder.repeat(&altered, 1, 1).await, [401]);
}

/// A hundred accounts order for one passenger at once, on trains that leave on the same day at the same time: one is served.
async fn order_at_once(fleet: &Fleet, name: &str, passenger: u32, trains: &[(&str, &str, &str)]) {
    let mut rivals = Vec::new();
    for number in 0..RIVALS {
        let (train, from, to) = trains[number % trains.len()];
        let caller = fleet.caller(&format!("{name}-{number}"), &[]).await;
        rivals.push((caller, order_for(train, from, to, &[passenger])));
    }
    let started = Instant::now();
    let mut placing = JoinSet::new();
    for (caller, request) in rivals.iter().cloned() {
        placing.spawn(async move { place(&caller, request).await });
    }
    let placed = placing.join_all().await;
    let accepted: Vec<String> = placed.iter().filter(|(_, answer)| answer.is_ok()).map(|(id, _)| id.clone()).collect();
    let answers = tally(placed.into_iter().map(|(_, answer)| answer).collect());
    eprintln!("{RIVALS} orders in {:.1} s: {answers:?}", started.elapsed().as_secs_f64());
    let known = ["taken", "DUPLICATE_IDENTITY", "OVERLAPPING_JOURNEY"];
    assert!(answers.keys().all(|answer| known.contains(&answer.as_str())), "{answers:?}");
    assert_eq!(accepted.len(), 1, "{answers:?}");
    let (winner, request) = rivals.iter().find(|(_, request)| request.order_id == accepted[0]).unwrap();
    assert_eq!(winner.pay(&request.order_id, "sandbox-ok").await.state(), OrderState::Confirmed);
}

async fn place(caller: &Caller, request: PlaceOrderRequest) -> (String, Result<(), Status>) {
    let id = request.order_id.clone();
    (id, caller.gateway().place_order(request).await.map(drop))
}

/// How often which answer was given: the reason of a refusal, or `taken`.
fn tally(answers: Vec<Result<(), Status>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let name = answer.map_or_else(|status| reason(&status), |()| "taken".to_owned());
        *counts.entry(name).or_default() += 1;
    }
    counts
}
