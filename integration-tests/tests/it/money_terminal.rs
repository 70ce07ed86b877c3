//! What a person types about money that has been paid: exchanges, a run that is cancelled, the day's books, and the key that
//! passengers are sealed with.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::{Caller, service_date};
use crate::support::postgres::{audit_arguments, new_databases};
use crate::support::process::{self, Serving};
use crate::support::skipped;

/// Refunds reach the provider's books a little after the order's.
const SETTLED_TIMEOUT: Duration = Duration::from_secs(60);
const PASSENGER: &str = "张三:id:11010519491231002X";

/// An embedded fleet's settings of its databases; none for SQLite.
type Databases = Vec<(String, String)>;

struct Terminal {
    gateway: String,
    data: PathBuf,
}

impl Terminal {
    /// Runs a command in the name of an account whose token is in the data directory.
    fn run(&self, account: &str, arguments: &[&str]) -> Output {
        let token_file = self.data.join(format!("{account}.jwt"));
        let mut all = arguments.to_vec();
        all.extend(["--gateway", &self.gateway, "--token-file", token_file.to_str().unwrap(), "--json"]);
        process::chunyun(&all)
    }

    fn json(&self, account: &str, arguments: &[&str]) -> Value {
        document(&self.run(account, arguments), arguments)
    }

    /// The reason that a refused command prints.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run("alice", arguments);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        let said = [output.stdout, output.stderr].concat();
        let document: Value = serde_json::from_slice(&said)
            .unwrap_or_else(|error| panic!("{arguments:?} printed {:?}: {error}", String::from_utf8_lossy(&said)));
        document["error"]["reason"].as_str().unwrap_or_default().to_owned()
    }

    fn order(&self, id: &str) -> Value {
        self.json("alice", &["order", "show", id])
    }
}

fn document(output: &Output, arguments: &[&str]) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text} {said}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?} printed {text:?}: {error}"))
}

fn serve(data: &Path, databases: &Databases) -> Serving {
    let environment: Vec<(&str, &str)> = databases.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    Serving::embedded_with(data, &environment)
}

async fn fleet(data: &Path, databases: &Databases) -> (Serving, Terminal) {
    let serving = serve(data, databases);
    Caller::new(&serving.gateway(), data, "ops", &["--operator"]).await.open_sale(&["G71", "G79"]).await;
    for (account, more) in [("alice", None), ("ops", Some("--operator"))] {
        let mut arguments = vec!["token", account, "--data", data.to_str().unwrap()];
        arguments.extend(more);
        std::fs::write(data.join(format!("{account}.jwt")), process::chunyun(&arguments).stdout).unwrap();
    }
    let terminal = Terminal { gateway: serving.gateway(), data: data.to_owned() };
    (serving, terminal)
}

#[tokio::test]
async fn tickets_are_exchanged_and_a_cancelled_run_is_given_back_with_sqlite() {
    exchange_and_cancel(Vec::new()).await;
}

#[tokio::test]
async fn tickets_are_exchanged_and_a_cancelled_run_is_given_back_with_postgres() {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("exchanges and a cancelled run on Postgres", "CHUNYUN_TEST_POSTGRES is not set");
    };
    exchange_and_cancel(new_databases(&server, "exchange")).await;
}

#[tokio::test]
async fn passengers_are_sealed_with_a_new_key_with_sqlite() {
    seal_anew(Vec::new()).await;
}

#[tokio::test]
async fn passengers_are_sealed_with_a_new_key_with_postgres() {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("passengers sealed anew on Postgres", "CHUNYUN_TEST_POSTGRES is not set");
    };
    seal_anew(new_databases(&server, "seal")).await;
}

