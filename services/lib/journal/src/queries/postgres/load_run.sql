-- Everything needed to rebuild the run $2 of slot $1, in one row: the newest snapshot, the versions after it that concern the
-- run, batches among which those are, and whether some of the slot's batches were purged. $3 is the run as batches name it.
WITH newest AS MATERIALIZED (
    SELECT version, format_version, state_hash, checksum, payload FROM run_snapshot
    WHERE slot = $1 AND run = $2 ORDER BY version DESC LIMIT 1
),
-- Batches up to `indexed` are in the index; later ones say themselves which runs they concern.
bounds AS MATERIALIZED (
    SELECT coalesce((SELECT version FROM newest), 0) AS after,
        greatest((version - 1) / 64 - CASE WHEN (version - 1) % 64 >= $1 % 64 THEN 0 ELSE 1 END, 0) * 64 AS indexed
    FROM slot_head WHERE slot = $1
),
concerned AS MATERIALIZED (
    SELECT entry.chunk * 64 + 1 + bit AS version
    FROM bounds, slot_index AS entry, generate_series(0, 63) AS bit
    WHERE entry.slot = $1 AND entry.run = $2 AND entry.chunk >= bounds.after / 64
      AND entry.versions >> bit & 1 = 1 AND entry.chunk * 64 + 1 + bit > bounds.after
    UNION ALL
    SELECT batch.version
    FROM bounds, slot_batch AS batch
    WHERE batch.slot = $1 AND batch.version > greatest(bounds.indexed, bounds.after) AND position($3 IN batch.runs) > 0
),
-- A run in most batches of a stretch is read as one stretch: looking each up takes twice as long.
stretch AS MATERIALIZED (
    SELECT min(version) AS first, max(version) AS last, (max(version) - min(version)) / 2 < count(*) AS is_dense
    FROM concerned
),
found AS (
    SELECT batch.version, batch.payload FROM slot_batch AS batch
    WHERE (SELECT is_dense FROM stretch) AND batch.slot = $1
      AND batch.version >= (SELECT first FROM stretch) AND batch.version <= (SELECT last FROM stretch)
    UNION ALL
    -- OFFSET 0 leaves the planner no join but the one that looks up version after version.
    SELECT one.version, one.payload
    FROM concerned, LATERAL (
        SELECT batch.version, batch.payload FROM slot_batch AS batch
        WHERE batch.slot = $1 AND batch.version = concerned.version OFFSET 0
    ) AS one
    WHERE NOT (SELECT is_dense FROM stretch)
)
SELECT newest.version, newest.format_version, newest.state_hash, newest.checksum, newest.payload,
    coalesce((SELECT array_agg(version) FROM concerned), '{}'),
    coalesce(batches.versions, '{}'), coalesce(batches.payloads, '{}'),
    EXISTS (SELECT 1 FROM checkpoint WHERE slot = $1 AND purged)
FROM (SELECT array_agg(version) AS versions, array_agg(payload) AS payloads FROM found) AS batches
LEFT JOIN newest ON true
