//! Shards as processes of their own, and clients that talk to them without a gateway in between.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::common::v1 as common;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::*;
use proto::journal::v1 as plan;
use rpc::clock::{Clock as _, SystemClock};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::client::service_date;
use super::process::{Serving, free_port};

/// Second class.
const SECOND: i32 = 3;
/// Whoever asks waits so long, unless it says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// A train is put on sale within so long, on a loaded machine too.
const ON_SALE_WITHIN: Duration = Duration::from_secs(60);
const CARRIAGES: u32 = 16;
const PLACES: u32 = 100;

/// A shard process that owns every slot of a journal.
pub struct Shard {
    pub serving: Serving,
    address: String,
    metrics: String,
}

impl Shard {
    /// Starts it; back when it has claimed its slots.
    pub fn start(dir: &Path, name: &str, journal: &str) -> Self {
        let (port, metrics) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let config: PathBuf = dir.join(format!("{name}.toml"));
        let address = format!("http://127.0.0.1:{port}");
        std::fs::write(&config, format!("[[shards.list]]\nname = \"{name}\"\naddress = \"{address}\"\n")).unwrap();
        let (config, data) = (config.to_str().unwrap(), dir.to_str().unwrap());
        let arguments = ["--config", config, "--data", data, "--roles", "inventory-shard", "--shard", name];
        let listen = format!("127.0.0.1:{port}");
        let environment = [
            ("CHUNYUN_STORAGE__JOURNAL", journal),
            ("CHUNYUN_LISTEN__INTERNAL", &listen),
            ("CHUNYUN_LISTEN__METRICS", &metrics),
        ];
        Self { serving: Serving::start(&arguments, &environment), address, metrics }
    }

    pub async fn client(&self) -> Client {
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect().await.unwrap();
        Client(InventoryServiceClient::new(channel))
    }

    /// One of the engine's counters, as an operator sees it.
    pub async fn count(&self, counter: &str) -> u64 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.metrics).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let label = format!("counter=\"{counter}\"");
        let line = text.lines().find(|line| line.contains("chunyun_shard_engine") && line.contains(&label));
        let value = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("no {counter} in {text}"));
        value.parse::<f64>().unwrap() as u64
    }
}

/// Asks a shard.
#[derive(Clone)]
pub struct Client(InventoryServiceClient<Channel>);

impl Client {
    /// Puts a run of four stops on sale, with 1,600 places; holds stand for half an hour.
    pub async fn open_sale(&mut self, train: &str) {
        let now = SystemClock.now().millis();
        let request = OpenSaleRequest {
            run: Some(run(train)),
            request_id: vec![7; 16].into(),
            plan: Some(plan_of_four_stops(now)),
        };
        let opened = async {
            loop {
                match self.0.open_sale(request.clone()).await {
                    Ok(opened) => return opened.into_inner(),
                    // A journal that is slow to answer may leave a doubt: the same request goes on where it was left.
                    Err(status) => match come_again_after(&status) {
                        Some(delay) => tokio::time::sleep(delay).await,
                        None => panic!("{train} is not put on sale: {status}"),
                    },
                }
            }
        };
        let opened = tokio::time::timeout(ON_SALE_WITHIN, opened).await.expect("a train is on sale in time");
        assert_eq!(opened.places, CARRIAGES * PLACES);
    }

    /// Holds a place over the whole way, for a passenger named by the order.
    pub async fn hold(&mut self, train: &str, order: u128, patience: Duration) -> Result<HoldResponse, Status> {
        let mut request = Request::new(HoldRequest {
            run: Some(run(train)),
            hold_id: hold_id(order),
            channel: 1,
            seat_class: SECOND,
            from_stop: 0,
            to_stop: 3,
            passengers: vec![HoldPassenger { person: order.to_be_bytes().to_vec().into(), ..Default::default() }],
            ..Default::default()
        });
        request.set_timeout(patience);
        self.0.hold(request).await.map(tonic::Response::into_inner)
    }

