//! The journal in one SQLite file: one writer for the whole process, whose commits take in whatever was asked for during
//! the last one.

mod append;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::{Run, SlotId, Time};
use sqlx::{Connection, Sqlite, SqliteConnection};
use storage::{GroupWriter, GroupWriterOptions, SqliteDatabase};

use crate::rows::{self, in_order, number_column};
use crate::run_steps::sqlite as run_steps;
use crate::steps::sqlite as steps;
use crate::time::WallClock;
use crate::types::check_appends;
use crate::{
    AppendOutcome, Checkpoint, Claimed, FeedBatch, FreeClaim, Head, Heartbeat, Journal, JournalError, RunHistory,
    SlotAppend, SlotEpoch, Snapshot,
};

/// How many batches one transaction of a purge deletes: appends wait no longer than that takes.
const PURGE_BATCHES_MAX: u32 = 1_000;

#[derive(Debug)]
pub(crate) struct SqliteJournal {
    database: SqliteDatabase,
    writer: GroupWriter<Sqlite>,
    clock: Arc<WallClock>,
}

/// A slot's head and who owns it.
#[derive(Clone, Debug)]
struct HeadRow {
    head: Head,
    owner: Option<String>,
}

impl SqliteJournal {
    /// A journal over an open file that was checked.
    pub(crate) async fn open(database: SqliteDatabase) -> Result<Self, JournalError> {
        let wall_ms = read_wall_clock(&mut *database.readers().acquire().await?).await?;
        let clock = Arc::new(WallClock::start(wall_ms, Instant::now()));
        let writer = GroupWriter::start(database.writer().clone(), GroupWriterOptions::default());
        Ok(Self { database, writer, clock })
    }

    async fn read_heads(&self, slots: &[SlotId]) -> Result<(HashMap<SlotId, HeadRow>, Time), JournalError> {
        let mut connection = self.database.readers().acquire().await?;
        read_heads(&mut connection, &self.clock, slots).await
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, mut appends: Vec<SlotAppend>) -> Vec<AppendOutcome> {
        let advanced = check_appends(&mut appends);
        let appends = Arc::new(appends);
        let clock = self.clock.clone();
        let given = appends.clone();
        let written = self
            .writer
            .submit_whole(move |connection, standing| {
                Box::pin(async move { append::append(connection, standing, &clock, &given, &advanced).await })
            })
            .await;
        written.unwrap_or_else(|error| rows::all_unknown(&appends, error.into()))
    }

    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError> {
        let (slots, owner, clock) = (slots.to_vec(), owner.to_owned(), self.clock.clone());
        let claimed = self
            .writer
            .submit(move |connection| Box::pin(async move { claim(connection, &clock, &slots, &owner, nonce).await }))
            .await?;
        Ok(claimed)
    }

    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError> {
        // Asked again and again until the present owners give up: those who sell must not wait for a writer that looks.
        let (heads, _) = self.read_heads(slots).await?;
        let held_by_another = |row: HeadRow| row.owner.filter(|holder| holder != owner);
        let holders: Option<Vec<String>> = in_order(slots, &heads)?.into_iter().map(held_by_another).collect();
        if let Some(holders) = holders {
            return Ok(holders.into_iter().map(|owner| FreeClaim::Held { owner }).collect());
        }
        let (slots, owner, clock) = (slots.to_vec(), owner.to_owned(), self.clock.clone());
        let claimed = self
            .writer
            .submit(move |connection| {
                Box::pin(async move { claim_free(connection, &clock, &slots, &owner, nonce).await })
            })
            .await?;
        Ok(claimed)
    }

    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError> {
        let slots = slots.to_vec();
        self.writer.submit(move |connection| Box::pin(async move { give_up(connection, &slots).await })).await?;
        Ok(())
    }

    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError> {
        let asked: Vec<_> = slots.iter().map(|held| held.slot).collect();
        let (heads, time) = self.read_heads(&asked).await?;
        let is_lost = |held: &&SlotEpoch| heads.get(&held.slot).is_none_or(|row| row.head.epoch != held.epoch);
        Ok(Heartbeat { time, lost: slots.iter().filter(is_lost).map(|held| held.slot).collect() })
    }

    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError> {
        let (heads, _) = self.read_heads(slots).await?;
        Ok(in_order(slots, &heads)?.into_iter().map(|row| row.head).collect())
    }

    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError> {
        let found: Vec<(i32, i64)> =
            sqlx::query_as("SELECT slot, version FROM slot_head").fetch_all(self.database.readers()).await?;
        let read = |(slot, version)| Ok((rows::slot(slot)?, rows::number(version)?));
        let versions = found.into_iter().map(read).collect::<Result<_, JournalError>>()?;
        in_order(slots, &versions)
    }

