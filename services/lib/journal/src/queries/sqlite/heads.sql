-- Heads, owners, last times of the slots of the JSON array $1, and the wall clock.
SELECT head.slot, head.version, head.epoch, head.tail, head.chain, head.owner, head.time_ms,
    CAST(round(unixepoch('subsec') * 1000) AS INTEGER)
FROM json_each($1) AS asked JOIN slot_head AS head ON head.slot = asked.value
