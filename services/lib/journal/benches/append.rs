//! How many events a second the journal makes durable, against the bare INSERT of the same rows, on the same disk in the
//! same run. On SQLite always, on Postgres where `CHUNYUN_TEST_POSTGRES` names a server.
//!
//! `cargo bench -p journal --bench append`

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first thing that goes wrong")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Run, ServiceDate, SlotId};
use journal::{AppendOutcome, BatchId, ClusterConfig, Head, Journal, SlotAppend, create, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use storage::{Database, DatabaseUrl, OpenOptions};

/// An encoded `Held` of one passenger with its record, in bytes.
const EVENT_BYTES: usize = 150;
const BATCHES: [usize; 5] = [1, 16, 64, 256, 1_024];
/// The two sides take turns, so that what else the machine does hits both.
const TURNS: u32 = 8;
const TURN: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let raw =
        Database::open(&DatabaseUrl::sqlite(folder.path().join("raw.db")), &OpenOptions::default()).await.unwrap();
    report("sqlite", DatabaseUrl::sqlite(folder.path().join("journal.db")), raw).await;

    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        println!("SKIPPED postgres: CHUNYUN_TEST_POSTGRES is not set");
        return;
    };
    let name = format!("journal_bench_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let url: DatabaseUrl = format!("{}/{name}", &server[..server.rfind('/').unwrap()]).parse().unwrap();
    let raw = Database::open(&url, &OpenOptions::default()).await.unwrap();
    report("postgres", url, raw).await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut connection).await.unwrap();
}

async fn report(engine: &str, url: DatabaseUrl, raw: Database) {
    let clusters = [ClusterConfig::whole(url)];
    create(&clusters).await.unwrap();
    let journal = open(&clusters).await.unwrap();
    make_raw_table(&raw).await;

    println!("{engine}: events in the one batch of one slot, one commit after the other");
    for events in BATCHES {
        compare(&journal, &raw, 1, events).await;
    }
    println!("{engine}: slots in one commit, one event each");
    for slots in &BATCHES[1..] {
        compare(&journal, &raw, *slots, 1).await;
    }
    for events in [1, 16, 64] {
        cold_load(&*journal, events).await;
    }
    journal.close().await;
    raw.close().await;
}

/// Appends and bare inserts by turns; prints both rates and their ratio.
async fn compare(journal: &Arc<dyn Journal>, raw: &Database, slots: usize, events: usize) {
    let payload = Bytes::from(vec![0x5a; EVENT_BYTES * events]);
    let mut writer = Writer::claim(journal.clone(), slots).await;
    let (mut appended, mut inserted) = (0, 0);
    for _ in 0..TURNS {
        let end = Instant::now() + TURN;
        while Instant::now() < end {
            writer.append(&payload).await;
            appended += slots * events;
        }
        let end = Instant::now() + TURN;
        while Instant::now() < end {
            insert_raw(raw, slots, &payload).await;
            inserted += slots * events;
        }
    }
    let seconds = (TURN * TURNS).as_secs_f64();
    let rate = |count: usize| count as f64 / seconds;
    let ratio = rate(appended) / rate(inserted);
    println!(
        "  {:>5} : {:>9.0} events/s, bare insert {:>9.0} events/s, ratio {ratio:.2}",
        slots.max(events),
        rate(appended),
        rate(inserted)
    );
}

/// One owner of some slots, with the heads it believes in and a run on each.
struct Writer {
    journal: Arc<dyn Journal>,
    slots: Vec<(SlotId, Head, Run)>,
    batches: u128,
}

impl Writer {
    async fn claim(journal: Arc<dyn Journal>, slots: usize) -> Self {
        let ids: Vec<_> = SlotId::all().take(slots).collect();
        let claimed = journal.claim(&ids, "bench", 1).await.unwrap();
        let slots = claimed.into_iter().map(|one| (one.slot, one.head, run_of(one.slot, 0))).collect();
        Self { journal, slots, batches: u128::from(rand::random::<u64>()) << 64 }
    }

