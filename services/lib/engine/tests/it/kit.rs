//! Journals of both engines, a train on sale, and a journal that can be made to fail.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Channel, HoldId, Interval, PersonToken, Run, SeatClass, SlotId, Time};
use engine::{Decision, Engine, EngineError, EngineHandle, EngineOptions, Outcome};
use inventory::{
    Answer, Carriage, Command, HoldRequest, Passenger, Plan, PlanStop, QuotaPolicy, RequestId, SaleTerms, Together,
};
use journal::{
    AppendOutcome, Checkpoint, Claimed, ClusterConfig, FeedBatch, FreeClaim, Head, Heartbeat, Journal, JournalError,
    RunHistory, SlotAppend, SlotEpoch, Snapshot,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use storage::DatabaseUrl;
use tempfile::TempDir;
use tokio::sync::watch;

pub const WAIT: Duration = Duration::from_secs(10);

/// Where a test's journal is; gone when dropped, as far as it is a file.
pub struct Backend {
    clusters: [ClusterConfig; 1],
    pub postgres_url: String,
    _folder: Option<TempDir>,
}

impl Backend {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(folder.path().join("journal.db"));
        Self { clusters: [ClusterConfig::whole(url)], postgres_url: String::new(), _folder: Some(folder) }
    }

    /// A new database on the server of `CHUNYUN_TEST_POSTGRES`; `None`, loudly, where there is none.
    pub async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
            eprintln!("SKIPPED the engine on postgres: CHUNYUN_TEST_POSTGRES is not set");
            return None;
        };
        let postgres_url = new_database(&server).await;
        Some(Self { clusters: [ClusterConfig::whole(postgres_url.parse().unwrap())], postgres_url, _folder: None })
    }

    /// Creates the journal and opens it.
    pub async fn new_journal(&self) -> Arc<dyn Journal> {
        journal::create(&self.clusters).await.unwrap();
        self.open().await
    }

    pub async fn open(&self) -> Arc<dyn Journal> {
        journal::open(&self.clusters).await.unwrap()
    }

    /// The journal, reached by another address of its server over so many connections.
    pub async fn open_at(&self, address: SocketAddr, connections_max: u32) -> Arc<dyn Journal> {
        let (user, rest) = self.postgres_url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        let mut cluster = ClusterConfig::whole(format!("{user}@{address}/{database}").parse().unwrap());
        cluster.options.acquire_timeout_ms = 300;
        cluster.options.connections_max = connections_max;
        journal::open(&[cluster]).await.unwrap()
    }

    /// The address of the Postgres server.
    pub fn server(&self) -> SocketAddr {
        let (_, rest) = self.postgres_url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.parse().unwrap()
    }
}

async fn new_database(server: &str) -> String {
    let name = format!("engine_{:x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// Runs a test of this module on every backend.
macro_rules! on_every_backend {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::kit::Backend::sqlite()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(backend) = crate::kit::Backend::postgres().await {
                    super::$name(&backend).await;
                }
            })*
        }
    };
}
pub(crate) use on_every_backend;

pub fn run(train: &str) -> Run {
    format!("{train}@2036-12-01").parse().unwrap()
}

/// An engine that owns the slots of these runs.
pub async fn start(journal: Arc<dyn Journal>, name: &str, runs: &[Run]) -> Engine {
    start_with(journal, EngineOptions::named(name), runs).await
}

pub async fn start_with(journal: Arc<dyn Journal>, options: EngineOptions, runs: &[Run]) -> Engine {
    let engine = Engine::start(journal, options);
    engine.handle().own(slots(runs)).await;
    tokio::time::timeout(WAIT, engine.handle().owned()).await.unwrap();
    engine
}

pub fn slots(runs: &[Run]) -> BTreeSet<SlotId> {
    runs.iter().map(Run::slot).collect()
}

/// Four stops, so many second-class seats, on sale since 2001, departing in 2036; holds wait `open_by_ms` for an order.
pub fn plan(places: u16, open_by_ms: u32) -> Plan {
    let departs = |stop: i64| Time::from_millis(2_110_000_000_000 + stop * 3_600_000);
    let stop = |i: i64| PlanStop {
        arrival: (i > 0).then(|| departs(i).plus_millis(-120_000)),
        departure: (i < 3).then(|| departs(i)),
        sale_opens: Time::from_millis(1_000_000_000_000),
        km: i as u32 * 100,
    };
    let carriage = Carriage { number: 1, class: SeatClass::Second, layout: "ABC|DF".to_owned(), places };
    Plan {
        stops: (0..4).map(stop).collect(),
        carriages: vec![carriage],
        terms: SaleTerms { open_by_ms, ..SaleTerms::default() },
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    }
}

pub async fn open_sale(engine: &EngineHandle, run: Run, places: u16, open_by_ms: u32) {
    let command = Command::OpenSale { request: RequestId(1), plan: Box::new(plan(places, open_by_ms)) };
    let decision = engine.submit(run, None, command, WAIT).await.unwrap();
    assert_eq!(decision.outcome, Outcome::Accepted(Answer::SaleOpened));
}

