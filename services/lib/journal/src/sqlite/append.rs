//! Appending to SQLite: one command with several statements, however many slots. Each command to SQLite's thread costs a
//! switch there and back, which on a busy machine takes longer than the statements.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use domain::{SlotId, Time};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;
use storage::Standing;

use super::read_heads;
use crate::rows::{self, Appended, number_column, slot_column};
use crate::time::WallClock;
use crate::{AppendOutcome, Head, JournalError, SlotAppend, index};

/// For how many slots there is a command. A call takes the smallest that holds it, the rest of its rows empty, so that
/// few commands are prepared. The largest stays below SQLite's bound of 32,766 parameters.
const COMMAND_SLOTS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];

/// What each row of a command binds: batch id, chain, payload, runs, slot, expected version, tail and epoch.
const ROW_PARAMETERS: usize = 8;

/// Appends to the slots whose heads are as expected. In the writer's transaction, or in one of its own where it stands alone:
/// then the command begins and commits it too.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    standing: Standing,
    clock: &WallClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<Vec<AppendOutcome>, JournalError> {
    let mut found = advance(connection, standing, clock, appends, advanced).await?;
    let refused: Vec<SlotId> =
        appends.iter().map(|append| append.slot).filter(|slot| !found.contains_key(slot)).collect();
    if !refused.is_empty() {
        let (heads, _) = read_heads(connection, clock, &refused).await?;
        found.extend(heads.into_iter().map(|(slot, row)| (slot, Appended::Fenced(row.head))));
    }
    Ok(rows::outcomes(appends, advanced, &found))
}

/// Runs the command; gives the time of the row of each slot that advanced.
async fn advance(
    connection: &mut SqliteConnection,
    standing: Standing,
    clock: &WallClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<HashMap<SlotId, Appended>, JournalError> {
    let due = due_chunks(appends, advanced);
    let Command { slots, sql, .. } = Command::for_slots(appends.len(), standing, due.is_some());
    let mut query = sqlx::query_as::<_, (i32, i64)>(AssertSqlSafe(sql.clone())).bind(clock.at(Instant::now()).millis());
    for (append, new) in appends.iter().zip(advanced) {
        query = query
            .bind(&append.batch_id.0[..])
            .bind(&new.chain.0[..])
            .bind(&append.payload[..])
            .bind(index::write_runs(&append.runs))
            .bind(slot_column(append.slot))
            .bind(number_column(append.expected.version))
            .bind(&append.expected.tail.0[..])
            .bind(number_column(append.expected.epoch));
    }
    for _ in appends.len()..*slots {
        for _ in 0..ROW_PARAMETERS {
            query = query.bind(None::<i32>);
        }
    }
    for place in 0..*slots {
        query = query.bind(appends.get(place).map(|append| slot_column(append.slot)));
    }
    if let Some(due) = due {
        query = query.bind(due);
    }
    let rows = query.fetch_all(connection).await?;
    let committed = |(slot, time_ms)| Ok((rows::slot(slot)?, Appended::Committed(Time::from_millis(time_ms))));
    rows.into_iter().map(committed).collect()
}

/// A JSON array of `[slot, chunk]`: the chunks of the index that are due. Mostly there are none.
fn due_chunks(appends: &[SlotAppend], advanced: &[Head]) -> Option<String> {
    let due = appends.iter().zip(advanced).filter_map(|(append, new)| {
        let chunk = index::due_chunk(append.slot, new.version)?;
        Some(format!("[{},{chunk}]", append.slot))
    });
    let due: Vec<_> = due.collect();
    (!due.is_empty()).then(|| format!("[{}]", due.join(",")))
}

/// What travels to SQLite's thread at once.
struct Command {
    /// How many slots it holds.
    slots: usize,
    /// Whether it begins and commits.
    standing: Standing,
    /// Whether it enters chunks into the index.
    indexes: bool,
    sql: Arc<str>,
}

impl Command {
    /// The smallest that holds so many slots.
    fn for_slots(slots: usize, standing: Standing, indexes: bool) -> &'static Self {
        static COMMANDS: LazyLock<Vec<Command>> = LazyLock::new(|| {
            let standings = [Standing::InGroup, Standing::Alone];
            let kinds = standings.into_iter().flat_map(|standing| [false, true].map(|indexes| (standing, indexes)));
            let of_kind = |(standing, indexes)| COMMAND_SLOTS.map(|slots| Command::new(slots, standing, indexes));
            kinds.flat_map(of_kind).collect()
        });
        let fits =
            |command: &&Self| command.slots >= slots && command.standing == standing && command.indexes == indexes;
        COMMANDS.iter().find(fits).expect("an append was checked to have at most 1,024 slots")
    }

    /// Parameters in order: the time, the rows, the slots once more, the chunks that are due where there are some. They have no
    /// numbers: SQLite looks numbered ones up in a list, which takes a time that grows with the square of their count.
    fn new(slots: usize, standing: Standing, indexes: bool) -> Self {
        let index = if indexes { format!("; {INDEX}") } else { String::new() };
        let append = format!("{}; {}{index}", insert(slots), move_heads(slots));
        let sql = match standing {
            Standing::InGroup => append,
            Standing::Alone => format!("BEGIN IMMEDIATE; {append}; COMMIT"),
        };
        Self { slots, standing, indexes, sql: sql.into() }
    }
}