    async fn append(&mut self, payload: &Bytes) {
        let batches = &mut self.batches;
        let appends: Vec<_> = self
            .slots
            .iter()
            .map(|(slot, head, run)| {
                *batches += 1;
                let batch_id = BatchId::from_u128(*batches);
                SlotAppend { slot: *slot, expected: *head, batch_id, payload: payload.clone(), runs: vec![*run] }
            })
            .collect();
        let ids: Vec<_> = appends.iter().map(|append| append.batch_id).collect();
        let outcomes = self.journal.append(appends).await;
        for (((_, head, _), id), outcome) in self.slots.iter_mut().zip(ids).zip(outcomes) {
            let AppendOutcome::Committed { version, chain, .. } = outcome else { panic!("{outcome:?}") };
            *head = Head { version, tail: id, epoch: head.epoch, chain };
        }
    }
}

/// The `index`th run that falls on a slot.
fn run_of(slot: SlotId, index: usize) -> Run {
    let date = ServiceDate::from_days(20_800).unwrap();
    let runs = (1..).map(|number| Run::first(format!("G{number}").parse().unwrap(), date));
    runs.filter(|run| run.slot() == slot).nth(index).unwrap()
}

/// Reads a run of 5,000 events that nobody has in memory.
async fn cold_load(journal: &dyn Journal, events: usize) {
    let slot = SlotId::new(1_000).unwrap();
    let run = run_of(slot, events);
    let mut head = journal.claim(&[slot], "bench", 1).await.unwrap()[0].head;
    let payload = Bytes::from(vec![0x5a; EVENT_BYTES * events]);
    for _ in 0..5_000 / events {
        let batch_id = BatchId::from_u128(rand::random());
        let append = SlotAppend { slot, expected: head, batch_id, payload: payload.clone(), runs: vec![run] };
        let advanced = head.advanced(slot, batch_id, &payload);
        let outcome = journal.append(vec![append]).await.remove(0);
        assert!(matches!(outcome, AppendOutcome::Committed { .. }), "{outcome:?}");
        head = advanced;
    }
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        let history = journal.load_run(&run).await.unwrap();
        best = best.min(begun.elapsed());
        assert_eq!(history.batches.len(), 5_000 / events);
    }
    println!("  load a run of 5,000 events in batches of {events}: {:.2} ms", best.as_secs_f64() * 1_000.0);
}

async fn make_raw_table(raw: &Database) {
    match raw {
        Database::Sqlite(database) => {
            sqlx::raw_sql(
                "CREATE TABLE raw (seq INTEGER PRIMARY KEY, slot INTEGER, version INTEGER, epoch INTEGER, time_ms INTEGER,
                    batch_id BLOB, previous_id BLOB, chain BLOB, payload BLOB)",
            )
            .execute(database.writer())
            .await
            .unwrap();
        }
        Database::Postgres(pool) => {
            sqlx::raw_sql(
                "CREATE TABLE raw (seq bigserial PRIMARY KEY, slot int4, version int8, epoch int8, time_ms int8,
                    batch_id bytea, previous_id bytea, chain bytea, payload bytea);
                 ALTER TABLE raw ALTER COLUMN payload SET STORAGE EXTERNAL",
            )
            .execute(pool)
            .await
            .unwrap();
        }
    }
}

/// The bare statement: rows as large as the journal's, no fence, no heads, no index beyond the key.
async fn insert_raw(raw: &Database, slots: usize, payload: &Bytes) {
    match raw {
        Database::Sqlite(database) => insert_raw_sqlite(database.writer(), slots, payload).await,
        Database::Postgres(pool) => {
            sqlx::query(
                "INSERT INTO raw (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload)
                 SELECT slot, 1, 1, 1, $2, $2, $3, payload FROM unnest($1::int4[], $4::bytea[]) AS sent (slot, payload)",
            )
            .bind((0..slots as i32).collect::<Vec<_>>())
            .bind(&[1u8; 16][..])
            .bind(&[2u8; 32][..])
            .bind(vec![&payload[..]; slots])
            .execute(pool)
            .await
            .unwrap();
        }
    }
}

async fn insert_raw_sqlite(pool: &sqlx::SqlitePool, slots: usize, payload: &Bytes) {
    let mut connection = pool.acquire().await.unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let insert = "INSERT INTO raw (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload)
                  SELECT value, 1, 1, 1, ?2, ?2, ?3, ?4 FROM json_each(?1)";
    sqlx::query(insert)
        .bind(format!("[{}]", (0..slots).map(|slot| slot.to_string()).collect::<Vec<_>>().join(",")))
        .bind(&[1u8; 16][..])
        .bind(&[2u8; 32][..])
        .bind(&payload[..])
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}
