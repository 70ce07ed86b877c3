-- What the journal was created with. One row.
CREATE TABLE journal_meta (
    id          int2   PRIMARY KEY CHECK (id = 1),
    slots       int4   NOT NULL,
    partitions  text   NOT NULL
);

-- The end of each slot's stream. Rewritten by every append: room in each page keeps the new row version in the same page
-- and out of the index, and vacuum comes often because the table is small.
CREATE TABLE slot_head (
    slot         int4   PRIMARY KEY,
    version      int8   NOT NULL,
    epoch        int8   NOT NULL,
    time_ms      int8   NOT NULL,
    tail         bytea  NOT NULL,
    chain        bytea  NOT NULL,
    owner        text,
    claim_nonce  bytea
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- One row per batch. `runs` is a JSON array of the runs it concerns. Payloads are protobuf that barely shrinks: compressing them would only cost time.
CREATE TABLE slot_batch (
    version      int8   NOT NULL,
    epoch        int8   NOT NULL,
    time_ms      int8   NOT NULL,
    slot         int4   NOT NULL,
    batch_id     bytea  NOT NULL,
    previous_id  bytea  NOT NULL,
    chain        bytea  NOT NULL,
    payload      bytea  NOT NULL,
    runs         text   NOT NULL DEFAULT '[]',
    PRIMARY KEY (slot, version)
);
ALTER TABLE slot_batch ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Which batches concern a run: bit n of `versions` stands for version 64 * chunk + 1 + n. Written once in 64 versions of a
-- slot; later batches say it themselves.
CREATE TABLE slot_index (
    chunk     int8  NOT NULL,
    versions  int8  NOT NULL,
    slot      int4  NOT NULL,
    run       text  COLLATE "C" NOT NULL,
    PRIMARY KEY (slot, run, chunk)
);

-- States of runs. Those that a checkpoint names are kept until a later checkpoint.
CREATE TABLE run_snapshot (
    version         int8   NOT NULL,
    checkpoint      int8,
    slot            int4   NOT NULL,
    format_version  int4   NOT NULL,
    run             text   COLLATE "C" NOT NULL,
    state_hash      bytea  NOT NULL,
    checksum        bytea  NOT NULL,
    payload         bytea  NOT NULL,
    PRIMARY KEY (slot, run, version)
);

-- Points from which states and the chain can be recomputed without anything earlier.
CREATE TABLE checkpoint (
    version    int8   NOT NULL,
    slot       int4   NOT NULL,
    purged     bool   NOT NULL DEFAULT false,
    chain      bytea  NOT NULL,
    snapshots  text   NOT NULL,
    PRIMARY KEY (slot, version)
);
