//! The journal's server is killed and started again while seats are sold. `scripts/faults postgres` does it more often.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::postgres::Server;
use crate::support::process::audit_is_clean;
use crate::support::shard::{Acknowledged, Client, Hold, PATIENCE, Shard, place};
use crate::support::skipped;

const TRAINS: [&str; 4] = ["G71", "G1", "Z19", "K105"];
const CLIENTS: u128 = 16;
/// How often the server is killed, unless `CHUNYUN_FAULTS_TIMES` says otherwise.
const TIMES: u32 = 2;
/// Load before each kill, and how long the server is away.
const LOAD: Duration = Duration::from_millis(1_500);
const AWAY: Duration = Duration::from_millis(500);
/// The goal is 10 s from the moment at which the server accepts; a loaded machine gets more.
const BACK_WITHIN: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Load {
    acknowledged: Mutex<Acknowledged>,
    accepted: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

// Clients go on while the story waits for the server.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_postgres_is_killed_under_load() {
    let Some(server) = Server::start() else {
        return skipped("Postgres killed under load", "no server is installed under /usr/lib/postgresql");
    };
    let times = std::env::var("CHUNYUN_FAULTS_TIMES").map_or(TIMES, |times| times.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let shard = Shard::start(dir.path(), "inventory-shard-0", &server.url());
    let mut client = shard.client().await;
    for train in TRAINS {
        client.open_sale(train).await;
    }
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(hold_and_release(shard.client().await, number, load.clone()));
    }

    eprintln!("{:>4} {:>14} {:>14} {:>16}", "kill", "accepted so far", "failed so far", "writes back in");
    for kill in 1..=times {
        tokio::time::sleep(LOAD).await;
        let (accepted, failed) = (load.accepted.load(Relaxed), load.failed.load(Relaxed));
        server.kill();
        tokio::time::sleep(AWAY).await;
        tokio::task::block_in_place(|| server.restart());
        let accepting = Instant::now();
        let before = load.accepted.load(Relaxed);
        while load.accepted.load(Relaxed) == before {
            assert!(accepting.elapsed() < BACK_WITHIN, "writes are back in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let back = accepting.elapsed();
        eprintln!("{kill:>4} {accepted:>14} {failed:>14} {:>13} ms", back.as_millis());
    }
    tokio::time::sleep(LOAD).await;
    load.over.store(true, Relaxed);
    while clients.join_next().await.is_some() {}

    let acknowledged = std::mem::take(&mut *load.acknowledged.lock().unwrap());
    assert!(acknowledged.len() > 100 && load.failed.load(Relaxed) > 0, "there was load, and it met the kills");
    acknowledged.is_durable_at(&mut client).await;
    assert_eq!(shard.serving.terminate(), Some(0));
    audit_is_clean(&server.url(), &[]);
}

/// Holds a place and gives every second one back, and notes what it was told.
async fn hold_and_release(mut client: Client, number: u128, load: Arc<Load>) {
    for count in 0.. {
        if load.over.load(Relaxed) {
            return;
        }
        let order = number << 64 | count;
        let train = TRAINS[count as usize % TRAINS.len()];
        match client.hold(train, order, PATIENCE).await {
            Ok(held) => load.told(train, order, Hold::Held(place(&held.places))),
            Err(_) => {
                load.failed.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        }
        // Slower than the fleet could: the trains shall not sell out.
        tokio::time::sleep(Duration::from_millis(10)).await;
        if count % 2 == 0 {
            match client.release(train, order).await {
                Ok(()) => load.told(train, order, Hold::Released),
                Err(_) => load.acknowledged.lock().unwrap().doubt(train, order),
            }
        }
    }
}

impl Load {
    fn told(&self, train: &str, order: u128, hold: Hold) {
        self.acknowledged.lock().unwrap().note(train, order, hold);
        self.accepted.fetch_add(1, Relaxed);
    }
}
