//! The ring grows from four shards to eight and shrinks again while passengers buy: processes, Postgres, Consul.

use std::time::Duration;

use serde_json::Value;

use crate::support::client::Caller;
use crate::support::load::{Load, WAYS};
use crate::support::ring_fleet::{Engines, RingFleet};
use crate::support::skipped;

const CLIENTS: u32 = 6;
/// More trains on sale, so that some surely move.
const OTHERS: [&str; 9] = ["G72", "G79", "G89", "G101", "G102", "G381", "G511", "G1001", "G6011"];
/// Ten times what a good run on a machine of its own keeps.
const HALF_UNDER_MS: f64 = 1_000.0;
const LONGEST_MS: f64 = 20_000.0;
const PLACE_P99: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_ring_grows_and_shrinks_under_load() {
    let Some(engines) = Engines::found() else {
        return skipped("moves under load", "CHUNYUN_TEST_POSTGRES or CHUNYUN_TEST_CONSUL is not set");
    };
    let mut fleet = RingFleet::start(&engines);
    let on_sale = WAYS.iter().map(|(train, ..)| *train).chain(OTHERS).collect::<Vec<_>>();
    Caller::new(&fleet.gateway(), fleet.data(), "ops", &["--operator"]).await.open_sale(&on_sale).await;
    let load = Load::start(&fleet, CLIENTS).await;

    fleet.start_shards(8);
    let plan = fleet.ring(&["plan", "--add", "4"]).unwrap();
    assert_eq!(fleet.shares().len(), 4, "a plan changes nothing");
    let moved = plan["slots_moved"].as_u64().unwrap();
    assert!((512..=666).contains(&moved), "half of 1,024 slots, at most 1.3 times: {moved}");
    expect_short(&fleet.ring(&["plan", "--add", "4", "--yes"]).unwrap()["moved"]);
    assert_eq!(fleet.shares().len(), 8);

    let leaving: Vec<String> = (4..8).map(|number| format!("--remove=inventory-shard-{number}")).collect();
    let mut shrink: Vec<&str> = vec!["plan", "--yes"];
    shrink.extend(leaving.iter().map(String::as_str));
    expect_short(&fleet.ring(&shrink).unwrap()["moved"]);
    assert_eq!(fleet.shares().len(), 4);
    fleet.terminate_shards(4);

    let done = load.stop().await;
    done.say("4 -> 8 -> 4");
    assert!(done.orders.len() > 20, "passengers bought: {}", done.orders.len());
    assert!(done.failures().is_empty(), "an orderly move is noticed by nobody: {:?}", done.failures());
    assert!(done.quantile(0.99) < PLACE_P99);
    done.expect_all(&fleet).await;
    let audited = fleet.stop_and_audit();
    assert_eq!(audited["violations"], Value::Array(Vec::new()), "{audited}");
}

fn expect_short(moved: &Value) {
    eprintln!("{moved}");
    let ms = |what: &str| moved[what].as_f64().unwrap();
    assert!(moved["slots"].as_u64().unwrap() >= 512 && moved["train_dates"].as_u64().unwrap() > 0, "{moved}");
    assert!(ms("p50_ms") < HALF_UNDER_MS && ms("longest_ms") < LONGEST_MS, "{moved}");
}