    async fn read_feed(
        &self,
        slot: SlotId,
        after_version: u64,
        batches_max: u32,
    ) -> Result<Vec<FeedBatch>, JournalError> {
        let mut connection = self.database.readers().acquire().await?;
        let mut transaction = connection.begin().await?;
        steps::read_feed(&mut transaction, slot, after_version, batches_max).await
    }

    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError> {
        let mut connection = self.database.readers().acquire().await?;
        let mut transaction = connection.begin().await?;
        run_steps::load_run(&mut transaction, run).await
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        let snapshot = snapshot.clone();
        self.writer
            .submit(move |connection| Box::pin(async move { steps::put_snapshot(connection, &snapshot).await }))
            .await?;
        Ok(())
    }

    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        Ok(self.writer.submit(move |connection| Box::pin(steps::checkpoint(connection, slot))).await?)
    }

    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        let mut connection = self.database.readers().acquire().await?;
        let mut transaction = connection.begin().await?;
        steps::latest_checkpoint(&mut transaction, slot).await
    }

    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError> {
        self.writer.submit(move |connection| Box::pin(steps::begin_purge(connection, slot, up_to_version))).await?;
        let mut deleted = 0;
        loop {
            let some = self
                .writer
                .submit(move |connection| {
                    Box::pin(steps::purge_some(connection, slot, up_to_version, PURGE_BATCHES_MAX))
                })
                .await?;
            deleted += some;
            if some == 0 {
                return Ok(deleted);
            }
        }
    }

    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        run_steps::runs_of(&mut *self.database.readers().acquire().await?, slot).await
    }

    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        run_steps::runs_without_snapshot(&mut *self.database.readers().acquire().await?, slot).await
    }

    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError> {
        steps::purgeable(&mut *self.database.readers().acquire().await?, committed_before).await
    }

    async fn close(&self) {
        self.writer.shutdown().await;
        self.database.close().await;
    }
}

