//! The journal in one Postgres database: each append, claim and heartbeat is one statement of its own, never an
//! interactive transaction that a frozen client could leave open.

mod lender;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Run, SlotId, Time};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use storage::OpenOptions;
use tokio::time::timeout;

use self::lender::{Lender, Lent};
use crate::rows::{self, Appended, in_order, number, number_column, slot_column};
use crate::run_steps::postgres as run_steps;
use crate::steps::postgres as steps;
use crate::time::ServerClock;
use crate::types::check_appends;
use crate::{
    AppendOutcome, Checkpoint, Claimed, FeedBatch, FreeClaim, Head, Heartbeat, Journal, JournalError, RunHistory,
    SlotAppend, SlotEpoch, Snapshot, index,
};

/// How many batches one transaction of a purge deletes.
const PURGE_BATCHES_MAX: u32 = 1_000;

/// How much longer than the server's own time-out an answer may take, in ms, before the connection is given up: the
/// server, or the way to it, is then gone without a word.
const ANSWER_GRACE_MS: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct PostgresJournal {
    lender: Lender,
    clock: ServerClock,
    answer_timeout: Duration,
}

impl PostgresJournal {
    /// A journal over an open database that was checked.
    pub(crate) fn new(pool: PgPool, options: &OpenOptions) -> Self {
        let answer_timeout = Duration::from_millis(options.statement_timeout_ms + ANSWER_GRACE_MS);
        Self { lender: Lender::new(pool), clock: ServerClock::default(), answer_timeout }
    }

    async fn lend(&self) -> Result<Lent, sqlx::Error> {
        self.lender.lend().await
    }

    /// Waits for the answer to some statements, no longer than the time-out.
    async fn within<T>(&self, statements: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        timeout(self.answer_timeout, statements).await.unwrap_or_else(|_| {
            let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "postgres did not answer");
            Err(sqlx::Error::Io(silent).into())
        })
    }
}

/// Begins to read one state with several statements.
async fn begin_read(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, JournalError> {
    Ok(connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
}

#[async_trait]
impl Journal for PostgresJournal {
    async fn append(&self, mut appends: Vec<SlotAppend>) -> Vec<AppendOutcome> {
        let advanced = check_appends(&mut appends);
        let mut connection = match self.lend().await {
            Ok(connection) => connection,
            Err(error) => return rows::all_unknown(&appends, error.into()),
        };
        let found = self.within(append(&mut connection, &self.clock, &appends, &advanced)).await;
        match connection.settle(found) {
            Ok(found) => rows::outcomes(&appends, &advanced, &found),
            Err(error) => rows::all_unknown(&appends, error),
        }
    }

    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError> {
        let mut connection = self.lend().await?;
        let claimed = self.within(claim(&mut connection, &self.clock, slots, owner, nonce)).await;
        in_order(slots, &connection.settle(claimed)?)
    }

    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError> {
        let mut connection = self.lend().await?;
        let claimed = self.within(claim_free(&mut connection, &self.clock, slots, owner, nonce)).await;
        in_order(slots, &connection.settle(claimed)?)
    }

    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError> {
        let mut connection = self.lend().await?;
        let given_up = self.within(give_up(&mut connection, slots)).await;
        connection.settle(given_up)
    }

    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError> {
        let mut connection = self.lend().await?;
        let beat = self.within(heartbeat(&mut connection, &self.clock, slots)).await;
        connection.settle(beat)
    }

    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError> {
        let mut connection = self.lend().await?;
        let heads = self.within(heads(&mut connection, slots)).await;
        in_order(slots, &connection.settle(heads)?)
    }

    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError> {
        let mut connection = self.lend().await?;
        let versions = self.within(versions(&mut connection)).await;
        in_order(slots, &connection.settle(versions)?)
    }

    async fn read_feed(
        &self,
        slot: SlotId,
        after_version: u64,
        batches_max: u32,
    ) -> Result<Vec<FeedBatch>, JournalError> {
        let mut connection = self.lend().await?;
        let batches = self.within(steps::read_feed(&mut connection, slot, after_version, batches_max)).await;
        connection.settle(batches)
    }

    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError> {
        let mut connection = self.lend().await?;
        let history = self
            .within(async {
                if let Some(history) = load_run(&mut connection, run).await? {
                    return Ok(history);
                }
                let mut transaction = begin_read(&mut connection).await?;
                let history = run_steps::load_run(&mut transaction, run).await?;
                transaction.commit().await?;
                Ok(history)
            })
            .await;
        connection.settle(history)
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        let mut connection = self.lend().await?;
        let put = self.within(steps::put_snapshot(&mut connection, snapshot)).await;
        connection.settle(put)
    }

    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        let mut connection = self.lend().await?;
        let checkpoint = self
            .within(async {
                // One state for all its reads: a snapshot that is replaced meanwhile fails the statement that deletes it.
                let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
                let checkpoint = steps::checkpoint(&mut transaction, slot).await?;
                transaction.commit().await?;
                Ok(checkpoint)
            })
            .await;
        connection.settle(checkpoint)
    }

    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        let mut connection = self.lend().await?;
        let checkpoint = self.within(steps::latest_checkpoint(&mut connection, slot)).await;
        connection.settle(checkpoint)
    }

    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError> {
        let mut connection = self.lend().await?;
        let marked = self
            .within(async {
                let mut transaction = connection.begin().await?;
                steps::begin_purge(&mut transaction, slot, up_to_version).await?;
                transaction.commit().await?;
                Ok(())
            })
            .await;
        connection.settle(marked)?;
        let mut deleted = 0;
        loop {
            let mut connection = self.lend().await?;
            let some = self
                .within(async {
                    let mut transaction = connection.begin().await?;
                    let some = steps::purge_some(&mut transaction, slot, up_to_version, PURGE_BATCHES_MAX).await?;
                    transaction.commit().await?;
                    Ok(some)
                })
                .await;
            let some = connection.settle(some)?;
            deleted += some;
            if some == 0 {
                return Ok(deleted);
            }
        }
    }

    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        let mut connection = self.lend().await?;
        let runs = self.within(run_steps::runs_of(&mut connection, slot)).await;
        connection.settle(runs)
    }

    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        let mut connection = self.lend().await?;
        let runs = self.within(run_steps::runs_without_snapshot(&mut connection, slot)).await;
        connection.settle(runs)
    }

    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError> {
        let mut connection = self.lend().await?;
        let found = self.within(steps::purgeable(&mut connection, committed_before)).await;
        connection.settle(found)
    }

    async fn close(&self) {
        self.lender.close().await;
    }
}

