//! Consul stops for a while and then loses its data: nobody notices, and the ring is put back.

use std::time::Duration;

use crate::support::client::Caller;
use crate::support::load::{Load, WAYS};
use crate::support::ring_fleet::{Engines, OwnConsul, RingFleet};
use crate::support::skipped;

const CLIENTS: u32 = 4;

/// How long Consul stays away: longer than every grace; on demand a minute.
fn away() -> Duration {
    let seconds = std::env::var("CHUNYUN_TEST_CONSUL_AWAY_S").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consul_the_last_ring_stands_and_lost_data_is_put_back() {
    let (Ok(postgres), Some(mut consul)) = (std::env::var("CHUNYUN_TEST_POSTGRES"), OwnConsul::start()) else {
        let missing = "CHUNYUN_TEST_POSTGRES or CHUNYUN_TEST_CONSUL_BINARY is not set";
        return skipped("Consul stopped and wiped", missing);
    };
    let mut fleet = RingFleet::start(&Engines { postgres, consul: consul.address() });
    let trains: Vec<&str> = WAYS.iter().map(|(train, ..)| *train).collect();
    Caller::new(&fleet.gateway(), fleet.data(), "ops", &["--operator"]).await.open_sale(&trains).await;
    let before = fleet.shares();

    let load = Load::start(&fleet, CLIENTS).await;
    consul.kill();
    tokio::time::sleep(away()).await;
    assert_eq!(fleet.shares(), before, "the last ring stands");
    consul.wipe();
    consul.go_on();
    let rebuilt = async {
        while !consul.keys().is_some_and(|keys| keys.contains("/ring/record")) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rebuilt).await.expect("the ring's record is put back");
    assert_eq!(fleet.shares(), before, "it is the same ring");
    let done = load.stop().await;
    done.say("Consul away");
    assert!(done.orders.len() > 10, "passengers bought: {}", done.orders.len());
    assert!(done.failures().is_empty(), "{:?}", done.failures());

    // It is more than a picture: the fleet can be changed again.
    fleet.start_shards(5);
    let change = async {
        while fleet.ring(&["plan", "--add", "1", "--yes"]).is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), change).await.expect("the ring can be edited");
    assert_eq!(fleet.shares().len(), 5);
    done.expect_all(&fleet).await;
    fleet.stop_and_audit();
}
