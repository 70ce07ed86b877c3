-- What the journal was created with. One row.
CREATE TABLE journal_meta (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    slots       INTEGER NOT NULL,
    partitions  TEXT    NOT NULL
) STRICT;

-- The end of each slot's stream.
CREATE TABLE slot_head (
    slot         INTEGER PRIMARY KEY,
    version      INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    time_ms      INTEGER NOT NULL,
    tail         BLOB    NOT NULL,
    chain        BLOB    NOT NULL,
    owner        TEXT,
    claim_nonce  BLOB
) STRICT;

-- One row per batch, in order of arrival; `runs` is a JSON array of the runs it concerns. Rows keyed by (slot, version) would each land on a page of their own.
CREATE TABLE slot_batch (
    seq          INTEGER PRIMARY KEY,
    slot         INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    time_ms      INTEGER NOT NULL,
    batch_id     BLOB    NOT NULL,
    previous_id  BLOB    NOT NULL,
    chain        BLOB    NOT NULL,
    payload      BLOB    NOT NULL,
    runs         TEXT    NOT NULL DEFAULT '[]',
    UNIQUE (slot, version)
) STRICT;

-- Which batches concern a run: bit n of `versions` stands for version 64 * chunk + 1 + n. Written once in 64 versions of a
-- slot; later batches say it themselves.
CREATE TABLE slot_index (
    slot      INTEGER NOT NULL,
    run       TEXT    NOT NULL,
    chunk     INTEGER NOT NULL,
    versions  INTEGER NOT NULL,
    PRIMARY KEY (slot, run, chunk)
) STRICT, WITHOUT ROWID;

-- States of runs. Those that a checkpoint names are kept until a later checkpoint.
CREATE TABLE run_snapshot (
    slot            INTEGER NOT NULL,
    run             TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    checkpoint      INTEGER,
    format_version  INTEGER NOT NULL,
    state_hash      BLOB    NOT NULL,
    checksum        BLOB    NOT NULL,
    payload         BLOB    NOT NULL,
    PRIMARY KEY (slot, run, version)
) STRICT;

-- Points from which states and the chain can be recomputed without anything earlier.
CREATE TABLE checkpoint (
    slot       INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    purged     INTEGER NOT NULL DEFAULT 0,
    chain      BLOB    NOT NULL,
    snapshots  TEXT    NOT NULL,
    PRIMARY KEY (slot, version)
) STRICT;