/// Everything needed to rebuild a run in one round trip; none where it takes a closer look, because the newest snapshot is
/// damaged, or batches were purged and there is no snapshot.
async fn load_run(connection: &mut PgConnection, run: &Run) -> Result<Option<RunHistory>, JournalError> {
    /// The newest snapshot, if there is one; then index entries, later versions and batches, each list by its columns.
    #[derive(sqlx::FromRow)]
    struct Row {
        version: Option<i64>,
        format_version: Option<i32>,
        state_hash: Option<Vec<u8>>,
        checksum: Option<Vec<u8>>,
        payload: Option<Vec<u8>>,
        chunks: Vec<i64>,
        chunk_versions: Vec<i64>,
        later: Vec<i64>,
        versions: Vec<i64>,
        lengths: Vec<i32>,
        payloads: Vec<u8>,
        purged: bool,
    }
    let row: Row = sqlx::query_as(include_str!("queries/postgres/load_run.sql"))
        .bind(slot_column(run.slot()))
        .bind(run.to_string())
        .bind(index::written(run))
        .fetch_one(connection)
        .await?;
    let snapshot = match (row.version, row.format_version, row.state_hash, row.checksum, row.payload) {
        (Some(version), Some(format), Some(state_hash), Some(checksum), Some(payload)) => {
            let intact = rows::snapshot(run, (version, format, state_hash, checksum, payload));
            if intact.is_none() {
                return Ok(None);
            }
            intact
        }
        _ if row.purged => return Ok(None),
        _ => None,
    };
    let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
    let mut concerned: Vec<u64> = row.later.into_iter().map(number).collect::<Result<_, _>>()?;
    for (chunk, bits) in row.chunks.into_iter().zip(row.chunk_versions) {
        concerned.extend(index::versions(number(chunk)?, bits).filter(|version| *version > after));
    }
    concerned.sort_unstable();
    let pieces = pieces(row.payloads.into(), &row.lengths)?;
    let mut found: Vec<(i64, Bytes)> = row.versions.into_iter().zip(pieces).collect();
    found.sort_unstable_by_key(|(version, _)| *version);
    Ok(Some(RunHistory { snapshot, batches: rows::chosen(found, &concerned)? }))
}

