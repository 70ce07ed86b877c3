-- Raises the epoch of each slot of $1 for owner $2 with nonce $3; tells who owned it before.
WITH locked AS MATERIALIZED (
    SELECT slot, owner FROM slot_head WHERE slot = ANY ($1::int4[]) ORDER BY slot FOR UPDATE
)
UPDATE slot_head AS head
SET epoch = head.epoch + 1, owner = $2, claim_nonce = $3
FROM locked
WHERE head.slot = locked.slot
RETURNING head.slot, head.version, head.epoch, head.tail, head.chain, locked.owner,
    floor(extract(epoch FROM clock_timestamp()) * 1000)::int8
