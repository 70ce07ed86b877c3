//! Appending to SQLite: one command with several statements, however many slots. Each command to SQLite's thread costs a
//! switch there and back, which on a busy machine takes longer than the statements.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use domain::{SlotId, Time};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::read_heads;
use crate::rows::{self, Appended, number_column, slot_column};
use crate::time::WallClock;
use crate::{AppendOutcome, Head, JournalError, SlotAppend};

/// For how many slots there is a command. A call takes the smallest that holds it, the rest of its rows empty, so that
/// few commands are prepared. The largest stays below SQLite's bound of 32,766 parameters.
const COMMAND_SLOTS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];

/// What each row of a command binds: slot, expected version, tail and epoch, batch id, chain, payload.
const ROW_PARAMETERS: usize = 7;

/// Appends to the slots whose heads are as expected. In the writer's transaction.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<Vec<AppendOutcome>, JournalError> {
    let committed = advance(connection, clock, appends, advanced).await?;
    let refused: Vec<SlotId> =
        appends.iter().map(|append| append.slot).filter(|slot| !committed.contains_key(slot)).collect();
    let mut found: HashMap<SlotId, Appended> = HashMap::with_capacity(appends.len());
    for append in appends {
        if let Some(time) = committed.get(&append.slot) {
            found.insert(append.slot, Appended { head_before: append.expected, committed_at: Some(*time) });
        }
    }
    if !refused.is_empty() {
        let (heads, _) = read_heads(connection, clock, &refused).await?;
        let fenced = |row: super::HeadRow| Appended { head_before: row.head, committed_at: None };
        found.extend(heads.into_iter().map(|(slot, row)| (slot, fenced(row))));
    }
    Ok(rows::outcomes(appends, advanced, &found))
}

/// Runs the command; gives the time of the row of each slot that advanced.
async fn advance(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<HashMap<SlotId, Time>, JournalError> {
    let (slots, sql) = command(appends.len());
    let mut query = sqlx::query_as::<_, (i32, i64)>(AssertSqlSafe(sql)).bind(clock.at(Instant::now()).millis());
    for (append, new) in appends.iter().zip(advanced) {
        query = query
            .bind(slot_column(append.slot))
            .bind(number_column(append.expected.version))
            .bind(&append.expected.tail.0[..])
            .bind(number_column(append.expected.epoch))
            .bind(&append.batch_id.0[..])
            .bind(&new.chain.0[..])
            .bind(&append.payload[..]);
    }
    for _ in appends.len()..slots {
        for _ in 0..ROW_PARAMETERS {
            query = query.bind(None::<i32>);
        }
    }
    for place in 0..slots {
        query = query.bind(appends.get(place).map(|append| slot_column(append.slot)));
    }
    let rows = query.bind(index_entries(appends)).fetch_all(connection).await?;
    rows.into_iter().map(|(slot, time_ms)| Ok((rows::slot(slot)?, Time::from_millis(time_ms)))).collect()
}

/// A JSON array of `[slot, run, batch id in hex]`. Names of runs need no escaping: letters, digits, `@`, `-`, `#`.
fn index_entries(appends: &[SlotAppend]) -> String {
    let mut json = String::from("[");
    for append in appends {
        let id = hex::encode(append.batch_id.0);
        for run in &append.runs {
            let comma = if json.len() == 1 { "" } else { "," };
            write!(json, r#"{comma}[{},"{run}","{id}"]"#, append.slot).expect("a string takes any text");
        }
    }
    json.push(']');
    json
}

/// The command that holds so many slots, and how many it holds.
fn command(slots: usize) -> (usize, Arc<str>) {
    static COMMANDS: LazyLock<[(usize, Arc<str>); COMMAND_SLOTS.len()]> =
        LazyLock::new(|| COMMAND_SLOTS.map(|slots| (slots, write_command(slots).into())));
    let fits = COMMANDS.iter().find(|(held, _)| *held >= slots);
    fits.expect("an append was checked to have at most 1,024 slots").clone()
}

/// Parameters in order: the time, the rows, the slots once more, the index entries. They have no numbers: SQLite looks
/// numbered ones up in a list, which takes a time that grows with the square of their count.
fn write_command(slots: usize) -> String {
    let row = format!("({})", ["?"; ROW_PARAMETERS].join(","));
    let rows = vec![row.as_str(); slots].join(",");
    let slots = vec!["?"; slots].join(",");
    // The first statement is the fence: a batch gets in only on the head that its writer believes in. The second moves
    // the heads to where batches got in. The third may meet its own entries where a batch that is the tail already is
    // repeated: those are right.
    format!(
        "INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload)
         SELECT head.slot, head.version + 1, head.epoch, max(?, head.time_ms), column5, head.tail, column6, column7
         FROM (VALUES {rows}) CROSS JOIN slot_head AS head
            ON head.slot = column1 AND head.version = column2 AND head.tail = column3 AND head.epoch = column4
         WHERE true
         RETURNING slot, time_ms;
         UPDATE slot_head
         SET version = batch.version, tail = batch.batch_id, chain = batch.chain, time_ms = batch.time_ms
         FROM slot_batch AS batch
         WHERE slot_head.slot IN ({slots}) AND batch.slot = slot_head.slot AND batch.version = slot_head.version + 1;
         INSERT OR IGNORE INTO slot_index (slot, run, version)
         SELECT head.slot, entry.value ->> 1, head.version
         FROM json_each(?) AS entry CROSS JOIN slot_head AS head
            ON head.slot = entry.value ->> 0 AND head.tail = unhex(entry.value ->> 2)"
    )
}
