-- What the provider knows: charges, refunds, and the callbacks it still owes. Times are ms since 1970-01-01 UTC.

CREATE TABLE charge (
    merchant_trade_id  TEXT PRIMARY KEY,
    provider_charge_id TEXT NOT NULL UNIQUE,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen >= 0),
    token              TEXT NOT NULL,
    callback_url       TEXT NOT NULL,
    expires_at_ms      BIGINT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'declined', 'closed')),
    -- What it becomes at decide_at_ms, unless it is closed before.
    succeeds           BIGINT NOT NULL,
    decide_at_ms       BIGINT NOT NULL,
    closable           BIGINT NOT NULL,
    decided_at_ms      BIGINT,
    refunded_fen       BIGINT NOT NULL DEFAULT 0 CHECK (refunded_fen BETWEEN 0 AND amount_fen),
    CHECK ((state = 'pending') = (decided_at_ms IS NULL)),
    CHECK (refunded_fen = 0 OR state = 'succeeded')
);
CREATE INDEX charge_due ON charge (decide_at_ms) WHERE state = 'pending';
CREATE INDEX charge_statement ON charge (decided_at_ms, merchant_trade_id) WHERE state = 'succeeded';

CREATE TABLE refund (
    merchant_refund_id TEXT PRIMARY KEY,
    merchant_trade_id  TEXT NOT NULL REFERENCES charge (merchant_trade_id),
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    settle_at_ms       BIGINT NOT NULL,
    settled_at_ms      BIGINT
);
CREATE INDEX refund_due ON refund (settle_at_ms) WHERE settled_at_ms IS NULL;
CREATE INDEX refund_statement ON refund (settled_at_ms, merchant_refund_id) WHERE settled_at_ms IS NOT NULL;

CREATE TABLE callback (
    -- What it tells of: charge or refund, the id, and a running number for copies.
    callback_id  TEXT PRIMARY KEY,
    url          TEXT NOT NULL,
    body         TEXT NOT NULL,
    attempts     BIGINT NOT NULL DEFAULT 0,
    -- Null when it was given up.
    due_at_ms    BIGINT
);
CREATE INDEX callback_due ON callback (due_at_ms) WHERE due_at_ms IS NOT NULL;
