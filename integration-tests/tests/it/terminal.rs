//! What a person types: the client's commands against a running fleet, and what they print.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::client::{Caller, service_date};
use crate::support::process::{self, Serving};

struct Terminal {
    gateway: String,
    token_file: String,
}

impl Terminal {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--gateway", &self.gateway, "--token-file", &self.token_file]);
        process::chunyun(&all)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.run(&all);
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?} printed {text:?}: {error}"))
    }
}

async fn fleet(data: &Path) -> (Serving, Terminal) {
    let serving = Serving::embedded(data);
    Caller::new(&serving.gateway(), data, "ops", &["--operator"]).await.open_sale(&["G71", "K598"]).await;
    let token = process::chunyun(&["token", "alice", "--data", data.to_str().unwrap()]);
    let token_file = data.join("alice.jwt");
    std::fs::write(&token_file, token.stdout).unwrap();
    let terminal = Terminal { gateway: serving.gateway(), token_file: token_file.display().to_string() };
    (serving, terminal)
}

#[tokio::test]
async fn a_passenger_searches_buys_looks_and_gives_back() {
    let data = tempfile::tempdir().unwrap();
    let (_serving, terminal) = fleet(data.path()).await;
    let date = service_date();

    // Names, pinyin and telecodes mean the same stations.
    for (from, to) in [("北京西", "深圳北"), ("beijingxi", "shenzhenbei"), ("BXP", "IOQ")] {
        let found = terminal.json(&["search", from, to, &date]);
        let g71 = found["journeys"].as_array().unwrap().iter().find(|j| j["run"]["train"] == "G71").unwrap().clone();
        let second = g71["availability"].as_array().unwrap().iter().find(|a| a["class"] == "second").unwrap().clone();
        assert!(second["seats"].as_u64().unwrap() > 0, "{from}-{to}: {g71}");
    }

    let passenger = "张三:id:11010519491231002X";
    let bought = terminal.json(&["buy", "G71", &date, "北京西", "深圳北", "--passenger", passenger]);
    assert_eq!(bought["state"], "confirmed");
    let ticket = &bought["tickets"][0];
    assert_eq!((&ticket["state"], &ticket["passenger_name"]), (&Value::from("issued"), &Value::from("张三")));
    let fare = ticket["fare_fen"].as_i64().unwrap();

    let order_id = bought["order_id"].as_str().unwrap();
    assert_eq!(terminal.json(&["order", "show", order_id])["order_id"], order_id);
    assert_eq!(terminal.json(&["order", "list"])["orders"].as_array().unwrap().len(), 1);

    let refunded = terminal.json(&["order", "refund", order_id, ticket["ticket_id"].as_str().unwrap()]);
    let (back, kept) = (refunded["tickets"][0]["refund_fen"].as_i64(), refunded["tickets"][0]["fee_fen"].as_i64());
    assert_eq!(back.unwrap() + kept.unwrap(), fare);
}

#[tokio::test]
async fn tables_are_aligned_and_errors_say_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let (_serving, terminal) = fleet(data.path()).await;

    let table = String::from_utf8(terminal.run(&["search", "北京", "深圳", &service_date()]).stdout).unwrap();
    let widths: Vec<usize> = table.lines().map(width).collect();
    assert!(widths.len() > 3 && widths.iter().all(|width| *width == widths[0]), "{table}");

    let unknown = terminal.run(&["search", "北京", "Atlantis", &service_date()]);
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && said.contains("Atlantis"), "{said}");

    let nobody = process::chunyun(&["search", "北京", "深圳", "2026-12-01", "--gateway", "http://127.0.0.1:1"]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(!nobody.status.success() && said.contains("chunyun serve"), "{said}");
}

/// Columns that a line takes in a terminal: Chinese characters take two.
fn width(line: &str) -> usize {
    line.chars()
        .map(|c| if ('\u{2e80}'..='\u{ffe6}').contains(&c) && !('\u{2500}'..='\u{257f}').contains(&c) { 2 } else { 1 })
        .sum()
}

#[test]
fn a_misspelt_setting_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("chunyun.toml");
    std::fs::write(&config, "[gateway]\npresale_dayz = 3\n").unwrap();
    let output =
        process::chunyun(&["serve", "--data", dir.path().to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("presale_dayz"), "{said}");
}

#[test]
fn a_broken_timetable_is_refused_with_file_line_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("timetable");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/lib/timetable/sample");
    std::fs::create_dir(&into).unwrap();
    for file in std::fs::read_dir(sample).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), into.join(file.file_name())).unwrap();
    }
    let trains = into.join("trains.csv");
    let text = std::fs::read_to_string(&trains).unwrap();
    let lines = text.lines().count();
    std::fs::write(&trains, format!("{text}g-71,CR400BF 8 cars,\n")).unwrap();

    let path = into.to_str().unwrap();
    let refused = process::chunyun(&["timetable", "check", path]);
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(!refused.status.success() && said.contains(&format!("trains.csv:{}", lines + 1)), "{said}");
    let dropped = process::chunyun(&["timetable", "check", path, "--drop-bad-rows", "--json"]);
    assert!(dropped.status.success());
}
