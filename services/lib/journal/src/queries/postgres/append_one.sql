-- As append_many, for one slot: $1 to $8 are its values. Most commits of a rush are of this kind, and what has not to be
-- unnested and joined is not copied either.
WITH advanced AS (
    UPDATE slot_head AS head
    SET version = head.version + 1,
        tail = $5,
        chain = $6,
        time_ms = greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::int8, head.time_ms)
    WHERE head.slot = $1 AND head.version = $2 AND head.tail = $3 AND head.epoch = $4
    RETURNING head.slot, head.version, head.time_ms
),
batch AS (
    INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload, runs)
    SELECT advanced.slot, advanced.version, $4, advanced.time_ms, $5, $3, $6, $7, $8 FROM advanced
)
