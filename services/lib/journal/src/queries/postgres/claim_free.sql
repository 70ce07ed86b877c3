-- Raises the epoch of each slot of $1 that nobody owns, or that $2 owns already, for owner $2 with nonce $3. Of the others
-- version and epoch are null, and who owns them is told. Heads of others are not locked: asking again and again does not
-- stand in the way of their appends.
WITH locked AS MATERIALIZED (
    SELECT slot, owner FROM slot_head
    WHERE slot = ANY ($1::int4[]) AND (owner IS NULL OR owner = $2)
    ORDER BY slot
    FOR UPDATE
),
claimed AS (
    UPDATE slot_head AS head
    SET epoch = head.epoch + 1, owner = $2, claim_nonce = $3
    FROM locked
    WHERE head.slot = locked.slot
    RETURNING head.slot, head.version, head.epoch, head.tail, head.chain, locked.owner AS previous_owner
)
SELECT head.slot, claimed.version, claimed.epoch, coalesce(claimed.tail, head.tail), coalesce(claimed.chain, head.chain),
    CASE WHEN claimed.slot IS NULL THEN head.owner ELSE claimed.previous_owner END,
    floor(extract(epoch FROM clock_timestamp()) * 1000)::int8
FROM slot_head AS head LEFT JOIN claimed USING (slot)
WHERE head.slot = ANY ($1::int4[])
