//! Appending to SQLite: the writer holds the write lock, so it reads the heads, decides, and writes many rows a statement.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use domain::SlotId;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

use super::read_heads;
use crate::rows::{self, Appended, number_column, slot_column};
use crate::time::WallClock;
use crate::{AppendOutcome, Head, JournalError, SlotAppend};

/// An append that passed the fence, its new head, and the time of its row in ms.
struct Passed<'a> {
    append: &'a SlotAppend,
    new: &'a Head,
    time_ms: i64,
}

/// Appends to the slots whose heads are as expected. In the writer's transaction.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    clock: &WallClock,
    appends: &[SlotAppend],
    advanced: &[Head],
) -> Result<Vec<AppendOutcome>, JournalError> {
    let slots: Vec<SlotId> = appends.iter().map(|append| append.slot).collect();
    let (heads, time) = read_heads(connection, clock, &slots).await?;
    let mut found = HashMap::with_capacity(heads.len());
    let mut passed = Vec::with_capacity(appends.len());
    for (append, new) in appends.iter().zip(advanced) {
        let Some(row) = heads.get(&append.slot) else { continue };
        let expected = &append.expected;
        let passes =
            row.head.version == expected.version && row.head.tail == expected.tail && row.head.epoch == expected.epoch;
        let committed_at = passes.then_some(time);
        if passes {
            passed.push(Passed { append, new, time_ms: time.millis() });
        }
        found.insert(append.slot, Appended { head_before: row.head, committed_at });
    }
    advance_heads(connection, &passed).await?;
    insert_batches(connection, &passed).await?;
    insert_index(connection, &passed).await?;
    Ok(rows::outcomes(appends, advanced, &found))
}

async fn advance_heads(connection: &mut SqliteConnection, passed: &[Passed<'_>]) -> Result<(), JournalError> {
    static SQL: LazyLock<Statements> = LazyLock::new(|| {
        Statements::new(
            "INSERT INTO slot_head (slot, version, epoch, time_ms, tail, chain) VALUES ",
            6,
            " ON CONFLICT (slot) DO UPDATE SET version = excluded.version, time_ms = excluded.time_ms, \
             tail = excluded.tail, chain = excluded.chain",
        )
    });
    for (rows, mut query) in SQL.cut(passed) {
        for row in rows {
            query = query
                .bind(slot_column(row.append.slot))
                .bind(number_column(row.new.version))
                .bind(number_column(row.new.epoch))
                .bind(row.time_ms)
                .bind(&row.new.tail.0[..])
                .bind(&row.new.chain.0[..]);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_batches(connection: &mut SqliteConnection, passed: &[Passed<'_>]) -> Result<(), JournalError> {
    static SQL: LazyLock<Statements> = LazyLock::new(|| {
        Statements::new(
            "INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload) VALUES ",
            8,
            "",
        )
    });
    for (rows, mut query) in SQL.cut(passed) {
        for row in rows {
            query = query
                .bind(slot_column(row.append.slot))
                .bind(number_column(row.new.version))
                .bind(number_column(row.new.epoch))
                .bind(row.time_ms)
                .bind(&row.append.batch_id.0[..])
                .bind(&row.append.expected.tail.0[..])
                .bind(&row.new.chain.0[..])
                .bind(&row.append.payload[..]);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_index(connection: &mut SqliteConnection, passed: &[Passed<'_>]) -> Result<(), JournalError> {
    static SQL: LazyLock<Statements> =
        LazyLock::new(|| Statements::new("INSERT INTO slot_index (slot, run, version) VALUES ", 3, ""));
    let entries: Vec<_> = passed
        .iter()
        .flat_map(|row| row.append.runs.iter().map(|run| (row.append.slot, run.to_string(), row.new.version)))
        .collect();
    for (entries, mut query) in SQL.cut(&entries) {
        for (slot, run, version) in entries {
            query = query.bind(slot_column(*slot)).bind(run.as_str()).bind(number_column(*version));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// One INSERT in several lengths, so that many rows take few statements and the prepared ones stay few.
struct Statements {
    by_length: [(usize, Arc<str>); 4],
}

impl Statements {
    fn new(before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let by_length = [64, 16, 4, 1].map(|length| {
            let sql = format!("{before}{}{after}", vec![row.as_str(); length].join(", "));
            (length, Arc::from(sql))
        });
        Self { by_length }
    }

    /// Cuts rows into pieces, each with the statement of its length.
    fn cut<'a, T>(&'a self, mut rows: &'a [T]) -> impl Iterator<Item = (&'a [T], Query<'a, Sqlite, SqliteArguments>)> {
        std::iter::from_fn(move || {
            let (length, sql) = self.by_length.iter().find(|(length, _)| *length <= rows.len())?;
            let (piece, rest) = rows.split_at(*length);
            rows = rest;
            // The text is made of the constants above and question marks.
            Some((piece, sqlx::query(AssertSqlSafe(sql.clone()))))
        })
    }
}