    pub async fn release(&mut self, train: &str, order: u128) -> Result<(), Status> {
        let mut request = Request::new(ReleaseRequest { run: Some(run(train)), hold_id: hold_id(order) });
        request.set_timeout(PATIENCE);
        self.0.release(request).await.map(drop)
    }

    /// The present state of a hold; `None` where there is none.
    pub async fn get_hold(&mut self, train: &str, order: u128, patience: Duration) -> Result<Option<Hold>, Status> {
        let mut request = Request::new(GetHoldRequest { run: Some(run(train)), hold_id: hold_id(order) });
        request.set_timeout(patience);
        match self.0.get_hold(request).await {
            Ok(hold) => {
                let hold = hold.into_inner();
                Ok(Some(if hold.state() == HoldState::Held { Hold::Held(place(&hold.places)) } else { Hold::Released }))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }
}

/// What became of a hold, as its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// On this place.
    Held(String),
    Released,
}

/// The place of a hold of one passenger.
pub fn place(places: &[common::Place]) -> String {
    let place = &places[0];
    format!("{} {}", place.carriage, place.label)
}

/// Whether a status tells its caller to come again, and when.
pub fn says_when_to_come_again(status: &Status) -> bool {
    come_again_after(status).is_some()
}

/// When a status tells its caller to come again, if it does.
fn come_again_after(status: &Status) -> Option<Duration> {
    let details = status.get_error_details();
    let delay = details.retry_info()?.retry_delay?;
    (status.code() == Code::Unavailable && !delay.is_zero()).then_some(delay)
}

/// What clients were told for certain.
#[derive(Default)]
pub struct Acknowledged(HashMap<(String, u128), Hold>);

impl Acknowledged {
    pub fn note(&mut self, train: &str, order: u128, hold: Hold) {
        self.0.insert((train.to_owned(), order), hold);
    }

    /// Nobody knows any more.
    pub fn doubt(&mut self, train: &str, order: u128) {
        self.0.remove(&(train.to_owned(), order));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything that was told is so, and no place was given twice.
    pub async fn is_durable_at(&self, client: &mut Client) {
        let mut places = HashMap::new();
        for ((train, order), told) in &self.0 {
            let stored = client.get_hold(train, *order, PATIENCE).await.unwrap();
            assert_eq!(stored.as_ref(), Some(told), "{train}, order {order}");
            if let Hold::Held(place) = told {
                let other = places.insert((train, place), order);
                assert_eq!(other, None, "{train}: {place} was given to {order} and {other:?}");
            }
        }
    }
}

fn run(train: &str) -> common::Run {
    common::Run { train_code: train.to_owned(), service_date: service_date(), ordinal: 1 }
}

/// Leg 0 of an order.
fn hold_id(order: u128) -> bytes::Bytes {
    order.to_be_bytes().into_iter().chain([0]).collect()
}

/// Stops an hour apart, from tomorrow on; sale opened an hour ago.
fn plan_of_four_stops(now: i64) -> plan::SaleOpened {
    let hour = 3_600_000;
    let stops = (0..4i64).map(|stop| plan::Stop {
        arrival_ms: if stop == 0 { 0 } else { now + (24 + stop) * hour },
        departure_ms: if stop == 3 { 0 } else { now + (24 + stop) * hour + 60_000 },
        sale_opens_ms: now - hour,
        km: stop as u32 * 100,
    });
    let carriage =
        |number| plan::Carriage { number, seat_class: SECOND as u32, layout: "ABC|DF".into(), places: PLACES };
    plan::SaleOpened {
        stops: stops.collect(),
        carriages: (1..=CARRIAGES).map(carriage).collect(),
        terms: Some(plan::SaleTerms {
            cutoff_before_departure_ms: 300_000,
            open_by_ms: 1_800_000,
            payment_ms: 1_800_000,
            hard_limit_ms: 1_800_000,
            offer_ms: 60_000,
            party_max: 5,
            line_max: 100,
        }),
        standing: vec![],
        quotas: Some(plan::QuotaPolicy::default()),
        policy_version: 1,
    }
}
