//! The journal alone: how many events a second it makes durable, against the bare insert of the same rows into a table of
//! the same shape, on the same disk and by turns; and how long a train-date takes to load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Run, ServiceDate, SlotId};
use journal::{AppendOutcome, BatchId, ClusterConfig, Head, Journal, SlotAppend};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Postgres, Sqlite};
use storage::{Database, DatabaseUrl, OpenOptions};

use crate::BenchError;
use crate::databases::new_database;

/// An encoded `Held` of one passenger with its record, in bytes.
const EVENT_BYTES: usize = 150;
/// Events in one batch, and slots in one commit.
const BATCHES: [usize; 5] = [1, 16, 64, 256, 1_024];
/// The two sides take turns, so that what else the machine does hits both.
const TURNS: u32 = 8;
/// Loads of it; the fastest counts, as everything else is somebody else's work.
const LOADS: usize = 10;

/// How fast one engine appends.
#[derive(Clone, Debug)]
pub struct Appending {
    /// Postgres or SQLite.
    pub engine: &'static str,
    /// Slots in one commit.
    pub slots: usize,
    /// Events in each slot's batch.
    pub batch_events: usize,
    /// Through the journal.
    pub events_per_second: f64,
    /// By the bare insert.
    pub bare_per_second: f64,
}

impl Appending {
    /// The journal's speed as a share of the bare insert's.
    pub fn ratio(&self) -> f64 {
        self.events_per_second / self.bare_per_second
    }

    pub(crate) fn shape(&self) -> String {
        if self.slots == 1 { format!("batch of {}", self.batch_events) } else { format!("{} slots", self.slots) }
    }
}

/// How long one engine takes to load a train-date.
#[derive(Clone, Debug)]
pub struct Loading {
    /// Postgres or SQLite.
    pub engine: &'static str,
    /// Events in each of its batches.
    pub batch_events: usize,
    /// In ms.
    pub millis: f64,
}

/// Measures a journal on SQLite, and on Postgres where there is a server. Each comparison takes about
/// `time`, half of it for each side; the train-date that is loaded has
/// `loaded_events`.
///
/// # Errors
/// When an engine fails.
pub async fn measure(
    postgres: Option<&str>,
    time: Duration,
    loaded_events: usize,
    mut progress: impl FnMut(&str),
) -> Result<(Vec<Appending>, Vec<Loading>), BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::because("no folder for SQLite"))?;
    let folder = folder.path();
    let mut engines = vec![("SQLite", DatabaseUrl::sqlite(folder.join("appending.db")))];
    let mut bare = vec![DatabaseUrl::sqlite(folder.join("bare.db"))];
    if let Some(server) = postgres {
        let parsed = |url: String| url.parse().map_err(BenchError::because("an address of Postgres that is none"));
        engines.push(("Postgres", parsed(new_database(server, "appending").await?)?));
        bare.push(parsed(new_database(server, "bare").await?)?);
    }
    let (mut appending, mut loading) = (Vec::new(), Vec::new());
    for ((engine, url), bare) in engines.into_iter().zip(bare) {
        let clusters = [ClusterConfig::whole(url)];
        journal::create(&clusters).await.map_err(BenchError::because("no journal could be made"))?;
        let journal = journal::open(&clusters).await.map_err(BenchError::because("no journal could be opened"))?;
        let mut bare = BareTable::create(&bare).await?;
        let one_slot = BATCHES.map(|events| (1, events));
        let many_slots = BATCHES.map(|slots| (slots, 1));
        for (slots, events) in one_slot.into_iter().chain(many_slots.into_iter().skip(1)) {
            progress(&format!("appending on {engine}: {slots} slots, {events} events"));
            appending.push(compare(engine, &journal, &mut bare, slots, events, time).await?);
        }
        for events in [1, 16, 64] {
            progress(&format!("loading on {engine}"));
            loading.push(Loading {
                engine,
                batch_events: events,
                millis: load(&*journal, loaded_events, events).await?,
            });
        }
        journal.close().await;
        bare.close().await;
    }
    Ok((appending, loading))
}