pub fn hold_id(number: u128) -> HoldId {
    HoldId { owner: number, leg: 0 }
}

/// One passenger from the first stop to the last.
pub fn hold(number: u128) -> Command {
    Command::Hold(HoldRequest {
        hold: hold_id(number),
        channel: Channel::Online,
        class: SeatClass::Second,
        interval: Interval::new(0, 3).unwrap(),
        passengers: [Passenger::new(PersonToken(number.to_be_bytes()))].into_iter().collect(),
        together: Together::Preferred,
        allow_standing: false,
        allow_seat_change: false,
    })
}

pub async fn submit(engine: &EngineHandle, run: Run, command: Command) -> Result<Decision, EngineError> {
    engine.submit(run, None, command, WAIT).await
}

/// How many seats are free from the first stop to the last.
pub async fn free_seats(engine: &EngineHandle, run: Run) -> u16 {
    let look = |train: &inventory::TrainDate| train.free_count(SeatClass::Second, Interval::new(0, 3).unwrap());
    engine.read(run, WAIT, look).await.unwrap().value
}

/// Writes a record that no train-date can follow: a seat is given back that nobody has.
pub async fn damage(journal: &Arc<dyn Journal>, run: Run) {
    let claimed = journal.claim(&[run.slot()], "vandal", 1).await.unwrap().remove(0);
    let release = Command::Release { hold: hold_id(7) };
    let meta = inventory::CommandMeta::of(&release, claimed.time);
    let mut batch = inventory::encoding::BatchWriter::new();
    batch.push(&run, &meta, None, &[inventory::Event::Released { hold: hold_id(7) }]);
    let append = SlotAppend {
        slot: run.slot(),
        expected: claimed.head,
        batch_id: journal::BatchId::from_u128(1),
        payload: batch.finish().into(),
        runs: vec![run],
    };
    assert!(matches!(journal.append(vec![append]).await[..], [AppendOutcome::Committed { .. }]));
}

/// Two runs of one slot.
pub fn neighbours() -> (Run, Run) {
    let one = run("G1");
    let other = (2..).map(|number| run(&format!("G{number}"))).find(|other| other.slot() == one.slot()).unwrap();
    (one, other)
}

/// Waits until something is so.
pub async fn wait_until(reached: impl Fn() -> bool) {
    let poll = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, poll).await.expect("reached in time");
}

/// What a [`FaultyJournal`] does with what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// Answers nothing until the fault is gone; then passes on what has waited.
    Frozen,
    /// Passes everything on after so long.
    Slow(Duration),
    /// Answers every call with an error, and does nothing.
    Down,
}

/// A journal between an engine and the real one.
#[derive(Debug)]
pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    fault: watch::Receiver<Fault>,
}

impl FaultyJournal {
    pub fn over(inner: Arc<dyn Journal>) -> (Arc<Self>, watch::Sender<Fault>) {
        let (sender, fault) = watch::channel(Fault::None);
        (Arc::new(Self { inner, fault }), sender)
    }

    async fn pass(&self) -> Result<(), JournalError> {
        let mut fault = self.fault.clone();
        let now = *fault.wait_for(|fault| *fault != Fault::Frozen).await.unwrap();
        match now {
            Fault::Down => return Err(JournalError::Closed),
            Fault::Slow(pause) => tokio::time::sleep(pause).await,
            Fault::None | Fault::Frozen => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, appends: Vec<SlotAppend>) -> Vec<AppendOutcome> {
        match self.pass().await {
            Ok(()) => self.inner.append(appends).await,
            Err(error) => {
                let error = Arc::new(error);
                appends.iter().map(|_| AppendOutcome::Unknown { error: error.clone() }).collect()
            }
        }
    }

    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError> {
        self.pass().await?;
        self.inner.claim(slots, owner, nonce).await
    }

    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError> {
        self.pass().await?;
        self.inner.claim_free(slots, owner, nonce).await
    }

    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError> {
        self.pass().await?;
        self.inner.give_up(slots).await
    }

    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError> {
        self.pass().await?;
        self.inner.heartbeat(slots).await
    }

    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError> {
        self.pass().await?;
        self.inner.heads(slots).await
    }

    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError> {
        self.pass().await?;
        self.inner.feed_positions(slots).await
    }

    async fn read_feed(
        &self,
        slot: SlotId,
        after_version: u64,
        batches_max: u32,
    ) -> Result<Vec<FeedBatch>, JournalError> {
        self.pass().await?;
        self.inner.read_feed(slot, after_version, batches_max).await
    }

    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError> {
        self.pass().await?;
        self.inner.load_run(run).await
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.pass().await?;
        self.inner.put_snapshot(snapshot).await
    }

    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.inner.checkpoint(slot).await
    }

    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.pass().await?;
        self.inner.latest_checkpoint(slot).await
    }

    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError> {
        self.inner.purge(slot, up_to_version).await
    }

    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.pass().await?;
        self.inner.runs_of(slot).await
    }

    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.inner.runs_without_snapshot(slot).await
    }

    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError> {
        self.inner.purgeable(committed_before).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
