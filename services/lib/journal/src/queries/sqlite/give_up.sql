-- Gives up the slots of the JSON array $1 of pairs of slot and epoch, each if it still has that epoch.
UPDATE slot_head
SET owner = NULL, claim_nonce = NULL
FROM (SELECT value ->> 0 AS slot, value ->> 1 AS epoch FROM json_each($1)) AS held
WHERE slot_head.slot = held.slot AND slot_head.epoch = held.epoch
