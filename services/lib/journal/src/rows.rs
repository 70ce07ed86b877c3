//! Rows of both engines, and what their columns mean.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Run, SlotId, Time};
use sha2::{Digest, Sha256};

use crate::{
    AppendOutcome, BatchId, ChainHash, FeedBatch, Head, JournalError, RunBatch, SlotAppend, Snapshot, SnapshotName,
};

/// version, batch id, previous id, epoch, time in ms, chain, payload.
pub(crate) type BatchRow = (i64, Vec<u8>, Vec<u8>, i64, i64, Vec<u8>, Vec<u8>);

/// version, format version, state hash, checksum, payload.
pub(crate) type SnapshotRow = (i64, i32, Vec<u8>, Vec<u8>, Vec<u8>);

/// A slot's number as the databases' 32-bit integer.
pub(crate) fn slot_column(slot: SlotId) -> i32 {
    i32::from(slot.number())
}

/// A version or epoch as the databases' 64-bit integer. A slot that appends a million batches a second needs 290,000
/// years to pass what that holds.
pub(crate) fn number_column(number: u64) -> i64 {
    i64::try_from(number).expect("versions and epochs count up from 0")
}

pub(crate) fn number(column: i64) -> Result<u64, JournalError> {
    u64::try_from(column).map_err(|_| JournalError::Corrupt(format!("a negative version or epoch, {column}")))
}

pub(crate) fn head(version: i64, epoch: i64, tail: &[u8], chain: &[u8]) -> Result<Head, JournalError> {
    Ok(Head { version: number(version)?, epoch: number(epoch)?, tail: batch_id(tail)?, chain: chain_hash(chain)? })
}

pub(crate) fn batch_id(column: &[u8]) -> Result<BatchId, JournalError> {
    column.try_into().map(BatchId).map_err(|_| JournalError::Corrupt(format!("a batch id of {} bytes", column.len())))
}

pub(crate) fn chain_hash(column: &[u8]) -> Result<ChainHash, JournalError> {
    column
        .try_into()
        .map(ChainHash)
        .map_err(|_| JournalError::Corrupt(format!("a chain hash of {} bytes", column.len())))
}

pub(crate) fn batch(slot: SlotId, row: BatchRow) -> Result<FeedBatch, JournalError> {
    let (version, id, previous, epoch, time_ms, chain, payload) = row;
    Ok(FeedBatch {
        slot,
        version: number(version)?,
        batch_id: batch_id(&id)?,
        previous_id: batch_id(&previous)?,
        epoch: number(epoch)?,
        time: Time::from_millis(time_ms),
        chain: chain_hash(&chain)?,
        payload: payload.into(),
    })
}

/// Those of some batches in order whose versions, also in order, are wanted.
pub(crate) fn chosen(
    found: impl IntoIterator<Item = (i64, impl Into<Bytes>)>,
    versions: &[u64],
) -> Result<Vec<RunBatch>, JournalError> {
    let mut batches = Vec::with_capacity(versions.len());
    for (version, payload) in found {
        let version = number(version)?;
        if versions.binary_search(&version).is_ok() {
            batches.push(RunBatch { version, payload: payload.into() });
        }
    }
    Ok(batches)
}

/// The snapshot of a row, or `None` where its checksum is wrong.
pub(crate) fn snapshot(run: &Run, row: SnapshotRow) -> Option<Snapshot> {
    let (version, format_version, state_hash, checksum, payload) = row;
    let snapshot = Snapshot {
        run: *run,
        version: u64::try_from(version).ok()?,
        format_version: u32::try_from(format_version).ok()?,
        state_hash: state_hash.into(),
        payload: payload.into(),
    };
    (snapshot_checksum(&snapshot)[..] == checksum[..]).then_some(snapshot)
}

/// SHA-256 of everything that a snapshot says, each part of variable length led by its length.
pub(crate) fn snapshot_checksum(snapshot: &Snapshot) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(snapshot.run.to_string().as_bytes());
    part(&snapshot.version.to_be_bytes());
    part(&snapshot.format_version.to_be_bytes());
    part(&snapshot.state_hash);
    part(&snapshot.payload);
    hash.finalize().into()
}

/// A checkpoint's snapshots as text: a line `RUN VERSION STATE_HASH_IN_HEX` each, in order of the run's name.
pub(crate) fn write_names(names: &[SnapshotName]) -> String {
    names.iter().map(|name| format!("{} {} {}\n", name.run, name.version, hex::encode(&name.state_hash))).collect()
}

pub(crate) fn read_names(text: &str) -> Result<Vec<SnapshotName>, JournalError> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let run = words.next()?.parse().ok()?;
        let version = words.next()?.parse().ok()?;
        let state_hash = Bytes::from(hex::decode(words.next()?).ok()?);
        Some(SnapshotName { run, version, state_hash })
    };
    text.lines()
        .map(|line| read(line).ok_or_else(|| JournalError::Corrupt(format!("a checkpoint with the line {line:?}"))))
        .collect()
}

/// Versions as the JSON array that both engines read.
pub(crate) fn json_array(versions: &[u64]) -> String {
    let numbers: Vec<_> = versions.iter().map(u64::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// What became of a slot's append.
pub(crate) enum Appended {
    /// The head advanced, at this time.
    Committed(Time),
    /// The head is another one than expected: this.
    Fenced(Head),
}

/// The answer to each append of a statement, by what the statement said of each slot.
pub(crate) fn outcomes(
    appends: &[SlotAppend],
    advanced: &[Head],
    found: &HashMap<SlotId, Appended>,
) -> Vec<AppendOutcome> {
    let outcome = |(append, new): (&SlotAppend, &Head)| match found.get(&append.slot) {
        Some(Appended::Committed(time)) => {
            AppendOutcome::Committed { version: new.version, time: *time, chain: new.chain }
        }
        Some(Appended::Fenced(head)) => AppendOutcome::Fenced { head: *head },
        None => AppendOutcome::Unknown {
            error: Arc::new(JournalError::Configuration(format!("slot {} is not in this cluster", append.slot))),
        },
    };
    appends.iter().zip(advanced).map(outcome).collect()
}

/// The same doubt about every append.
pub(crate) fn all_unknown(appends: &[SlotAppend], error: JournalError) -> Vec<AppendOutcome> {
    let error = Arc::new(error);
    appends.iter().map(|_| AppendOutcome::Unknown { error: error.clone() }).collect()
}

/// The run of a column.
pub(crate) fn run(name: &str) -> Result<Run, JournalError> {
    name.parse().map_err(|_| JournalError::Corrupt(format!("a run {name:?}")))
}

/// The slot of a column.
pub(crate) fn slot(column: i32) -> Result<SlotId, JournalError> {
    u16::try_from(column)
        .ok()
        .and_then(|number| SlotId::new(number).ok())
        .ok_or_else(|| JournalError::Corrupt(format!("a slot {column}")))
}

/// What stands for each slot asked for, in the order of asking.
pub(crate) fn in_order<T: Clone>(slots: &[SlotId], found: &HashMap<SlotId, T>) -> Result<Vec<T>, JournalError> {
    let one = |slot: &SlotId| {
        found
            .get(slot)
            .cloned()
            .ok_or_else(|| JournalError::Configuration(format!("slot {slot} is not in this cluster")))
    };
    slots.iter().map(one).collect()
}
