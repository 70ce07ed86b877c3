//! What the journal holds of a run, in the words of an owner.

use std::collections::BTreeSet;

use domain::{Run, ServiceDate};
use journal::{FeedBatch, Journal, JournalError, Snapshot};
use journal_encoding::v1;
use ownership::{FrozenRun, LaterBatch, Rebuilt, Stored, Version};
use prost::Message as _;
use train_date::OwnedTrainDate;

/// The format of snapshots as the journal notes it. The kernel's own bytes say their version too.
const SNAPSHOT_FORMAT: u32 = 1;
/// Runs of which no more is stored are put together on the spot, in less than a millisecond.
const SHORT_BYTES: usize = 64 * 1_024;
/// Batches read at once from a slot's stream.
const FEED_BATCHES: u32 = 1_000;

/// Everything needed to rebuild a run.
pub(crate) async fn load(journal: &dyn Journal, run: &Run, with_snapshot: bool) -> Result<Stored, JournalError> {
    if with_snapshot {
        let history = journal.load_run(run).await?;
        let readable = history.snapshot.as_ref().is_none_or(|snapshot| snapshot.format_version == SNAPSHOT_FORMAT);
        if readable {
            return Ok(Stored {
                snapshot: history.snapshot.map(|snapshot| (Version(snapshot.version), snapshot.payload)),
                batches: history.batches.into_iter().map(|batch| (Version(batch.version), batch.payload)).collect(),
            });
        }
    }
    let mut batches = Vec::new();
    let mut version = 0;
    loop {
        let read = journal.read_feed(run.slot(), version, FEED_BATCHES).await?;
        let Some(last) = read.last() else { return Ok(Stored { snapshot: None, batches }) };
        version = last.version;
        for batch in read {
            if runs_in(&batch.payload)?.contains(run) {
                batches.push((Version(batch.version), batch.payload));
            }
        }
    }
}

/// A run of what is stored. One that much has happened on is put together on a thread that may take its time.
pub(crate) async fn put_together(run: Run, stored: Stored) -> Result<Rebuilt<OwnedTrainDate>, JournalError> {
    let snapshot = stored.snapshot.as_ref().map_or(0, |(_, payload)| payload.len());
    let bytes: usize = snapshot + stored.batches.iter().map(|(_, payload)| payload.len()).sum::<usize>();
    if bytes <= SHORT_BYTES {
        return Ok(Rebuilt::of(run, &stored));
    }
    // It catches panics of the aggregate itself: what fails here is a runtime that ends.
    tokio::task::spawn_blocking(move || Rebuilt::of(run, &stored)).await.map_err(|_| JournalError::Closed)
}

/// Writes a frozen state out, on a thread that may take its time.
pub(crate) async fn write_out(frozen: FrozenRun<OwnedTrainDate>) -> Result<Snapshot, JournalError> {
    let written = tokio::task::spawn_blocking(move || frozen.write()).await;
    let written = written.map_err(|error| JournalError::Corrupt(format!("a state cannot be written out: {error}")))?;
    Ok(Snapshot {
        run: written.run,
        version: written.version.0,
        format_version: SNAPSHOT_FORMAT,
        state_hash: written.state_hash.to_be_bytes().to_vec().into(),
        payload: written.payload,
    })
}

/// A batch as it brings runs up to date.
pub(crate) fn later_batch(batch: FeedBatch) -> Result<LaterBatch, JournalError> {
    let runs = runs_in(&batch.payload)?.into_iter().collect();
    Ok(LaterBatch { version: Version(batch.version), runs, payload: batch.payload })
}

pub(crate) fn runs_in(payload: &[u8]) -> Result<BTreeSet<Run>, JournalError> {
    let damaged = |what: &str| JournalError::Corrupt(format!("a batch {what}"));
    let batch = v1::Batch::decode(payload).map_err(|_| damaged("cannot be read"))?;
    batch.records.iter().map(|record| run_of(record).ok_or_else(|| damaged("names no train-date"))).collect()
}

fn run_of(record: &v1::Record) -> Option<Run> {
    let key = record.run.as_ref()?;
    let ordinal = u8::try_from(key.ordinal).ok()?;
    Some(Run { train: key.train.parse().ok()?, date: ServiceDate::from_days(key.service_date).ok()?, ordinal })
}
