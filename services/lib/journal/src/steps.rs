//! The steps that are the same SQL on both engines, written once and compiled for each one's connection.

macro_rules! steps {
    ($(#[$doc:meta])* $engine:ident, $connection:ty) => {
        $(#[$doc])*
        pub(crate) mod $engine {
            use std::collections::HashMap;

            use domain::{Run, SlotId, Time};

            use crate::rows::{self, BatchRow, number, number_column, slot_column};
            use crate::run_steps::$engine as run_steps;
            use crate::{Checkpoint, FeedBatch, JournalError, Snapshot, SnapshotName, index};

            pub(crate) async fn read_feed(
                connection: &mut $connection,
                slot: SlotId,
                after_version: u64,
                batches_max: u32,
            ) -> Result<Vec<FeedBatch>, JournalError> {
                let rows: Vec<BatchRow> = sqlx::query_as(
                    "SELECT version, batch_id, previous_id, epoch, time_ms, chain, payload FROM slot_batch
                     WHERE slot = $1 AND version > $2 ORDER BY version LIMIT $3",
                )
                .bind(slot_column(slot))
                .bind(number_column(after_version))
                .bind(i64::from(batches_max))
                .fetch_all(&mut *connection)
                .await?;
                let first = rows.first().map(|row| row.0);
                if first != Some(number_column(after_version + 1)) {
                    let purged_up_to = purged_up_to(connection, slot).await?;
                    if purged_up_to > after_version {
                        return Err(JournalError::Purged { slot, purged_up_to, asked_after: after_version });
                    }
                }
                let batches: Vec<_> = rows.into_iter().map(|row| rows::batch(slot, row)).collect::<Result<_, _>>()?;
                for (batch, version) in batches.iter().zip(after_version + 1..) {
                    if batch.version != version {
                        return Err(JournalError::Corrupt(format!("slot {slot} has no version {version}")));
                    }
                }
                Ok(batches)
            }

            pub(crate) async fn purged_up_to(connection: &mut $connection, slot: SlotId) -> Result<u64, JournalError> {
                let purged: i64 =
                    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM checkpoint WHERE slot = $1 AND purged")
                        .bind(slot_column(slot))
                        .fetch_one(connection)
                        .await?;
                number(purged)
            }

            pub(crate) async fn put_snapshot(
                connection: &mut $connection,
                snapshot: &Snapshot,
            ) -> Result<(), JournalError> {
                let slot = slot_column(snapshot.run.slot());
                let run = snapshot.run.to_string();
                let version = number_column(snapshot.version);
                sqlx::query(
                    "INSERT INTO run_snapshot (slot, run, version, format_version, state_hash, checksum, payload)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)
                     ON CONFLICT (slot, run, version) DO UPDATE SET format_version = excluded.format_version,
                        state_hash = excluded.state_hash, checksum = excluded.checksum, payload = excluded.payload",
                )
                .bind(slot)
                .bind(&run)
                .bind(version)
                .bind(i32::try_from(snapshot.format_version).unwrap_or(i32::MAX))
                .bind(&snapshot.state_hash[..])
                .bind(&rows::snapshot_checksum(snapshot)[..])
                .bind(&snapshot.payload[..])
                .execute(&mut *connection)
                .await?;
                sqlx::query(
                    "DELETE FROM run_snapshot WHERE slot = $1 AND run = $2 AND version < $3 AND checkpoint IS NULL",
                )
                .bind(slot)
                .bind(&run)
                .bind(version)
                .execute(connection)
                .await?;
                Ok(())
            }

            /// In a transaction.
            pub(crate) async fn checkpoint(
                connection: &mut $connection,
                slot: SlotId,
            ) -> Result<Option<Checkpoint>, JournalError> {
                let last = last_checkpoint(connection, slot).await?;
                let version = covered_up_to(connection, slot, last).await?;
                if version <= last {
                    return Ok(None);
                }
                let chain: Vec<u8> =
                    sqlx::query_scalar("SELECT chain FROM slot_batch WHERE slot = $1 AND version = $2")
                        .bind(slot_column(slot))
                        .bind(number_column(version))
                        .fetch_one(&mut *connection)
                        .await?;
                let snapshots = newest_snapshots(connection, slot).await?;
                sqlx::query("INSERT INTO checkpoint (slot, version, chain, snapshots) VALUES ($1, $2, $3, $4)")
                    .bind(slot_column(slot))
                    .bind(number_column(version))
                    .bind(&chain)
                    .bind(rows::write_names(&snapshots))
                    .execute(&mut *connection)
                    .await?;
                keep_only(connection, slot, version).await?;
                Ok(Some(Checkpoint { slot, version, chain: rows::chain_hash(&chain)?, snapshots }))
            }

            /// The highest version up to which every batch is in some snapshot of each run that it concerns.
            async fn covered_up_to(
                connection: &mut $connection,
                slot: SlotId,
                from: u64,
            ) -> Result<u64, JournalError> {
                let newest = newest_snapshots(connection, slot).await?;
                let newest: HashMap<Run, u64> = newest.into_iter().map(|name| (name.run, name.version)).collect();
                let is_uncovered =
                    |run: &Run, version: u64| version > from && newest.get(run).is_none_or(|covered| version > *covered);
                let entries: Vec<(String, i64, i64)> =
                    sqlx::query_as("SELECT run, chunk, versions FROM slot_index WHERE slot = $1 AND chunk >= $2")
                        .bind(slot_column(slot))
                        .bind(number_column(index::chunk_of(from + 1)))
                        .fetch_all(&mut *connection)
                        .await?;
                let mut first_uncovered: Option<u64> = None;
                for (run, chunk, bits) in entries {
                    let run: Run =
                        run.parse().map_err(|_| JournalError::Corrupt(format!("an index entry of the run {run:?}")))?;
                    let uncovered = index::versions(number(chunk)?, bits).find(|version| is_uncovered(&run, *version));
                    first_uncovered = [first_uncovered, uncovered].into_iter().flatten().min();
                }
                if first_uncovered.is_none() {
                    let newer = run_steps::newer_than_index(connection, slot, from).await?;
                    let uncovered = newer.iter().find(|(version, runs)| runs.iter().any(|run| is_uncovered(run, *version)));
                    first_uncovered = uncovered.map(|(version, _)| *version);
                }
                if let Some(version) = first_uncovered {
                    return Ok(version - 1);
                }
                run_steps::head_version(connection, slot).await
            }

            pub(crate) async fn newest_snapshots(
                connection: &mut $connection,
                slot: SlotId,
            ) -> Result<Vec<SnapshotName>, JournalError> {
                let rows: Vec<(String, i64, Vec<u8>)> = sqlx::query_as(
                    "SELECT run, version, state_hash FROM run_snapshot AS one
                     WHERE slot = $1 AND version = (SELECT max(version) FROM run_snapshot AS other
                                                    WHERE other.slot = one.slot AND other.run = one.run)
                     ORDER BY run",
                )
                .bind(slot_column(slot))
                .fetch_all(connection)
                .await?;
                let name = |(run, version, state_hash): (String, i64, Vec<u8>)| {
                    let run = run.parse().map_err(|_| JournalError::Corrupt(format!("a snapshot of {run:?}")))?;
                    Ok(SnapshotName { run, version: number(version)?, state_hash: state_hash.into() })
                };
                rows.into_iter().map(name).collect()
            }

            /// Marks the newest snapshot of each run as the checkpoint's, and deletes those it replaces.
            async fn keep_only(connection: &mut $connection, slot: SlotId, version: u64) -> Result<(), JournalError> {
                sqlx::query(
                    "DELETE FROM run_snapshot WHERE slot = $1 AND version <
                        (SELECT max(version) FROM run_snapshot AS other
                         WHERE other.slot = run_snapshot.slot AND other.run = run_snapshot.run)",
                )
                .bind(slot_column(slot))
                .execute(&mut *connection)
                .await?;
                sqlx::query("UPDATE run_snapshot SET checkpoint = $2 WHERE slot = $1")
                    .bind(slot_column(slot))
                    .bind(number_column(version))
                    .execute(connection)
                    .await?;
                Ok(())
            }

            async fn last_checkpoint(connection: &mut $connection, slot: SlotId) -> Result<u64, JournalError> {
                let version: i64 =
                    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM checkpoint WHERE slot = $1")
                        .bind(slot_column(slot))
                        .fetch_one(connection)
                        .await?;
                number(version)
            }

            pub(crate) async fn latest_checkpoint(
                connection: &mut $connection,
                slot: SlotId,
            ) -> Result<Option<Checkpoint>, JournalError> {
                let version = last_checkpoint(connection, slot).await?;
                read_checkpoint(connection, slot, version).await
            }

            pub(crate) async fn read_checkpoint(
                connection: &mut $connection,
                slot: SlotId,
                version: u64,
            ) -> Result<Option<Checkpoint>, JournalError> {
                let row: Option<(Vec<u8>, String)> =
                    sqlx::query_as("SELECT chain, snapshots FROM checkpoint WHERE slot = $1 AND version = $2")
                        .bind(slot_column(slot))
                        .bind(number_column(version))
                        .fetch_optional(connection)
                        .await?;
                row.map(|(chain, names)| {
                    let snapshots = rows::read_names(&names)?;
                    Ok(Checkpoint { slot, version, chain: rows::chain_hash(&chain)?, snapshots })
                })
                .transpose()
            }

            /// Marks the prefix as purged, before anything is deleted: a reader of a half-purged prefix is told. Earlier
            /// checkpoints stand for nothing any more. In a transaction.
            pub(crate) async fn begin_purge(
                connection: &mut $connection,
                slot: SlotId,
                version: u64,
            ) -> Result<(), JournalError> {
                let marked = sqlx::query("UPDATE checkpoint SET purged = true WHERE slot = $1 AND version = $2")
                    .bind(slot_column(slot))
                    .bind(number_column(version))
                    .execute(&mut *connection)
                    .await?;
                if marked.rows_affected() == 0 {
                    return Err(JournalError::NoCheckpoint { slot, version });
                }
                sqlx::query("DELETE FROM checkpoint WHERE slot = $1 AND version < $2")
                    .bind(slot_column(slot))
                    .bind(number_column(version))
                    .execute(connection)
                    .await?;
                Ok(())
            }

            /// Deletes up to so many batches of a purged prefix with their index entries; returns how many.
            pub(crate) async fn purge_some(
                connection: &mut $connection,
                slot: SlotId,
                up_to_version: u64,
                batches_max: u32,
            ) -> Result<u64, JournalError> {
                let last: Option<i64> = sqlx::query_scalar(
                    "SELECT max(version) FROM (SELECT version FROM slot_batch WHERE slot = $1 AND version <= $2
                                               ORDER BY version LIMIT $3) AS oldest",
                )
                .bind(slot_column(slot))
                .bind(number_column(up_to_version))
                .bind(i64::from(batches_max))
                .fetch_one(&mut *connection)
                .await?;
                let Some(last) = last else { return Ok(0) };
                sqlx::query("DELETE FROM slot_index WHERE slot = $1 AND chunk < $2")
                    .bind(slot_column(slot))
                    .bind(number_column(index::whole_chunks(number(last)?)))
                    .execute(&mut *connection)
                    .await?;
                let deleted = sqlx::query("DELETE FROM slot_batch WHERE slot = $1 AND version <= $2")
                    .bind(slot_column(slot))
                    .bind(last)
                    .execute(connection)
                    .await?;
                Ok(deleted.rows_affected())
            }

            /// The slots with a checkpoint whose batches are there and older than a moment, with the newest such checkpoint.
            /// A purge deletes the batch of the checkpoint itself last, so one that was interrupted is found again.
            pub(crate) async fn purgeable(
                connection: &mut $connection,
                committed_before: Time,
            ) -> Result<Vec<(SlotId, u64)>, JournalError> {
                let found: Vec<(i32, i64)> = sqlx::query_as(
                    "SELECT checkpoint.slot, max(checkpoint.version) FROM checkpoint
                     JOIN slot_batch AS batch ON batch.slot = checkpoint.slot AND batch.version = checkpoint.version
                     WHERE batch.time_ms < $1 GROUP BY checkpoint.slot ORDER BY checkpoint.slot",
                )
                .bind(committed_before.millis())
                .fetch_all(connection)
                .await?;
                found.into_iter().map(|(slot, version)| Ok((rows::slot(slot)?, number(version)?))).collect()
            }

            /// Makes the heads of a new journal, or checks that an old one was made for the same slots. In a transaction.
            pub(crate) async fn create(
                connection: &mut $connection,
                slots: &[SlotId],
                partitions: &str,
            ) -> Result<(), JournalError> {
                let made = sqlx::query(
                    "INSERT INTO journal_meta (id, slots, partitions) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING",
                )
                .bind(i32::from(domain::SLOTS))
                .bind(partitions)
                .execute(&mut *connection)
                .await?;
                if made.rows_affected() == 0 {
                    return check(connection, slots, partitions).await;
                }
                for slot in slots {
                    sqlx::query(
                        "INSERT INTO slot_head (slot, version, epoch, time_ms, tail, chain) VALUES ($1, 0, 0, 0, $2, $3)",
                    )
                    .bind(slot_column(*slot))
                    .bind(&[0u8; 16][..])
                    .bind(&[0u8; 32][..])
                    .execute(&mut *connection)
                    .await?;
                }
                Ok(())
            }

            /// Checks that the journal was made for these slots and that every one of them has a head.
            pub(crate) async fn check(
                connection: &mut $connection,
                slots: &[SlotId],
                partitions: &str,
            ) -> Result<(), JournalError> {
                let meta: Option<(i32, String)> =
                    sqlx::query_as("SELECT slots, partitions FROM journal_meta").fetch_optional(&mut *connection).await?;
                let Some((stored_slots, stored_partitions)) = meta else {
                    return Err(JournalError::Configuration("the journal was not created yet".to_owned()));
                };
                if stored_slots != i32::from(domain::SLOTS) {
                    let wrong = format!("the journal was made with {stored_slots} slots, must be {}", domain::SLOTS);
                    return Err(JournalError::Configuration(wrong));
                }
                if stored_partitions != partitions {
                    let wrong = format!("the database holds partitions {stored_partitions}, configured are {partitions}");
                    return Err(JournalError::Configuration(wrong));
                }
                let heads: i64 = sqlx::query_scalar("SELECT count(*) FROM slot_head").fetch_one(connection).await?;
                if heads != i64::try_from(slots.len()).unwrap_or(i64::MAX) {
                    return Err(JournalError::Corrupt(format!("{heads} slots have a head, expected {}", slots.len())));
                }
                Ok(())
            }
        }
    };
}

steps! {
    /// On SQLite.
    sqlite, sqlx::SqliteConnection
}
steps! {
    /// On Postgres.
    postgres, sqlx::PgConnection
}
