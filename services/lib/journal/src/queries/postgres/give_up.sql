-- Forgets the owner of each slot of $1 whose epoch is still the one in $2.
WITH locked AS MATERIALIZED (
    SELECT head.slot
    FROM slot_head AS head JOIN unnest($1::int4[], $2::int8[]) AS held (slot, epoch) USING (slot, epoch)
    ORDER BY head.slot
    FOR UPDATE OF head
)
UPDATE slot_head AS head SET owner = NULL, claim_nonce = NULL
FROM locked, unnest($1::int4[], $2::int8[]) AS held (slot, epoch)
WHERE head.slot = locked.slot AND held.slot = head.slot AND held.epoch = head.epoch
