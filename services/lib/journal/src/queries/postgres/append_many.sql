-- Advances each head that is as its writer believes, and adds the batch, or nothing for that slot. Answers the slots that
-- advanced. $1 slots in ascending order, $2 expected versions, $3 expected tails, $4 expected epochs, $5 batch ids,
-- $6 chains, $7 payloads, $8 runs.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::bytea[])
        AS asked (slot, version, tail, epoch, batch_id, chain)
),
-- The update locks, waits for whoever holds the lock, and then compares with the newest head. Always in slot order: two
-- appends or claims that meet wait for each other instead of deadlocking. These conditions say what = would, and leave the
-- planner no join but the one that looks up head after head as asked.
advanced AS (
    UPDATE slot_head AS head
    SET version = asked.version + 1,
        tail = asked.batch_id,
        chain = asked.chain,
        -- A slot's times never go back.
        time_ms = greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::int8, head.time_ms)
    FROM asked
    WHERE head.slot BETWEEN asked.slot AND asked.slot
      AND head.version IS NOT DISTINCT FROM asked.version
      AND head.tail IS NOT DISTINCT FROM asked.tail
      AND head.epoch IS NOT DISTINCT FROM asked.epoch
    RETURNING head.slot, head.version, head.time_ms
),
batch AS (
    INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload, runs)
    SELECT asked.slot, advanced.version, asked.epoch, advanced.time_ms, asked.batch_id, asked.tail, asked.chain,
        sent.payload, sent.runs
    FROM unnest($1::int4[], $7::bytea[], $8::text[]) AS sent (slot, payload, runs)
    JOIN asked USING (slot)
    JOIN advanced USING (slot)
)
