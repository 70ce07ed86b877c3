//! A waitlist on a database of its own, with a shard and an order service that do as they are told.

use std::sync::Arc;
use std::time::Duration;

use domain::{Run, Time};
use policy::Policy;
use privacy::{DocumentVault, Key, PersonTokens};
use proto::common::v1 as common;
use proto::waitlist::v1 as wire;
use proto::waitlist::v1::EntryState;
use proto::waitlist::v1::waitlist_service_client::WaitlistServiceClient;
use rpc::clock::ManualClock;
use rpc::{Failure, Link, Running, Switchboard};
use shard_client::{FixedList, ListedShard, ShardRouter, ShardsOptions};
use storage::{Database, DatabaseUrl, OpenOptions};
use timetable::Timetable;
use waitlist::{Dependencies, Options, build};

use crate::upstreams::{FakeOrders, FakeShard};

/// 2026-12-01, 00:00 in Shanghai: 20,788 days after the epoch, less eight hours.
pub const NOW: Time = Time::from_millis((20_788 * 24 - 8) * 3_600_000);
/// G71 leaves Beijing West at 07:40: sample/stops.csv.
pub const RUN: &str = "G71@2026-12-20";
/// That moment: 19 days, 7 hours and 40 minutes later.
pub const DEPARTURE: Time = NOW.plus_millis((19 * 24 * 60 + 7 * 60 + 40) * 60_000);
/// A resident id of GB 11643-1999, searched for wherever it must not be.
pub const CANARY: &str = "11010519491231002X";

pub struct World {
    pub shard: FakeShard,
    pub orders: FakeOrders,
    pub clock: ManualClock,
    pub database: Database,
    pub folder: tempfile::TempDir,
    switchboard: Switchboard,
    waitlist: Option<Running>,
    upstreams: Vec<Running>,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(folder.path().join("waitlist.db"));
        let database = Database::open(&url, &OpenOptions::default()).await.unwrap();
        let switchboard = Switchboard::new();
        let (shard, orders) = (FakeShard::default(), FakeOrders::default());
        let upstreams = vec![shard.component().start().await, orders.component().start().await];
        for running in &upstreams {
            switchboard.connect(running.name(), running.stack());
        }
        let clock = ManualClock::at(NOW);
        let mut world = Self { shard, orders, clock, database, folder, switchboard, waitlist: None, upstreams };
        world.start().await;
        world
    }

    pub async fn start(&mut self) {
        let member = ListedShard { name: "inventory-shard-0".into(), address: None, weight: 100 };
        let mut shards = ShardsOptions { list: vec![member], ..ShardsOptions::default() };
        // What stays unavailable is the waitlist's own to try again.
        shards.retry.attempts_max = 1;
        let key = |digits: &str| Key::from_hex(&digits.repeat(32)).unwrap();
        let dependencies = Dependencies {
            database: self.database.clone(),
            timetable: Arc::new(Timetable::sample()),
            policy: Arc::new(Policy::default()),
            shards: ShardRouter::new(&shards, &FixedList::new(&shards.list).unwrap(), &self.switchboard).unwrap(),
            orders: self.switchboard.link("order"),
            clock: Arc::new(self.clock.clone()),
            vault: Arc::new(DocumentVault::new(1, vec![(1, key("1a"))], key("2b")).unwrap()),
            tokens: Arc::new(PersonTokens::new(key("3c"))),
        };
        let options = Options { sweep_poll_ms: 10, retry_min_ms: 10, ..Options::default() };
        let running = build(options, dependencies).await.unwrap().start().await;
        self.switchboard.connect("waitlist", running.stack());
        self.waitlist = Some(running);
    }

    /// Stops the waitlist and starts it again on the same database.
    pub async fn restart(&mut self) {
        self.stop_waitlist().await;
        self.start().await;
    }

    pub async fn stop_waitlist(&mut self) {
        let Some(running) = self.waitlist.take() else { return };
        running.drain(Duration::ZERO).await;
        running.join().await;
    }

    pub async fn stop(mut self) {
        self.stop_waitlist().await;
        for running in self.upstreams {
            running.drain(Duration::ZERO).await;
            running.join().await;
        }
    }

    pub fn client(&self) -> WaitlistServiceClient<Link> {
        WaitlistServiceClient::new(self.switchboard.link("waitlist"))
    }

    pub async fn join(&self, request: wire::JoinWaitlistRequest) -> Result<wire::Entry, Failure> {
        let joined = self.client().join_waitlist(request).await.map_err(Failure::from)?;
        Ok(joined.into_inner().entry.unwrap())
    }

    pub async fn entry(&self, id: &str) -> Result<wire::Entry, Failure> {
        let request = wire::GetEntryRequest { account: "alice".into(), entry_id: id.into() };
        let found = self.client().get_entry(request).await.map_err(Failure::from)?;
        Ok(found.into_inner().entry.unwrap())
    }

    pub async fn leave(&self, id: &str) -> Result<wire::Entry, Failure> {
        let request = wire::LeaveWaitlistRequest { account: "alice".into(), entry_id: id.into() };
        let left = self.client().leave_waitlist(request).await.map_err(Failure::from)?;
        Ok(left.into_inner().entry.unwrap())
    }

    /// The entry once it has a state. Time goes on meanwhile: what is put off becomes due.
    pub async fn entry_in(&self, id: &str, state: EntryState) -> wire::Entry {
        self.eventually(async || self.entry(id).await.ok().filter(|entry| entry.state() == state)).await
    }

    /// What a look gives, once it gives something.
    pub async fn eventually<T>(&self, look: impl AsyncFn() -> Option<T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                self.clock.advance_ms(10);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("it comes about")
    }
}

pub fn run() -> Run {
    RUN.parse().unwrap()
}

pub fn id(number: u32) -> String {
    format!("0192f0c1-2d3e-7a4b-8c5d-6e7f{number:08x}")
}

/// Alice waits for one second-class seat over the whole journey of G71.
pub fn request(number: u32) -> wire::JoinWaitlistRequest {
    let run = run();
    wire::JoinWaitlistRequest {
        entry_id: id(number),
        account: "alice".into(),
        channel: 1,
        run: Some(common::Run { train_code: run.train.to_string(), service_date: run.date.to_string(), ordinal: 1 }),
        seat_class: 3,
        from_stop: 0,
        to_stop: 17,
        passengers: vec![passenger(CANARY)],
        accept_standing: false,
        deadline_ms: 0,
    }
}

pub fn passenger(number: &str) -> common::Passenger {
    common::Passenger {
        name: "李雷".into(),
        document_kind: 1,
        document_number: number.into(),
        kind: 1,
        preference: 1,
        student: None,
        adult_ticket_id: String::new(),
    }
}
