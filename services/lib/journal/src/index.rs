//! Which batches concern a run. Each batch names its runs; an index entry says by 64 bits which of a chunk of 64 versions
//! concern one run, so that an append writes it once in 64 batches instead of every time.

use domain::{Run, SlotId};

use crate::JournalError;

/// Versions in one chunk. The statements that write the index say 64 too.
const CHUNK_VERSIONS: u64 = 64;

/// Up to which version the entries are complete, at a head of this version. A chunk is entered when the slot has come as far
/// into the next one as its number says: a shard's slots take turns, though they may advance together.
pub(crate) fn complete_up_to(slot: SlotId, head_version: u64) -> u64 {
    let Some(last) = head_version.checked_sub(1) else { return 0 };
    let chunks = if last % CHUNK_VERSIONS >= turn(slot) {
        last / CHUNK_VERSIONS
    } else {
        (last / CHUNK_VERSIONS).saturating_sub(1)
    };
    chunks * CHUNK_VERSIONS
}

/// The chunk that is entered by the append that makes this version, if one is.
pub(crate) fn due_chunk(slot: SlotId, version: u64) -> Option<u64> {
    let last = version.checked_sub(1)?;
    if last % CHUNK_VERSIONS == turn(slot) { (last / CHUNK_VERSIONS).checked_sub(1) } else { None }
}

fn turn(slot: SlotId) -> u64 {
    u64::from(slot.number()) % CHUNK_VERSIONS
}

/// The chunk that a version is in.
pub(crate) fn chunk_of(version: u64) -> u64 {
    version.saturating_sub(1) / CHUNK_VERSIONS
}

/// How many chunks from the beginning hold nothing later than this version.
pub(crate) fn whole_chunks(version: u64) -> u64 {
    version / CHUNK_VERSIONS
}

/// The versions of an entry, in order.
pub(crate) fn versions(chunk: u64, bits: i64) -> impl Iterator<Item = u64> {
    let bits = bits.cast_unsigned();
    (0..CHUNK_VERSIONS).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| chunk * CHUNK_VERSIONS + 1 + bit)
}

/// Runs as a batch names them: a JSON array of strings. Names of runs need no escaping: letters, digits, `@`, `-`, `#`.
pub(crate) fn write_runs(runs: &[Run]) -> String {
    let mut json = String::with_capacity(2 + runs.len() * 18);
    for run in runs {
        json.push(if json.is_empty() { '[' } else { ',' });
        json.push_str(&written(run));
    }
    if json.is_empty() {
        json.push('[');
    }
    json.push(']');
    json
}

/// A run as it stands in the list of a batch that concerns it, and nowhere else.
pub(crate) fn written(run: &Run) -> String {
    format!("\"{run}\"")
}

/// The runs that a batch names.
pub(crate) fn read_runs(json: &str) -> impl Iterator<Item = Result<Run, JournalError>> {
    let names = json.trim_start_matches('[').trim_end_matches(']').split(',').filter(|name| !name.is_empty());
    names.map(|name| {
        let run = name.trim_matches('"').parse();
        run.map_err(|_| JournalError::Corrupt(format!("a batch that names the run {name}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_in_the_index_or_after_it() {
        for number in [0, 1, 63, 64, 777] {
            let slot = SlotId::new(number).unwrap();
            let mut entered = 0;
            for head in 0..1_000 {
                if let Some(chunk) = due_chunk(slot, head) {
                    assert_eq!(chunk * CHUNK_VERSIONS, entered, "chunk after chunk");
                    entered += CHUNK_VERSIONS;
                }
                assert_eq!(complete_up_to(slot, head), entered, "slot {number} at {head}");
                assert!(head.saturating_sub(entered) <= 2 * CHUNK_VERSIONS);
            }
        }
    }

    #[test]
    fn an_entry_tells_its_versions() {
        assert_eq!(versions(0, 0b101).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(versions(2, i64::MIN).collect::<Vec<_>>(), [192]);
        assert_eq!((chunk_of(1), chunk_of(64), chunk_of(65), whole_chunks(63), whole_chunks(64)), (0, 0, 1, 0, 1));
    }

    #[test]
    fn runs_are_read_as_they_were_written() {
        let runs: Vec<Run> = ["G1@2026-12-01", "K5#2@2026-12-02"].iter().filter_map(|name| name.parse().ok()).collect();
        for count in 0..=runs.len() {
            let read: Vec<Run> = read_runs(&write_runs(&runs[..count])).map(Result::unwrap).collect();
            assert_eq!(read, runs[..count]);
        }
        assert_eq!(write_runs(&[]), "[]");
    }
}