/// Appends and bare inserts by turns.
async fn compare(
    engine: &'static str,
    journal: &Arc<dyn Journal>,
    bare: &mut BareTable,
    slots: usize,
    events: usize,
    time: Duration,
) -> Result<Appending, BenchError> {
    let payload = Bytes::from(vec![0x5a; EVENT_BYTES * events]);
    let mut writer = Writer::claim(journal.clone(), slots).await?;
    let (mut appended, mut inserted) = (0, 0);
    let (mut appending, mut inserting) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        let begun = Instant::now();
        while begun.elapsed() < time / TURNS / 2 {
            writer.append(&payload).await?;
            appended += slots * events;
        }
        appending += begun.elapsed();
        let begun = Instant::now();
        while begun.elapsed() < time / TURNS / 2 {
            bare.insert(slots, &payload).await.map_err(BenchError::because("a bare insert failed"))?;
            inserted += slots * events;
        }
        inserting += begun.elapsed();
    }
    Ok(Appending {
        engine,
        slots,
        batch_events: events,
        events_per_second: appended as f64 / appending.as_secs_f64(),
        bare_per_second: inserted as f64 / inserting.as_secs_f64(),
    })
}

/// One owner of some slots, with the heads it believes in and a run on each.
struct Writer {
    journal: Arc<dyn Journal>,
    slots: Vec<(SlotId, Head, Run)>,
}

impl Writer {
    async fn claim(journal: Arc<dyn Journal>, slots: usize) -> Result<Self, BenchError> {
        let ids: Vec<_> = SlotId::all().take(slots).collect();
        let claimed = journal.claim(&ids, "bench", 1).await.map_err(BenchError::because("no slot could be claimed"))?;
        let slots = claimed.into_iter().map(|one| (one.slot, one.head, run_of(one.slot))).collect();
        Ok(Self { journal, slots })
    }

    async fn append(&mut self, payload: &Bytes) -> Result<(), BenchError> {
        let append = |(slot, head, run): &(SlotId, Head, Run)| SlotAppend {
            slot: *slot,
            expected: *head,
            batch_id: BatchId::from_u128(rand::random()),
            payload: payload.clone(),
            runs: vec![*run],
        };
        let appends: Vec<_> = self.slots.iter().map(append).collect();
        let ids: Vec<_> = appends.iter().map(|append| append.batch_id).collect();
        let outcomes = self.journal.append(appends).await;
        for (((_, head, _), id), outcome) in self.slots.iter_mut().zip(ids).zip(outcomes) {
            let AppendOutcome::Committed { version, chain, .. } = outcome else {
                return Err(BenchError::new(format!("an append came to {outcome:?}")));
            };
            *head = Head { version, tail: id, epoch: head.epoch, chain };
        }
        Ok(())
    }
}

/// A run that falls on a slot.
fn run_of(slot: SlotId) -> Run {
    let date = ServiceDate::from_days(20_800).expect("a day of 2026");
    let mut runs = (1..).map(|number| Run::first(format!("G{number}").parse().expect("a letter and digits"), date));
    runs.find(|run| run.slot() == slot).expect("every slot has runs")
}

/// Appends a run of so many events and loads it, in ms.
async fn load(journal: &dyn Journal, events: usize, batch_events: usize) -> Result<f64, BenchError> {
    let slot = SlotId::new(1_000 + u16::try_from(batch_events % 24).unwrap_or(0)).expect("below 1,024");
    let run = run_of(slot);
    let claimed = journal.claim(&[slot], "bench", 1).await.map_err(BenchError::because("no slot could be claimed"))?;
    let mut head = claimed[0].head;
    let first = head.version;
    let payload = Bytes::from(vec![0x5a; EVENT_BYTES * batch_events]);
    for _ in 0..events / batch_events {
        let batch_id = BatchId::from_u128(rand::random());
        let append = SlotAppend { slot, expected: head, batch_id, payload: payload.clone(), runs: vec![run] };
        let advanced = head.advanced(slot, batch_id, &payload);
        match journal.append(vec![append]).await.as_slice() {
            [AppendOutcome::Committed { .. }] => head = advanced,
            other => return Err(BenchError::new(format!("an append came to {other:?}"))),
        }
    }
    let mut best = f64::MAX;
    for _ in 0..LOADS {
        let begun = Instant::now();
        let history = journal.load_run(&run).await.map_err(BenchError::because("a run could not be loaded"))?;
        best = best.min(begun.elapsed().as_secs_f64() * 1e3);
        let expected = head.version - first;
        if history.batches.iter().filter(|batch| batch.version > first).count() as u64 != expected {
            return Err(BenchError::new("a loaded run has not all its batches"));
        }
    }
    Ok(best)
}

