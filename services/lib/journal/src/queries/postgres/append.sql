-- Advances each head that is as its writer believes, and adds the batch and its index entries, or nothing for that slot.
-- $1 slots, $2 expected versions, $3 expected tails, $4 expected epochs, $5 batch ids, $6 chains, $7 payloads; $8 and $9:
-- slots and runs for the index.
WITH asked AS (
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::bytea[], $4::int8[], $5::bytea[], $6::bytea[])
        AS asked (slot, version, tail, epoch, batch_id, chain)
),
-- Always in slot order: two appends or claims that meet wait for each other instead of deadlocking. A lock waits for
-- whoever holds it and then sees the newest head.
locked AS MATERIALIZED (
    SELECT head.slot, head.version, head.tail, head.epoch, head.chain, head.time_ms
    FROM slot_head AS head
    WHERE head.slot = ANY ($1::int4[])
    ORDER BY head.slot
    FOR UPDATE
),
-- Read after the locks are held, so that a slot's times never go back.
clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS time_ms FROM (SELECT count(*) FROM locked) AS held
),
advanced AS (
    UPDATE slot_head AS head
    SET version = asked.version + 1,
        tail = asked.batch_id,
        chain = asked.chain,
        time_ms = greatest(clock.time_ms, locked.time_ms)
    FROM asked JOIN locked USING (slot), clock
    WHERE head.slot = asked.slot
      AND locked.version = asked.version AND locked.tail = asked.tail AND locked.epoch = asked.epoch
    RETURNING head.slot, head.version, head.time_ms
),
batch AS (
    INSERT INTO slot_batch (slot, version, epoch, time_ms, batch_id, previous_id, chain, payload)
    SELECT asked.slot, advanced.version, asked.epoch, advanced.time_ms, asked.batch_id, asked.tail, asked.chain, sent.payload
    FROM unnest($1::int4[], $7::bytea[]) AS sent (slot, payload)
    JOIN asked USING (slot)
    JOIN advanced USING (slot)
),
index_entry AS (
    INSERT INTO slot_index (slot, run, version)
    SELECT concerned.slot, concerned.run, advanced.version
    FROM unnest($8::int4[], $9::text[]) AS concerned (slot, run)
    JOIN advanced USING (slot)
)
SELECT locked.slot, advanced.time_ms, locked.version, locked.epoch, locked.tail, locked.chain
FROM locked LEFT JOIN advanced USING (slot)