/// A long value cut into the pieces it was joined from.
fn pieces(mut joined: Bytes, lengths: &[i32]) -> Result<Vec<Bytes>, JournalError> {
    let piece = |length: &i32| {
        let length = usize::try_from(*length).ok().filter(|length| *length <= joined.len());
        length.map(|length| joined.split_to(length))
    };
    let pieces = lengths.iter().map(piece).collect::<Option<Vec<_>>>();
    pieces.ok_or_else(|| JournalError::Corrupt("batches shorter than they are said to be".to_owned()))
}

fn slot_columns(slots: impl Iterator<Item = SlotId>) -> Vec<i32> {
    slots.map(slot_column).collect()
}

/// A statement that appends, and enters what is due into the index where it has that part.
macro_rules! append_statement {
    ($append:literal $(, $index:literal)?) => {
        concat!(include_str!($append), $(include_str!($index),)? "SELECT slot, time_ms FROM advanced")
    };
}

/// Appends to one slot.
const APPEND_ONE: &str = append_statement!("queries/postgres/append_one.sql");
/// The same where a chunk of the index is due.
const APPEND_ONE_INDEXED: &str =
    append_statement!("queries/postgres/append_one.sql", "queries/postgres/append_index.sql");
/// Appends to many slots.
const APPEND_MANY: &str = append_statement!("queries/postgres/append_many.sql");
/// The same where a chunk of the index of one of them is due.
const APPEND_MANY_INDEXED: &str =
    append_statement!("queries/postgres/append_many.sql", "queries/postgres/append_index.sql");