/// The fence: a batch gets in only on the head that its writer believes in. One slot's payload is not copied into a list of rows
/// first.
fn insert(slots: usize) -> String {
    const INTO: &str =
        "INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload, runs)";
    const HEAD: &str = "SELECT head.slot, head.version + 1, head.epoch, max(?, head.time_ms)";
    if slots == 1 {
        return format!(
            "{INTO} {HEAD}, ?, head.tail, ?, ?, ?
             FROM slot_head AS head WHERE head.slot = ? AND head.version = ? AND head.tail = ? AND head.epoch = ?"
        );
    }
    let row = format!("({})", ["?"; ROW_PARAMETERS].join(","));
    let rows = vec![row.as_str(); slots].join(",");
    format!(
        "{INTO} {HEAD}, column1, head.tail, column2, column3, column4
         FROM (VALUES {rows}) CROSS JOIN slot_head AS head
            ON head.slot = column5 AND head.version = column6 AND head.tail = column7 AND head.epoch = column8
         WHERE true"
    )
}

/// Moves the heads to where batches got in, and names them: returned by what inserts them, whole rows would be copied once more.
fn move_heads(slots: usize) -> String {
    let slots = vec!["?"; slots].join(",");
    format!(
        "UPDATE slot_head
         SET version = batch.version, tail = batch.batch_id, chain = batch.chain, time_ms = batch.time_ms
         FROM slot_batch AS batch
         WHERE slot_head.slot IN ({slots}) AND batch.slot = slot_head.slot AND batch.version = slot_head.version + 1
         RETURNING slot, time_ms"
    )
}

/// Enters the chunks that are due and complete.
const INDEX: &str = "INSERT INTO slot_index (slot, run, chunk, versions)
    SELECT batch.slot, concerned.value, (batch.version - 1) / 64, sum(1 << ((batch.version - 1) % 64))
    FROM json_each(?) AS due
    CROSS JOIN slot_head AS head ON head.slot = due.value ->> 0 AND head.version > (due.value ->> 1) * 64 + 64
    CROSS JOIN slot_batch AS batch
       ON batch.slot = head.slot
      AND batch.version BETWEEN (due.value ->> 1) * 64 + 1 AND (due.value ->> 1) * 64 + 64
    CROSS JOIN json_each(batch.runs) AS concerned
    WHERE true
    GROUP BY batch.slot, concerned.value, (batch.version - 1) / 64
    ON CONFLICT (slot, run, chunk) DO UPDATE SET versions = excluded.versions";
