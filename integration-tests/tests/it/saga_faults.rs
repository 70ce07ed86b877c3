//! Processes that die at the steps of the saga, under purchases, changes and refunds, on Postgres: afterwards no order is stuck and
//! no fen is unexplained.
//!
//! `scripts/faults saga` runs this alone and shows its table.

mod buyers;
mod fleet;

use std::time::{Duration, Instant};

use failpoints::Point;
use serde_json::Value;

use crate::support::client::Caller;
use crate::support::skipped;
use buyers::{Buyers, Done};
use fleet::Fleet;

/// How long the load may take to bring a process to its point.
const MET_TIMEOUT: Duration = Duration::from_secs(60);
/// How long everything may take to come to rest after the last fault. The goal is a minute; the machine may be busy.
const CALM_TIMEOUT: Duration = Duration::from_secs(180);
/// Trains that are bought.
const TRAINS: [&str; 2] = ["G71", "G1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_at_a_step_of_the_saga_nothing_is_stuck_and_no_fen_is_unexplained() {
    let Ok(postgres) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("deaths at the steps of the saga", "CHUNYUN_TEST_POSTGRES is not set");
    };
    let dir = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(dir.path(), &postgres);
    Caller::new(&fleet.gateway(), dir.path(), "ops", &["--operator"]).await.open_sale(&TRAINS).await;
    let buyers = Buyers::start(&fleet.gateway(), dir.path()).await;

    let mut missed = Vec::new();
    for point in Point::ALL {
        let started = Instant::now();
        let met = fleet.die_at(*point, MET_TIMEOUT).await;
        eprintln!("{:<42}{:>8.1} s {}", point.name(), started.elapsed().as_secs_f64(), if met { "died" } else { "-" });
        if !met {
            missed.push(point.name());
        }
    }
    fleet.heal();
    let Done { placed, changed, ended } = buyers.stop().await;
    let calm_since = Instant::now();
    let stuck = until_calm(&fleet).await;
    let calm_after_s = calm_since.elapsed().as_secs_f64();
    eprintln!("{placed} orders, {changed} changes, {ended} answered to the end, calm after {calm_after_s:.1} s");
    assert_eq!(stuck, Vec::<String>::new(), "stuck after {CALM_TIMEOUT:?} of calm");
    assert_eq!(missed, Vec::<&str>::new(), "the load did not come to these points");
    let report = fleet.audit();
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report}");
    assert!(changed > 0, "no change came to other tickets");
    assert!(report["counts"]["orders"].as_u64().unwrap() > Point::ALL.len() as u64, "{report}");
}

/// Waits until every order, trade, refund and notice has come to its end; what has not in time.
async fn until_calm(fleet: &Fleet) -> Vec<String> {
    let started = Instant::now();
    loop {
        let open = fleet.open_ends();
        if open.is_empty() || started.elapsed() > CALM_TIMEOUT {
            return open;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
