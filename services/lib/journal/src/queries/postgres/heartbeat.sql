-- The time, and which slots of $1 no longer have the epoch in $2, in the order of $1.
SELECT
    floor(extract(epoch FROM clock_timestamp()) * 1000)::int8,
    coalesce(array_agg(held.slot ORDER BY held.place) FILTER (WHERE head.epoch IS DISTINCT FROM held.epoch), '{}')
FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS held (slot, epoch, place)
LEFT JOIN slot_head AS head USING (slot)
