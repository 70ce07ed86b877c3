//! The fleet's own hold path: a shard as it is deployed, and a gateway's way to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Run;
use futures::StreamExt;
use futures::future::BoxFuture;
use inventory_shard::{Departure, Dependencies, Options, build};
use journal::{ClusterConfig, Journal};
use proto::inventory::v1::{GetBoardRequest, HoldRequest, HoldResponse, OpenSaleRequest, ReleaseRequest};
use proto::journal::v1 as plan;
use rpc::{Clock, Switchboard, SystemClock};
use shard_client::{Discovery, FixedList, HoldLines, ListedShard, ShardRouter, ShardsOptions};
use storage::DatabaseUrl;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use super::Design;
use crate::edge::{Server, connect, serve};
use crate::observed_journal::ObservedJournal;
use crate::plan::{Restart, millis_since};
use crate::workload::{CARRIAGE_PLACES, SEAT_CLASS, STOPS, places, run, wire_run};
use crate::{BenchError, Seats};

/// Trains put on sale, or asked for their boards, at once.
const AT_ONCE: usize = 32;
/// How often a shard is asked that cannot answer for a slot, and the pause between.
const ATTEMPTS_MAX: u32 = 20;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);
/// Longer than any run of the bench: a hold that lapses would be a write nobody asked for.
const OPEN_BY_MS: u32 = 3_600_000;

/// How gateway and shard speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// A call for each request.
    Unary,
    /// One long-lived stream.
    Streamed,
}

/// A shard that owns all slots of a journal.
pub(crate) struct Fleet {
    pub address: String,
    pub journal: Arc<ObservedJournal>,
    server: Server,
    trains: Vec<u32>,
}

impl Fleet {
    /// Makes a journal, starts a shard on it and puts these trains on sale.
    pub async fn start(url: DatabaseUrl, trains: Vec<u32>) -> Result<Self, BenchError> {
        let failed = BenchError::because;
        create_journal(url.clone()).await?;
        let journal = journal::open(&[ClusterConfig::whole(url)]).await;
        let journal = journal.map_err(failed("the journal could not be opened"))?;
        let journal = Arc::new(ObservedJournal::new(journal));
        let (server, address) = start_shard(journal.clone()).await?;
        Routed::connect(&address, Hop::Unary).await?.open_sales(trains.clone()).await?;
        Ok(Self { address, journal, server, trains })
    }

    /// Stops the shard, starts it once more on the same journal, asks every train for its board, and stops it for good.
    pub async fn restart_and_stop(self, design: Design) -> Result<Restart, BenchError> {
        let failed = BenchError::because;
        self.server.stop().await;
        let batches = self.journal.versions().await.map_err(failed("the journal did not answer"))?;
        let begun = Instant::now();
        let (server, address) = start_shard(self.journal.clone()).await?;
        let owned_ms = millis_since(begun);
        let client = connect(&address).await?;
        let asked = futures::stream::iter(self.trains).map(|train| {
            let client = client.clone();
            until_available(move || {
                let mut client = client.clone();
                async move { client.get_board(GetBoardRequest { run: Some(wire_run(train)) }).await }
            })
        });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some(board) = asked.next().await {
            board.map_err(BenchError::because("a train did not come back"))?;
        }
        let answered_ms = millis_since(begun);
        drop(asked);
        server.stop().await;
        self.journal.close().await;
        Ok(Restart { design, batches, owned_ms, answered_ms })
    }
}

/// Makes a journal in an empty database.
pub(crate) async fn create_journal(url: DatabaseUrl) -> Result<(), BenchError> {
    let created = journal::create(&[ClusterConfig::whole(url)]).await;
    created.map_err(BenchError::because("no journal could be made"))
}

async fn start_shard(journal: Arc<ObservedJournal>) -> Result<(Server, String), BenchError> {
    let discovery = FixedList::new(&one_shard(None).list).map_err(BenchError::because("the shard's name"))?;
    let departure = Departure::new();
    let dependencies = Dependencies { journal, discovery: Arc::new(discovery), address: None, departure };
    serve(build(Options::default(), dependencies).map_err(BenchError::because("the shard could not be built"))?).await
}

fn one_shard(address: Option<String>) -> ShardsOptions {
    let shard = ListedShard { name: Options::default().shard, address, weight: 100 };
    ShardsOptions { list: vec![shard], ..ShardsOptions::default() }
}

