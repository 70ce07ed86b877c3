-- A batch of up to some 50 records stays in its row: cut into pieces of 2 kB in a table of their own, with an index of their
-- own, it would take longer to write and to read.
ALTER TABLE slot_batch SET (toast_tuple_target = 8160);
