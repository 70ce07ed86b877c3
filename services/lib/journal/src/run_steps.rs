//! How a run's batches are found and read: the same SQL on both engines, compiled for each one's connection.

macro_rules! run_steps {
    ($(#[$doc:meta])* $engine:ident, $connection:ty, $listed_versions:literal) => {
        $(#[$doc])*
        pub(crate) mod $engine {
            use std::collections::BTreeMap;

            use domain::{Run, SlotId};

            use crate::rows::{self, SnapshotRow, number, number_column, slot_column};
            use crate::steps::$engine as steps;
            use crate::{JournalError, RunBatch, RunHistory, index};

            /// In a transaction that sees one state: a purge between its reads would hide batches.
            pub(crate) async fn load_run(connection: &mut $connection, run: &Run) -> Result<RunHistory, JournalError> {
                let slot = run.slot();
                let snapshots: Vec<SnapshotRow> = sqlx::query_as(
                    "SELECT version, format_version, state_hash, checksum, payload FROM run_snapshot
                     WHERE slot = $1 AND run = $2 ORDER BY version DESC",
                )
                .bind(slot_column(slot))
                .bind(run.to_string())
                .fetch_all(&mut *connection)
                .await?;
                let snapshot = snapshots.into_iter().find_map(|row| {
                    let version = row.0;
                    let intact = rows::snapshot(run, row);
                    if intact.is_none() {
                        tracing::error!(%run, version, "a snapshot is damaged: doing without it");
                    }
                    intact
                });
                if snapshot.is_none() && is_purged(connection, slot, run).await? {
                    let missing = format!("the snapshot that stands for purged batches of {run} is missing or damaged");
                    return Err(JournalError::Corrupt(missing));
                }
                let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
                let versions = versions_of(connection, slot, run, after).await?;
                let batches = read_versions(connection, slot, &versions).await?;
                Ok(RunHistory { snapshot, batches })
            }

            /// The versions after one that concern a run, in order: those in the index, then those that are newer than it.
            async fn versions_of(
                connection: &mut $connection,
                slot: SlotId,
                run: &Run,
                after: u64,
            ) -> Result<Vec<u64>, JournalError> {
                let entries: Vec<(i64, i64)> = sqlx::query_as(
                    "SELECT chunk, versions FROM slot_index WHERE slot = $1 AND run = $2 AND chunk >= $3 ORDER BY chunk",
                )
                .bind(slot_column(slot))
                .bind(run.to_string())
                .bind(number_column(index::chunk_of(after + 1)))
                .fetch_all(&mut *connection)
                .await?;
                let mut versions = Vec::new();
                for (chunk, bits) in entries {
                    versions.extend(index::versions(number(chunk)?, bits).filter(|version| *version > after));
                }
                for (version, runs) in newer_than_index(connection, slot, after).await? {
                    if runs.contains(run) {
                        versions.push(version);
                    }
                }
                Ok(versions)
            }

            /// The batches that the index does not know yet, those after a version, each with its runs.
            pub(crate) async fn newer_than_index(
                connection: &mut $connection,
                slot: SlotId,
                after: u64,
            ) -> Result<Vec<(u64, Vec<Run>)>, JournalError> {
                let indexed = index::complete_up_to(slot, head_version(connection, slot).await?);
                let rows: Vec<(i64, String)> = sqlx::query_as(
                    "SELECT version, runs FROM slot_batch WHERE slot = $1 AND version > $2 ORDER BY version",
                )
                .bind(slot_column(slot))
                .bind(number_column(indexed.max(after)))
                .fetch_all(connection)
                .await?;
                let read = |(version, runs): (i64, String)| {
                    Ok((number(version)?, index::read_runs(&runs).collect::<Result<_, _>>()?))
                };
                rows.into_iter().map(read).collect()
            }

            pub(crate) async fn head_version(connection: &mut $connection, slot: SlotId) -> Result<u64, JournalError> {
                let version: i64 = sqlx::query_scalar("SELECT version FROM slot_head WHERE slot = $1")
                    .bind(slot_column(slot))
                    .fetch_one(connection)
                    .await?;
                number(version)
            }

            /// The batches of these versions, which are in order. Those that are purged are left out.
            async fn read_versions(
                connection: &mut $connection,
                slot: SlotId,
                versions: &[u64],
            ) -> Result<Vec<RunBatch>, JournalError> {
                let (Some(first), Some(last)) = (versions.first(), versions.last()) else { return Ok(Vec::new()) };
                // A run in most batches of a stretch is read as one stretch: looking each up takes twice as long.
                let dense = (last - first) / 2 < versions.len() as u64;
                let query = if dense {
                    sqlx::query_as(
                        "SELECT version, payload FROM slot_batch
                         WHERE slot = $1 AND version >= $2 AND version <= $3 ORDER BY version",
                    )
                    .bind(slot_column(slot))
                    .bind(number_column(*first))
                    .bind(number_column(*last))
                } else {
                    sqlx::query_as(concat!(
                        "SELECT version, payload FROM slot_batch
                         WHERE slot = $1 AND version IN (",
                        $listed_versions,
                        ") ORDER BY version"
                    ))
                    .bind(slot_column(slot))
                    .bind(rows::json_array(versions))
                };
                let found: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await?;
                rows::chosen(found, versions)
            }

            /// Whether batches of a run may be gone: its slot was purged behind a checkpoint that names it.
            async fn is_purged(connection: &mut $connection, slot: SlotId, run: &Run) -> Result<bool, JournalError> {
                let purged = steps::purged_up_to(connection, slot).await?;
                if purged == 0 {
                    return Ok(false);
                }
                let checkpoint = steps::read_checkpoint(connection, slot, purged).await?;
                Ok(checkpoint.is_some_and(|checkpoint| checkpoint.snapshots.iter().any(|name| name.run == *run)))
            }

            /// The runs a slot has anything of, in order of their names.
            pub(crate) async fn runs_of(connection: &mut $connection, slot: SlotId) -> Result<Vec<Run>, JournalError> {
                let mut runs = last_versions(connection, slot).await?;
                for snapshot in steps::newest_snapshots(connection, slot).await? {
                    runs.insert(snapshot.run.to_string(), snapshot.version);
                }
                runs.keys().map(|name| rows::run(name)).collect()
            }

            /// The runs of a slot that have batches after their newest snapshot.
            pub(crate) async fn runs_without_snapshot(
                connection: &mut $connection,
                slot: SlotId,
            ) -> Result<Vec<Run>, JournalError> {
                let mut runs = last_versions(connection, slot).await?;
                for snapshot in steps::newest_snapshots(connection, slot).await? {
                    let name = snapshot.run.to_string();
                    if runs.get(&name).is_some_and(|last| *last <= snapshot.version) {
                        runs.remove(&name);
                    }
                }
                runs.keys().map(|name| rows::run(name)).collect()
            }

            /// The newest version of each run that has batches, by the run's name. Steps from run to run in the index instead of
            /// reading an entry for every chunk. What is newer than the index is read first: whatever enters the index between
            /// the two is seen twice, not missed.
            async fn last_versions(
                connection: &mut $connection,
                slot: SlotId,
            ) -> Result<BTreeMap<String, u64>, JournalError> {
                let newer = newer_than_index(connection, slot, 0).await?;
                let entries: Vec<(String, i64, i64)> = sqlx::query_as(
                    "WITH RECURSIVE indexed (run) AS (
                         SELECT min(run) FROM slot_index WHERE slot = $1
                         UNION ALL
                         SELECT (SELECT min(entry.run) FROM slot_index AS entry
                                 WHERE entry.slot = $1 AND entry.run > indexed.run)
                         FROM indexed WHERE indexed.run IS NOT NULL
                     )
                     SELECT entry.run, entry.chunk, entry.versions
                     FROM indexed JOIN slot_index AS entry
                       ON entry.slot = $1 AND entry.run = indexed.run
                      AND entry.chunk = (SELECT max(other.chunk) FROM slot_index AS other
                                         WHERE other.slot = $1 AND other.run = indexed.run)",
                )
                .bind(slot_column(slot))
                .fetch_all(connection)
                .await?;
                let mut last = BTreeMap::new();
                for (run, chunk, bits) in entries {
                    last.insert(run, index::versions(number(chunk)?, bits).last().unwrap_or(0));
                }
                for (version, runs) in newer {
                    last.extend(runs.into_iter().map(|run| (run.to_string(), version)));
                }
                Ok(last)
            }
        }
    };
}

run_steps! {
    /// On SQLite.
    sqlite, sqlx::SqliteConnection, "SELECT value FROM json_each($2)"
}
run_steps! {
    /// On Postgres.
    postgres, sqlx::PgConnection, "SELECT json_array_elements_text($2::json)::int8"
}