/// Appends in slot order, as the statement wants it.
async fn append(
    connection: &mut PgConnection,
    clock: &ServerClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<HashMap<SlotId, Appended>, JournalError> {
    let mut sent: Vec<(&SlotAppend, &Head)> = appends.iter().zip(advanced).collect();
    sent.sort_unstable_by_key(|(append, _)| append.slot);
    let appends = || sent.iter().map(|(append, _)| *append);
    let indexed = sent.iter().any(|(append, head)| index::due_chunk(append.slot, head.version).is_some());
    let asked_at = Instant::now();
    let statement = match &sent[..] {
        [(append, head)] => sqlx::query_as(if indexed { APPEND_ONE_INDEXED } else { APPEND_ONE })
            .bind(slot_column(append.slot))
            .bind(number_column(append.expected.version))
            .bind(&append.expected.tail.0[..])
            .bind(number_column(append.expected.epoch))
            .bind(&append.batch_id.0[..])
            .bind(&head.chain.0[..])
            .bind(&append.payload[..])
            .bind(index::write_runs(&append.runs)),
        _ => sqlx::query_as(if indexed { APPEND_MANY_INDEXED } else { APPEND_MANY })
            .bind(slot_columns(appends().map(|append| append.slot)))
            .bind(appends().map(|append| number_column(append.expected.version)).collect::<Vec<_>>())
            .bind(appends().map(|append| &append.expected.tail.0[..]).collect::<Vec<_>>())
            .bind(appends().map(|append| number_column(append.expected.epoch)).collect::<Vec<_>>())
            .bind(appends().map(|append| &append.batch_id.0[..]).collect::<Vec<_>>())
            .bind(sent.iter().map(|(_, head)| &head.chain.0[..]).collect::<Vec<_>>())
            .bind(appends().map(|append| &append.payload[..]).collect::<Vec<_>>())
            .bind(appends().map(|append| index::write_runs(&append.runs)).collect::<Vec<_>>()),
    };
    let rows: Vec<(i32, i64)> = statement.fetch_all(&mut *connection).await?;
    let mut found = HashMap::with_capacity(sent.len());
    for (slot, time_ms) in rows {
        found.insert(rows::slot(slot)?, Appended::Committed(clock.observe(time_ms, asked_at)));
    }
    let refused: Vec<SlotId> = appends().map(|append| append.slot).filter(|slot| !found.contains_key(slot)).collect();
    if !refused.is_empty() {
        let heads = heads(connection, &refused).await?;
        found.extend(heads.into_iter().map(|(slot, head)| (slot, Appended::Fenced(head))));
    }
    Ok(found)
}

async fn claim(
    connection: &mut PgConnection,
    clock: &ServerClock,
    slots: &[SlotId],
    owner: &str,
    nonce: u128,
) -> Result<HashMap<SlotId, Claimed>, JournalError> {
    type Row = (i32, i64, i64, Vec<u8>, Vec<u8>, Option<String>, i64);
    let asked_at = Instant::now();
    let rows: Vec<Row> = sqlx::query_as(include_str!("queries/postgres/claim.sql"))
        .bind(slot_columns(slots.iter().copied()))
        .bind(owner)
        .bind(&nonce.to_be_bytes()[..])
        .fetch_all(connection)
        .await?;
    let read = |(slot, version, epoch, tail, chain, previous_owner, time_ms): Row| {
        let (slot, head) = (rows::slot(slot)?, rows::head(version, epoch, &tail, &chain)?);
        Ok((slot, Claimed { slot, head, previous_owner, time: clock.observe(time_ms, asked_at) }))
    };
    rows.into_iter().map(read).collect()
}

async fn claim_free(
    connection: &mut PgConnection,
    clock: &ServerClock,
    slots: &[SlotId],
    owner: &str,
    nonce: u128,
) -> Result<HashMap<SlotId, FreeClaim>, JournalError> {
    type Row = (i32, Option<i64>, Option<i64>, Vec<u8>, Vec<u8>, Option<String>, i64);
    let asked_at = Instant::now();
    let rows: Vec<Row> = sqlx::query_as(include_str!("queries/postgres/claim_free.sql"))
        .bind(slot_columns(slots.iter().copied()))
        .bind(owner)
        .bind(&nonce.to_be_bytes()[..])
        .fetch_all(connection)
        .await?;
    let read = |(slot, version, epoch, tail, chain, previous_owner, time_ms): Row| {
        let slot = rows::slot(slot)?;
        let claim = match version.zip(epoch) {
            Some((version, epoch)) => {
                let head = rows::head(version, epoch, &tail, &chain)?;
                FreeClaim::Claimed(Claimed { slot, head, previous_owner, time: clock.observe(time_ms, asked_at) })
            }
            None => FreeClaim::Held { owner: previous_owner.unwrap_or_default() },
        };
        Ok((slot, claim))
    };
    rows.into_iter().map(read).collect()
}

async fn give_up(connection: &mut PgConnection, slots: &[SlotEpoch]) -> Result<(), JournalError> {
    sqlx::query(include_str!("queries/postgres/give_up.sql"))
        .bind(slot_columns(slots.iter().map(|held| held.slot)))
        .bind(slots.iter().map(|held| number_column(held.epoch)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn heartbeat(
    connection: &mut PgConnection,
    clock: &ServerClock,
    slots: &[SlotEpoch],
) -> Result<Heartbeat, JournalError> {
    let asked_at = Instant::now();
    let (time_ms, lost): (i64, Vec<i32>) = sqlx::query_as(include_str!("queries/postgres/heartbeat.sql"))
        .bind(slot_columns(slots.iter().map(|held| held.slot)))
        .bind(slots.iter().map(|held| number_column(held.epoch)).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    let lost = lost.into_iter().map(rows::slot).collect::<Result<_, _>>()?;
    Ok(Heartbeat { time: clock.observe(time_ms, asked_at), lost })
}

async fn heads(connection: &mut PgConnection, slots: &[SlotId]) -> Result<HashMap<SlotId, Head>, JournalError> {
    type Row = (i32, i64, i64, Vec<u8>, Vec<u8>);
    let rows: Vec<Row> =
        sqlx::query_as("SELECT slot, version, epoch, tail, chain FROM slot_head WHERE slot = ANY ($1::int4[])")
            .bind(slot_columns(slots.iter().copied()))
            .fetch_all(connection)
            .await?;
    let read =
        |(slot, version, epoch, tail, chain): Row| Ok((rows::slot(slot)?, rows::head(version, epoch, &tail, &chain)?));
    rows.into_iter().map(read).collect()
}

async fn versions(connection: &mut PgConnection) -> Result<HashMap<SlotId, u64>, JournalError> {
    let rows: Vec<(i32, i64)> = sqlx::query_as("SELECT slot, version FROM slot_head").fetch_all(connection).await?;
    rows.into_iter().map(|(slot, version)| Ok((rows::slot(slot)?, number(version)?))).collect()
}