/// Slots as the JSON array that SQLite's `json_each` reads.
fn json_array(slots: impl Iterator<Item = SlotId>) -> String {
    let numbers: Vec<_> = slots.map(|slot| slot.number().to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// The heads of slots, and the time, which is no earlier than the time of any of their batches.
async fn read_heads(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    slots: &[SlotId],
) -> Result<(HashMap<SlotId, HeadRow>, Time), JournalError> {
    type Row = (i32, i64, i64, Vec<u8>, Vec<u8>, Option<String>, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(include_str!("queries/sqlite/heads.sql"))
        .bind(json_array(slots.iter().copied()))
        .fetch_all(&mut *connection)
        .await?;
    let wall_ms = match rows.first() {
        Some(row) => row.7,
        None => read_wall_clock(connection).await?,
    };
    let mut time = clock.observe(wall_ms, Instant::now());
    let mut heads = HashMap::with_capacity(rows.len());
    for (slot, version, epoch, tail, chain, owner, time_ms, _) in rows {
        time = time.max(Time::from_millis(time_ms));
        let head = rows::head(version, epoch, &tail, &chain)?;
        heads.insert(rows::slot(slot)?, HeadRow { head, owner });
    }
    Ok((heads, time))
}

async fn read_wall_clock(connection: &mut SqliteConnection) -> Result<i64, JournalError> {
    let sql = "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

async fn claim(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    slots: &[SlotId],
    owner: &str,
    nonce: u128,
) -> Result<Vec<Claimed>, JournalError> {
    let (heads, time) = read_heads(connection, clock, slots).await?;
    let before = in_order(slots, &heads)?;
    sqlx::query(include_str!("queries/sqlite/claim.sql"))
        .bind(json_array(slots.iter().copied()))
        .bind(owner)
        .bind(&nonce.to_be_bytes()[..])
        .execute(connection)
        .await?;
    let claimed = |(slot, row): (&SlotId, HeadRow)| Claimed {
        slot: *slot,
        head: Head { epoch: row.head.epoch + 1, ..row.head },
        previous_owner: row.owner,
        time,
    };
    Ok(slots.iter().zip(before).map(claimed).collect())
}

async fn claim_free(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    slots: &[SlotId],
    owner: &str,
    nonce: u128,
) -> Result<Vec<FreeClaim>, JournalError> {
    // One writer: nothing changes between this read and the claim.
    let (heads, _) = read_heads(connection, clock, slots).await?;
    let held: Vec<Option<String>> =
        in_order(slots, &heads)?.into_iter().map(|row| row.owner.filter(|holder| holder != owner)).collect();
    let free: Vec<SlotId> =
        slots.iter().zip(&held).filter(|(_, holder)| holder.is_none()).map(|(slot, _)| *slot).collect();
    let mut claimed = match free.is_empty() {
        true => Vec::new(),
        false => claim(connection, clock, &free, owner, nonce).await?,
    }
    .into_iter();
    let outcome = |holder: Option<String>| match holder {
        Some(owner) => Some(FreeClaim::Held { owner }),
        None => claimed.next().map(FreeClaim::Claimed),
    };
    Ok(held.into_iter().filter_map(outcome).collect())
}

/// One statement, however many slots: whoever waits for them waits for this.
async fn give_up(connection: &mut SqliteConnection, slots: &[SlotEpoch]) -> Result<(), JournalError> {
    let held: Vec<_> =
        slots.iter().map(|held| format!("[{},{}]", held.slot.number(), number_column(held.epoch))).collect();
    sqlx::query(include_str!("queries/sqlite/give_up.sql"))
        .bind(format!("[{}]", held.join(",")))
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::{BatchId, ClusterConfig, create};

    async fn opened(folder: &tempfile::TempDir) -> SqliteJournal {
        let path = folder.path().join("journal.db");
        let cluster = ClusterConfig::whole(storage::DatabaseUrl::sqlite(&path));
        create(&[cluster]).await.unwrap();
        SqliteJournal::open(SqliteDatabase::open(&path, &Default::default()).await.unwrap()).await.unwrap()
    }

    /// Settings of the writer's connection stand in for the disk. A connection that failed may be a new one afterwards.
    async fn set(journal: &SqliteJournal, pragma: &str) {
        sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(journal.database.writer()).await.unwrap();
    }

    fn large(slot: SlotId, expected: Head, id: u128) -> SlotAppend {
        let payload = Bytes::from(vec![7; 300_000]);
        SlotAppend { slot, expected, batch_id: BatchId::from_u128(id), payload, runs: Vec::new() }
    }

    /// Appends until the journal doubts, checks what it says, makes room, and checks that nothing was acknowledged that
    /// is not there and that writing goes on.
    async fn fill_and_recover(stop: &str, reason_expected: &str, go_on: &str) {
        let folder = tempfile::tempdir().unwrap();
        let journal = opened(&folder).await;
        let slot = SlotId::new(3).unwrap();
        let mut head = journal.claim(&[slot], "a", 1).await.unwrap()[0].head;
        set(&journal, stop).await;
        let error = loop {
            let append = large(slot, head, u128::from(head.version) + 1);
            let advanced = head.advanced(slot, append.batch_id, &append.payload);
            match journal.append(vec![append]).await.remove(0) {
                AppendOutcome::Committed { .. } => head = advanced,
                AppendOutcome::Unknown { error } => break error,
                other => panic!("{other:?}"),
            }
            assert!(head.version < 100, "the limit did not bind");
        };
        let JournalError::NotWritable { reason, .. } = &*error else { panic!("{error}") };
        assert_eq!(*reason, reason_expected);
        let head_read = journal.heads(&[slot]).await.unwrap()[0];
        assert_eq!((head_read.version, head_read.tail), (head.version, head.tail), "reads go on, nothing half-written");

        set(&journal, go_on).await;
        let head = journal.claim(&[slot], "a", 3).await.unwrap()[0].head;
        let outcome = journal.append(vec![large(slot, head, 1_000)]).await.remove(0);
        assert!(matches!(outcome, AppendOutcome::Committed { .. }), "{outcome:?}");
        assert_eq!(journal.read_feed(slot, 0, 1_000).await.unwrap().len() as u64, head.version + 1);
        let sound: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(journal.database.readers()).await.unwrap();
        assert_eq!(sound, "ok");
        journal.close().await;
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_passes() {
        fill_and_recover("max_page_count = 500", "the disk is full", "max_page_count = 100000").await;
    }

    #[tokio::test]
    async fn a_read_only_file_is_said_and_passes() {
        fill_and_recover("query_only = on", "the database is read-only", "query_only = off").await;
    }

    #[tokio::test]
    async fn a_damaged_snapshot_is_done_without_unless_it_stands_for_purged_batches() {
        let folder = tempfile::tempdir().unwrap();
        let journal = opened(&folder).await;
        let run: Run = "G1@2026-12-01".parse().unwrap();
        let slot = run.slot();
        let head = journal.claim(&[slot], "a", 1).await.unwrap()[0].head;
        let append = SlotAppend { runs: vec![run], ..large(slot, head, 1) };
        journal.append(vec![append]).await;
        let state_hash = Bytes::from_static(b"h");
        let payload = Bytes::from_static(b"state");
        journal.put_snapshot(&Snapshot { run, version: 1, format_version: 1, state_hash, payload }).await.unwrap();
        sqlx::query("UPDATE run_snapshot SET payload = x'00'").execute(journal.database.writer()).await.unwrap();

        let history = journal.load_run(&run).await.unwrap();
        assert_eq!((history.snapshot, history.batches.len()), (None, 1), "from the batches alone");

        journal.checkpoint(slot).await.unwrap().unwrap();
        journal.purge(slot, 1).await.unwrap();
        let error = journal.load_run(&run).await.unwrap_err();
        assert!(matches!(error, JournalError::Corrupt(_)), "{error}");
        journal.close().await;
    }
}
