-- One row per waitlist entry. Times are ms since 1970-01-01 UTC; codes are those of store/row.rs and of the domain.
CREATE TABLE entry (
    entry_id     TEXT    NOT NULL PRIMARY KEY,
    account      TEXT    NOT NULL,
    -- XXH3 of the request that lodged it, documents as keyed hashes: the same id with other content is refused.
    content_hash BIGINT  NOT NULL,
    run          TEXT    NOT NULL,
    seat_class   BIGINT  NOT NULL,
    from_stop    BIGINT  NOT NULL,
    to_stop      BIGINT  NOT NULL,
    passengers   BIGINT  NOT NULL,
    standing     BIGINT  NOT NULL,
    channel      BIGINT  NOT NULL,
    deadline_ms  BIGINT  NOT NULL,
    created_ms   BIGINT  NOT NULL,
    stage        BIGINT  NOT NULL,
    -- How it ends: 0 where it does not, else 1 left, 2 expired, 3 failed for the reason.
    end_kind     BIGINT  NOT NULL,
    reason       TEXT    NOT NULL,
    -- The shard's answer to the accepted offer; empty before.
    granted      BLOB    NOT NULL,
    sequence     BIGINT,
    ahead        BIGINT,
    version      BIGINT  NOT NULL,
    -- How often the present stage's work was tried, and when it is due; null when there is none.
    attempts     BIGINT  NOT NULL,
    due_ms       BIGINT
);

CREATE INDEX entry_by_account ON entry (account, created_ms, entry_id);
CREATE INDEX entry_by_due ON entry (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX entry_by_run ON entry (run);

-- Passengers of entries that are not over: names and documents sealed.
CREATE TABLE passenger (
    entry_id   TEXT   NOT NULL REFERENCES entry (entry_id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    kind       BIGINT NOT NULL,
    preference BIGINT NOT NULL,
    sealed     BLOB   NOT NULL,
    PRIMARY KEY (entry_id, position)
);

-- How far the journal's feed has been taken in, in the same transactions that took it in.
CREATE TABLE feed_cursor (
    slot    BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
