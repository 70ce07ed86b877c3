//! Two shards on one journal in a temporary directory, reached over the fleet's own links.

use std::sync::Arc;
use std::time::Duration;

use domain::{OrderId, Run};
use inventory_shard::{Departure, Dependencies, Options, build};
use journal::{ClusterConfig, Journal};
use proto::common::v1 as common;
use proto::inventory::v1::*;
use proto::journal::v1 as plan;
use ring::ShardId;
use rpc::{Clock, Failure, Running, Switchboard, SystemClock};
use shard_client::{Discovery, FixedList, ListedShard, Membership, ShardClient, ShardRouter, ShardsOptions};
use tempfile::TempDir;
use tokio::sync::watch;

pub struct Fleet {
    pub router: ShardRouter,
    pub switchboard: Switchboard,
    pub journal: Arc<dyn Journal>,
    discovery: Arc<Memberships>,
    shards: Vec<Running>,
    /// Asks all shards to leave.
    pub departure: Departure,
    started_at_ms: i64,
    _directory: TempDir,
}

/// Second class; the only one the test train has.
pub const SECOND: i32 = 3;

impl Fleet {
    pub async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let clusters = [ClusterConfig::whole(storage::DatabaseUrl::sqlite(directory.path().join("journal.db")))];
        journal::create(&clusters).await.unwrap();
        let journal = journal::open(&clusters).await.unwrap();
        let member = |number| ListedShard { name: ShardId::numbered(number).to_string(), address: None, weight: 100 };
        let options = ShardsOptions { list: vec![member(0), member(1)], ..ShardsOptions::default() };
        let listed = FixedList::new(&options.list).unwrap().watch().borrow().clone();
        let discovery = Arc::new(Memberships(watch::Sender::new(listed)));
        let switchboard = Switchboard::new();
        let router = ShardRouter::new(&options, &*discovery, &switchboard).unwrap();
        let mut fleet = Self {
            router,
            switchboard,
            journal,
            discovery,
            shards: Vec::new(),
            departure: Departure::new(),
            started_at_ms: SystemClock.now().millis(),
            _directory: directory,
        };
        for number in 0..2 {
            fleet.start_shard(number).await;
        }
        fleet
    }

    pub async fn start_shard(&mut self, number: u16) {
        let options = Options {
            shard: ShardId::numbered(number).to_string(),
            board_interval_ms: 20,
            verify_interval_ms: 50,
            feed_interval_ms: 50,
            ..Options::default()
        };
        let dependencies = Dependencies {
            journal: self.journal.clone(),
            discovery: self.discovery.clone(),
            address: None,
            departure: self.departure.clone(),
        };
        let running = build(options, dependencies).unwrap().start().await;
        self.switchboard.connect(running.name(), running.stack());
        assert!(running.ready().await);
        self.shards.push(running);
    }

    /// Stops the shards and starts them again on the same journal.
    pub async fn restart(&mut self) {
        self.stop_shards().await;
        for number in 0..2 {
            self.start_shard(number).await;
        }
    }

    pub async fn stop(mut self) {
        self.stop_shards().await;
        self.journal.close().await;
    }

    async fn stop_shards(&mut self) {
        for running in self.shards.drain(..) {
            running.drain(Duration::ZERO).await;
            running.join().await;
        }
    }

    /// Gives the slot of a run to the shard that does not own it.
    pub fn move_to_the_other(&self, run: &str) {
        let run: Run = run.parse().unwrap();
        let owner = self.router.ring().owner_of(&run).clone();
        let mut membership = self.discovery.0.borrow().clone();
        let other = membership.layout.members.iter().find(|member| member.shard != owner).unwrap().shard.clone();
        membership.layout.version += 1;
        membership.layout.pins.insert(run.slot(), other);
        self.discovery.0.send_replace(membership.clone());
        self.router.replace(membership).unwrap();
    }

    /// The shard that owns a run.
    pub fn owner(&self, run: &str) -> ShardClient {
        self.router.client_for(&run.parse().unwrap())
    }

    /// The shard that does not.
    pub fn other(&self, run: &str) -> ShardClient {
        let owner = self.router.ring().owner_of(&run.parse().unwrap()).clone();
        self.router.clients().into_iter().find(|(id, _)| *id != owner).unwrap().1
    }

    /// Puts a run of stops A, B, C and D on sale, with so many seats.
    pub async fn open_sale(&self, run: &str, seats: u32) {
        let request = OpenSaleRequest {
            run: Some(wire_run(run)),
            request_id: vec![7; 16].into(),
            plan: Some(plan_of_four_stops(seats, self.started_at_ms)),
        };
        let opened = self.owner(run).open_sale(request).await.unwrap().into_inner();
        assert_eq!(opened.places, seats);
    }

    pub async fn hold(&self, request: HoldRequest) -> Result<HoldResponse, Failure> {
        let run: Run = name(&request);
        self.owner(&run.to_string()).hold(request).await.map(tonic::Response::into_inner).map_err(Failure::from)
    }
}

/// Tells of the memberships a test thinks of.
struct Memberships(watch::Sender<Membership>);

impl Discovery for Memberships {
    fn watch(&self) -> watch::Receiver<Membership> {
        self.0.subscribe()
    }
}

fn name(request: &HoldRequest) -> Run {
    let run = request.run.as_ref().unwrap();
    format!("{}@{}", run.train_code, run.service_date).parse().unwrap()
}

pub fn wire_run(run: &str) -> common::Run {
    let run: Run = run.parse().unwrap();
    common::Run { train_code: run.train.to_string(), service_date: run.date.to_string(), ordinal: 1 }
}

/// A hold for one passenger who is named by the order.
pub fn hold(run: &str, order: u128, from_stop: u32, to_stop: u32) -> HoldRequest {
    HoldRequest {
        run: Some(wire_run(run)),
        hold_id: hold_id(order),
        channel: 1,
        seat_class: SECOND,
        from_stop,
        to_stop,
        passengers: vec![HoldPassenger { person: person(order), preference: 0, elderly: false }],
        accept_standing: false,
        accept_seat_change: false,
    }
}

pub fn hold_id(order: u128) -> bytes::Bytes {
    domain::HoldId::of_order(OrderId::from_u128(order), 0).bytes().to_vec().into()
}

pub fn person(number: u128) -> bytes::Bytes {
    number.to_be_bytes().to_vec().into()
}

/// Stops an hour apart, from tomorrow on; sale opened an hour ago.
fn plan_of_four_stops(seats: u32, now: i64) -> plan::SaleOpened {
    let hour = 3_600_000;
    let stops = (0..4i64).map(|stop| plan::Stop {
        arrival_ms: if stop == 0 { 0 } else { now + (24 + stop) * hour },
        departure_ms: if stop == 3 { 0 } else { now + (24 + stop) * hour + 60_000 },
        sale_opens_ms: now - hour,
        km: stop as u32 * 100,
    });
    plan::SaleOpened {
        stops: stops.collect(),
        carriages: vec![plan::Carriage {
            number: 5,
            seat_class: SECOND as u32,
            layout: "ABC|DF".into(),
            places: seats,
        }],
        terms: Some(plan::SaleTerms {
            cutoff_before_departure_ms: 300_000,
            open_by_ms: 60_000,
            payment_ms: 900_000,
            hard_limit_ms: 1_200_000,
            offer_ms: 60_000,
            party_max: 5,
            line_max: 100,
        }),
        standing: vec![],
        quotas: Some(plan::QuotaPolicy::default()),
        policy_version: 1,
    }
}
