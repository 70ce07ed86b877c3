-- Raises the epoch of each slot of the JSON array $1 for owner $2 with nonce $3. Who owned it before was read earlier in
-- the same transaction.
UPDATE slot_head
SET epoch = epoch + 1, owner = $2, claim_nonce = $3
WHERE slot IN (SELECT value FROM json_each($1))