/// A table as the journal's batches have it, without anything that fences, and the one connection that fills it: a pool would
/// ask it how it is before and after every insert.
struct BareTable {
    database: Database,
    connection: BareConnection,
    /// Versions count up for ever.
    version: i64,
}

enum BareConnection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl BareTable {
    async fn create(url: &DatabaseUrl) -> Result<Self, BenchError> {
        let database = Database::open(url, &OpenOptions::default())
            .await
            .map_err(BenchError::because("no database for bare inserts"))?;
        let connection = Self::make(&database).await.map_err(BenchError::because("no table for bare inserts"))?;
        Ok(Self { database, connection, version: 0 })
    }

    async fn make(database: &Database) -> Result<BareConnection, sqlx::Error> {
        match database {
            Database::Sqlite(database) => {
                let mut connection = database.writer().acquire().await?;
                let make =
                    "CREATE TABLE bare (seq INTEGER PRIMARY KEY, slot INTEGER NOT NULL, version INTEGER NOT NULL,
                    epoch INTEGER NOT NULL, time_ms INTEGER NOT NULL, batch_id BLOB NOT NULL, previous_id BLOB NOT NULL,
                    chain BLOB NOT NULL, payload BLOB NOT NULL, runs TEXT NOT NULL, UNIQUE (slot, version)) STRICT";
                sqlx::raw_sql(make).execute(&mut *connection).await?;
                Ok(BareConnection::Sqlite(connection))
            }
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                let make = "CREATE TABLE bare (version int8 NOT NULL, epoch int8 NOT NULL, time_ms int8 NOT NULL,
                    slot int4 NOT NULL, batch_id bytea NOT NULL, previous_id bytea NOT NULL, chain bytea NOT NULL,
                    payload bytea NOT NULL, runs text NOT NULL, PRIMARY KEY (slot, version))
                    WITH (toast_tuple_target = 8160);
                    ALTER TABLE bare ALTER COLUMN payload SET STORAGE EXTERNAL";
                sqlx::raw_sql(make).execute(&mut *connection).await?;
                Ok(BareConnection::Postgres(connection))
            }
        }
    }

    /// One commit of one row for each slot.
    async fn insert(&mut self, slots: usize, payload: &Bytes) -> Result<(), sqlx::Error> {
        const RUNS: &str = "[\"G1234@2026-12-13\"]";
        self.version += 1;
        let numbers = 0..i32::try_from(slots).unwrap_or(i32::MAX);
        match &mut self.connection {
            BareConnection::Sqlite(connection) => {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                let numbers: Vec<_> = numbers.map(|slot| slot.to_string()).collect();
                sqlx::query(
                    "INSERT INTO bare (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload, runs)
                     SELECT value, ?2, 1, 1, ?3, ?3, ?4, ?5, ?6 FROM json_each(?1)",
                )
                .bind(format!("[{}]", numbers.join(",")))
                .bind(self.version)
                .bind(&[1u8; 16][..])
                .bind(&[2u8; 32][..])
                .bind(&payload[..])
                .bind(RUNS)
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await
            }
            BareConnection::Postgres(connection) => sqlx::query(
                "INSERT INTO bare (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload, runs)
                     SELECT slot, $2, 1, 1, $3, $3, $4, payload, $6
                     FROM unnest($1::int4[], $5::bytea[]) AS sent (slot, payload)",
            )
            .bind(numbers.collect::<Vec<_>>())
            .bind(self.version)
            .bind(&[1u8; 16][..])
            .bind(&[2u8; 32][..])
            .bind(vec![&payload[..]; slots])
            .bind(RUNS)
            .execute(&mut **connection)
            .await
            .map(drop),
        }
    }

    async fn close(self) {
        drop(self.connection);
        self.database.close().await;
    }
}
