-- Everything needed to rebuild the run $2 of slot $1, in one row: the newest snapshot, the index entries and the later
-- versions that concern the run, batches among which those are, and whether some of the slot's batches were purged. $3 is the
-- run as batches name it.
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
entry AS MATERIALIZED (
    SELECT entry.chunk, entry.versions FROM bounds, slot_index AS entry
    WHERE entry.slot = $1 AND entry.run = $2 AND entry.chunk >= bounds.after / 64
),
later AS MATERIALIZED (
    SELECT batch.version FROM bounds, slot_batch AS batch
    WHERE batch.slot = $1 AND batch.version > greatest(bounds.indexed, bounds.after) AND position($3 IN batch.runs) > 0
),
-- A run in most batches of a stretch is read as one stretch: looking each up takes twice as long.
stretch AS MATERIALIZED (
    SELECT first, last, (last - first) / 2 < concerned AS is_dense
    FROM (
        SELECT least(indexed.first, unindexed.first) AS first, greatest(indexed.last, unindexed.last) AS last,
            indexed.concerned + unindexed.concerned AS concerned
        FROM (SELECT min(chunk) * 64 + 1 AS first, max(chunk) * 64 + 64 AS last,
                  coalesce(sum(bit_count(versions::bit(64))), 0) AS concerned FROM entry) AS indexed,
             (SELECT min(version) AS first, max(version) AS last, count(*) AS concerned FROM later) AS unindexed
    ) AS both_kinds
),
found AS (
    SELECT batch.version, batch.payload FROM slot_batch AS batch
    WHERE (SELECT is_dense FROM stretch) AND batch.slot = $1
      AND batch.version > (SELECT after FROM bounds)
      AND batch.version >= (SELECT first FROM stretch) AND batch.version <= (SELECT last FROM stretch)
    UNION ALL
    -- OFFSET 0 leaves the planner no join but the one that looks up version after version.
    SELECT one.version, one.payload
    FROM (
        SELECT entry.chunk * 64 + 1 + bit AS version
        FROM bounds, entry, generate_series(0, 63) AS bit
        WHERE entry.versions >> bit & 1 = 1 AND entry.chunk * 64 + 1 + bit > bounds.after
        UNION ALL
        SELECT version FROM later
    ) AS concerned, LATERAL (
        SELECT batch.version, batch.payload FROM slot_batch AS batch
        WHERE batch.slot = $1 AND batch.version = concerned.version OFFSET 0
    ) AS one
    WHERE NOT (SELECT is_dense FROM stretch)
)
SELECT newest.version, newest.format_version, newest.state_hash, newest.checksum, newest.payload,
    coalesce((SELECT array_agg(chunk ORDER BY chunk) FROM entry), '{}') AS chunks,
    coalesce((SELECT array_agg(versions ORDER BY chunk) FROM entry), '{}') AS chunk_versions,
    coalesce((SELECT array_agg(version) FROM later), '{}') AS later,
    coalesce(batches.versions, '{}') AS versions,
    coalesce(batches.lengths, '{}') AS lengths,
    coalesce(batches.payloads, '') AS payloads,
    EXISTS (SELECT 1 FROM checkpoint WHERE slot = $1 AND purged) AS purged
-- One long value is written and read in a fraction of the time of an array of thousands.
FROM (
    SELECT array_agg(version) AS versions, array_agg(length(payload)) AS lengths, string_agg(payload, '') AS payloads
    FROM found
) AS batches
LEFT JOIN newest ON true