async fn exchange_and_cancel(databases: Databases) {
    let data = tempfile::tempdir().unwrap();
    let (serving, terminal) = fleet(data.path(), &databases).await;
    let (date, today) = (service_date(), today_in_utc());
    let bought = terminal.json("alice", &["buy", "G71", &date, "北京西", "深圳北", "--passenger", PASSENGER]);
    let (id, ticket) = (text(&bought["order_id"]), text(&bought["tickets"][0]["ticket_id"]));
    // The sample timetable's fares from 北京西 to 深圳北 by G71: 963.00 second, 1540.50 first.
    assert_eq!(bought["tickets"][0]["fare_fen"], 96_300);

    let change = ["order", "change", &id, "G71", &date, "北京西", "深圳北", "--ticket", &ticket, "--class", "first"];
    let quote = terminal.json("alice", &[&change[..], &["--quote"]].concat());
    assert_eq!((&quote["due_fen"], &quote["fee_fen"]), (&json!(57_750), &json!(0)), "{quote}");
    assert_eq!(terminal.refusal(&[&change[..], &["--at-most", "577"]].concat()), "PRICE_CHANGED");
    assert_eq!(terminal.order(&id)["tickets"], bought["tickets"], "a quote and a refusal change nothing");

    let changed = terminal.json("alice", &[&change[..], &["--at-most", "578"]].concat());
    assert_eq!(changed["changes"][0]["state"], "done", "{changed}");
    let states: Vec<_> = tickets(&changed).map(|ticket| (text(&ticket["state"]), ticket["fare_fen"].clone())).collect();
    assert_eq!(states, [("exchanged".to_owned(), json!(96_300)), ("issued".to_owned(), json!(154_050))]);
    let new = text(&changed["tickets"][1]["ticket_id"]);
    let again = ["order", "change", &id, "G79", &date, "北京西", "深圳北", "--ticket", &new];
    assert_eq!(terminal.refusal(&again), "CHANGES_USED");

    let run = format!("G71@{date}");
    let closed = terminal.run("ops", &["close-sale", &run, "--cancelled"]);
    assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    let report = terminal.json("ops", &["refund-run", &run]);
    let figures = ["tickets_refunded", "refund_fen", "orders_failed"].map(|name| report[name].as_i64().unwrap());
    assert_eq!(figures, [1, 154_050, 0], "{report}");
    let repeated = terminal.json("ops", &["refund-run", &run]);
    assert_eq!(repeated["orders_failed"], 0, "{repeated}");
    let settled = until(|| Some(terminal.order(&id)).filter(|order| order["state"] == "refunded")).await;
    assert_eq!((&settled["refunded_fen"], &settled["fees_fen"]), (&json!(154_050), &json!(0)), "{settled}");
    until(|| {
        let books = terminal.json("ops", &["reconcile", &today]);
        (books["differences"] == json!([])).then_some(())
    })
    .await;

    assert_eq!(serving.terminate(), Some(0));
    let folder = data.path().to_str().unwrap().to_owned();
    let audited = if databases.is_empty() { vec!["--data".to_owned(), folder] } else { audit_arguments(&databases) };
    let arguments: Vec<&str> = std::iter::once("audit").chain(audited.iter().map(String::as_str)).collect();
    let audit = process::chunyun(&arguments);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

async fn seal_anew(databases: Databases) {
    let data = tempfile::tempdir().unwrap();
    let (serving, terminal) = fleet(data.path(), &databases).await;
    let bought = terminal.json("alice", &["buy", "G71", &service_date(), "北京西", "武汉", "--passenger", PASSENGER]);
    let id = text(&bought["order_id"]);
    assert_eq!(serving.terminate(), Some(0));

    let folder = data.path().to_str().unwrap();
    let keys = |arguments: &[&str]| {
        let all = [&["keys"], arguments, &["--data", folder, "--json"]].concat();
        document(&process::chunyun(&all), &all)
    };
    let mut reseal = vec!["reseal"];
    reseal.extend(databases.get(1).into_iter().flat_map(|(_, order)| ["--order", order.as_str()]));
    let first = keys(&["rotate"])["current"].clone();
    // The fleet runs while passengers are sealed anew, and reads those of either key.
    let serving = serve(data.path(), &databases);
    let terminal = Terminal { gateway: serving.gateway(), ..terminal };
    assert_eq!(terminal.order(&id)["tickets"][0]["passenger_name"], "张三");
    assert_eq!(keys(&reseal), json!({ "tickets": 1, "resealed": 1 }));
    assert_eq!(keys(&reseal), json!({ "tickets": 1, "resealed": 0 }));
    assert_eq!(terminal.order(&id)["tickets"][0]["passenger_name"], "张三");
    assert_ne!(keys(&["rotate"])["current"], first);
    // The passenger is known again under the new key: one train at a time.
    let other = ["buy", "G79", &service_date(), "北京西", "武汉", "--passenger", PASSENGER];
    assert_eq!(terminal.refusal(&other), "OVERLAPPING_JOURNEY");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn tickets(order: &Value) -> impl Iterator<Item = &Value> {
    order["tickets"].as_array().into_iter().flatten()
}

/// Asks until there is an answer.
async fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < SETTLED_TIMEOUT, "not settled in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The day of the books.
fn today_in_utc() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%F"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
