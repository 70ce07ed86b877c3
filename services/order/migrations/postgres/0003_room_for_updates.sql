-- A ticket is written again when it is issued, and none of its indexed columns changes: with room on its page, no index
-- is touched, the exclusion constraint's least of all.
ALTER TABLE tickets SET (fillfactor = 60);