/// Stops a quarter of an hour apart from tomorrow on; sale opened an hour ago. No quotas: any place for anybody.
fn sale_plan(train: u32, now_ms: i64) -> plan::SaleOpened {
    const HOUR_MS: i64 = 3_600_000;
    let stops = (0..STOPS).map(|stop| {
        let at = now_ms + 24 * HOUR_MS + i64::from(stop) * HOUR_MS / 4;
        plan::Stop {
            arrival_ms: if stop == 0 { 0 } else { at },
            departure_ms: if stop == STOPS - 1 { 0 } else { at + 60_000 },
            sale_opens_ms: now_ms - HOUR_MS,
            km: u32::from(stop) * 80,
        }
    });
    let carriage = |number: u32| plan::Carriage {
        number,
        seat_class: SEAT_CLASS as u32,
        layout: "ABC|DF".to_owned(),
        places: CARRIAGE_PLACES,
    };
    plan::SaleOpened {
        stops: stops.collect(),
        carriages: (1..=places(train) / CARRIAGE_PLACES).map(carriage).collect(),
        terms: Some(plan::SaleTerms {
            cutoff_before_departure_ms: 300_000,
            open_by_ms: OPEN_BY_MS,
            payment_ms: 2 * OPEN_BY_MS,
            hard_limit_ms: 3 * OPEN_BY_MS,
            offer_ms: 10_000,
            party_max: 5,
            line_max: 100,
        }),
        standing: vec![],
        quotas: Some(plan::QuotaPolicy::default()),
        policy_version: 1,
    }
}

/// What a gateway holds: the router, and the lines where the second hop is streamed.
pub(crate) struct Routed {
    router: ShardRouter,
    lines: Option<HoldLines>,
    _lines_up: DropGuard,
}

impl Routed {
    pub async fn connect(address: &str, hop: Hop) -> Result<Self, BenchError> {
        Self::over(&one_shard(Some(address.to_owned())), hop).await
    }

    /// A way to several shards.
    pub async fn over(options: &ShardsOptions, hop: Hop) -> Result<Self, BenchError> {
        let discovery: Arc<dyn Discovery> =
            Arc::new(FixedList::new(&options.list).map_err(BenchError::because("the shard's name"))?);
        let router = ShardRouter::new(options, &*discovery, &Switchboard::new())
            .map_err(BenchError::because("the shard's address"))?;
        let stop = CancellationToken::new();
        let lines = match hop {
            Hop::Unary => None,
            Hop::Streamed => {
                let (lines, driver) = HoldLines::new(router.clone());
                tokio::spawn(driver.run(stop.clone()));
                Some(lines)
            }
        };
        let routed = Self { router, lines, _lines_up: stop.drop_guard() };
        // The first call connects.
        let request = GetBoardRequest { run: Some(wire_run(0)) };
        let first = run(0);
        let asked = routed.router.call(&first, |mut client| {
            let request = request.clone();
            async move { client.get_board(request).await }
        });
        match asked.await {
            Err(status) if status.code() != Code::NotFound => {
                Err(BenchError::because("the shard did not answer")(status))
            }
            // A train that is not on sale is an answer too.
            _ => Ok(routed),
        }
    }

    /// Puts these trains on sale.
    pub async fn open_sales(&self, trains: Vec<u32>) -> Result<(), BenchError> {
        let now_ms = SystemClock.now().millis();
        let opened = futures::stream::iter(trains).map(|train| self.open_sale(train, now_ms));
        let mut opened = opened.buffer_unordered(AT_ONCE);
        while let Some(opened) = opened.next().await {
            opened.map_err(BenchError::because("a train could not be put on sale"))?;
        }
        Ok(())
    }

    async fn open_sale(&self, train: u32, now_ms: i64) -> Result<(), Status> {
        let request = OpenSaleRequest {
            run: Some(wire_run(train)),
            request_id: vec![7; 16].into(),
            plan: Some(sale_plan(train, now_ms)),
        };
        let run = run(train);
        let open = || {
            self.router.call(&run, |mut client| {
                let request = request.clone();
                async move { client.open_sale(request).await }
            })
        };
        until_available(open).await.map(drop)
    }
}

/// Asks until it is answered: an owner claims anew where its disk was slow, and a train that sold a million seats takes long
/// to load.
async fn until_available<T, A: Future<Output = Result<T, Status>>>(ask: impl Fn() -> A) -> Result<T, Status> {
    for _ in 1..ATTEMPTS_MAX {
        match ask().await {
            Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(ATTEMPT_PAUSE).await,
            answer => return answer,
        }
    }
    ask().await
}

impl Seats for Routed {
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        match &self.lines {
            Some(lines) => Box::pin(async move { lines.hold(&run, request).await }),
            None => Box::pin(async move {
                let call = self.router.call(&run, |mut client| {
                    let request = request.clone();
                    async move { client.hold(request).await }
                });
                call.await
            }),
        }
    }

    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        match &self.lines {
            Some(lines) => Box::pin(async move { lines.release(&run, request).await.map(drop) }),
            None => Box::pin(async move {
                let call = self.router.call(&run, |mut client| {
                    let request = request.clone();
                    async move { client.release(request).await }
                });
                call.await.map(drop)
            }),
        }
    }
}
