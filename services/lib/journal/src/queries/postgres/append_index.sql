-- What append_one and append_many go on with where a chunk of the index is due: once in 64 versions, at a version that differs
-- from slot to slot, the last 64 that are complete go into it. Setting this part up and finding nothing to do would take a
-- sixth of every other append.
, indexed AS (
    INSERT INTO slot_index (slot, run, chunk, versions)
    SELECT batch.slot, concerned.run, (batch.version - 1) / 64, bit_or(1::int8 << ((batch.version - 1) % 64)::int4)
    FROM advanced
    JOIN slot_batch AS batch
      ON batch.slot = advanced.slot
     AND batch.version > (advanced.version - 1) / 64 * 64 - 64 AND batch.version <= (advanced.version - 1) / 64 * 64,
    json_array_elements_text(batch.runs::json) AS concerned (run)
    WHERE (advanced.version - 1) % 64 = advanced.slot % 64 AND advanced.version > 64
    GROUP BY batch.slot, concerned.run, (batch.version - 1) / 64
    ON CONFLICT (slot, run, chunk) DO UPDATE SET versions = excluded.versions
)
