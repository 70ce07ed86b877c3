//! The network between a shard and others, or between a shard and Postgres, falls silent.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Caller;
use crate::support::load::{Load, WAYS};
use crate::support::proxy::Proxy;
use crate::support::ring_fleet::{Engines, RingFleet, Way};
use crate::support::skipped;

const CLIENTS: u32 = 4;
const CUT_FOR: Duration = Duration::from_secs(8);
/// The only errors that a client is told: try again, nothing is known to have happened.
const CLEAR: [&str; 6] = ["UNAVAILABLE", "UNREACHABLE", "DEADLINE_EXCEEDED", "OVERLOADED", "DRAINING", "RATE_LIMITED"];

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_nobody_reaches_is_done_without_and_comes_back() {
    cut("between the gateway and a shard", |way| matches!(way, Way::ToShard(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_without_its_journal_acknowledges_nothing_and_comes_back() {
    cut("between a shard and Postgres", |way| matches!(way, Way::ToPostgres(_))).await;
}

/// Cuts one way of one shard under load: every acknowledgement holds, errors are clear, and it heals by itself.
async fn cut(what: &str, which: fn(Way) -> bool) {
    let Some(engines) = Engines::found() else {
        return skipped(what, "CHUNYUN_TEST_POSTGRES or CHUNYUN_TEST_CONSUL is not set");
    };
    let proxy: Mutex<Option<Proxy>> = Mutex::new(None);
    let runtime = tokio::runtime::Handle::current();
    let fleet = tokio::task::block_in_place(|| {
        RingFleet::start_behind(&engines, &|number, way| {
            if number != 1 || !which(way) {
                return way;
            }
            let between = runtime.block_on(Proxy::to(way.address()));
            let address = between.address;
            *proxy.lock().unwrap() = Some(between);
            match way {
                Way::ToShard(_) => Way::ToShard(address),
                Way::ToPostgres(_) => Way::ToPostgres(address),
            }
        })
    });
    let proxy = proxy.into_inner().unwrap().expect("the way was led through it");
    let (train, ..) = WAYS[0];
    let trains: Vec<&str> = WAYS.iter().map(|(train, ..)| *train).collect();
    Caller::new(&fleet.gateway(), fleet.data(), "ops", &["--operator"]).await.open_sale(&trains).await;
    let run = format!("{train}@{}", crate::support::client::service_date());
    fleet.ring(&["pin", &run, "inventory-shard-1", "--yes"]).unwrap();

    let load = Load::start(&fleet, CLIENTS).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.fall_silent();
    tokio::time::sleep(CUT_FOR).await;
    proxy.recover();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let done = load.stop().await;
    let unclear: Vec<&str> =
        done.failures().into_iter().filter(|failure| !CLEAR.iter().any(|reason| failure.starts_with(reason))).collect();
    assert!(unclear.is_empty(), "{unclear:?}");
    done.say(what);

    // It sells again, whoever has it.
    let load = Load::start(&fleet, CLIENTS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = load.stop().await;
    let sold = after.calls.iter().filter(|(_, _, of, failure)| *of == train && failure.is_none()).count();
    assert!(sold > 0, "{train} sells again: {:?}", after.failures());
    done.expect_all(&fleet).await;
    after.expect_all(&fleet).await;
    let audited = fleet.stop_and_audit();
    assert_eq!(audited["violations"], Value::Array(Vec::new()), "{audited}");
}
