-- Trades, refunds, the ledger and what order must be told. Times are ms since 1970-01-01 UTC, amounts are fen.

CREATE TABLE trade (
    trade_id           TEXT PRIMARY KEY,
    order_id           TEXT NOT NULL,
    attempt            BIGINT NOT NULL,
    amount_fen         BIGINT NOT NULL CHECK (amount_fen > 0),
    payment_token      TEXT NOT NULL,
    expires_at_ms      BIGINT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('pending', 'captured', 'declined', 'closed')),
    submitted          BIGINT NOT NULL DEFAULT 0,
    closing            BIGINT NOT NULL DEFAULT 0,
    captured_fen       BIGINT NOT NULL DEFAULT 0,
    -- Paid back or on its way back, and kept as fees.
    refunded_fen       BIGINT NOT NULL DEFAULT 0 CHECK (refunded_fen >= 0),
    fees_fen           BIGINT NOT NULL DEFAULT 0 CHECK (fees_fen >= 0),
    provider_charge_id TEXT,
    created_at_ms      BIGINT NOT NULL,
    captured_at_ms     BIGINT,
    checks             BIGINT NOT NULL DEFAULT 0,
    -- When the provider is asked next; null once the outcome is known.
    next_check_at_ms   BIGINT,
    UNIQUE (order_id, attempt),
    CHECK (captured_fen = CASE state WHEN 'captured' THEN amount_fen ELSE 0 END),
    CHECK ((state = 'captured') = (captured_at_ms IS NOT NULL)),
    CHECK ((state = 'pending') = (next_check_at_ms IS NOT NULL)),
    CHECK (refunded_fen + fees_fen <= captured_fen)
);
-- One open trade per order.
CREATE UNIQUE INDEX trade_open ON trade (order_id) WHERE state = 'pending';
CREATE INDEX trade_due ON trade (next_check_at_ms) WHERE next_check_at_ms IS NOT NULL;
CREATE INDEX trade_captured ON trade (captured_at_ms) WHERE captured_at_ms IS NOT NULL;

CREATE TABLE refund (
    refund_id        TEXT PRIMARY KEY,
    trade_id         TEXT NOT NULL REFERENCES trade (trade_id),
    order_id         TEXT NOT NULL,
    amount_fen       BIGINT NOT NULL CHECK (amount_fen >= 0),
    fee_fen          BIGINT NOT NULL CHECK (fee_fen >= 0),
    state            TEXT NOT NULL CHECK (state IN ('pending', 'succeeded')),
    created_at_ms    BIGINT NOT NULL,
    succeeded_at_ms  BIGINT,
    checks           BIGINT NOT NULL DEFAULT 0,
    next_check_at_ms BIGINT,
    CHECK (amount_fen + fee_fen > 0),
    CHECK ((state = 'succeeded') = (succeeded_at_ms IS NOT NULL)),
    CHECK ((state = 'pending') = (next_check_at_ms IS NOT NULL))
);
CREATE INDEX refund_trade ON refund (trade_id);
CREATE INDEX refund_due ON refund (next_check_at_ms) WHERE next_check_at_ms IS NOT NULL;
CREATE INDEX refund_succeeded ON refund (succeeded_at_ms) WHERE succeeded_at_ms IS NOT NULL;

-- Double entry: one row is one posting with its entry in each account, debits positive. A posting that does not sum to
-- zero is refused, and so are a second one of the same id, a change and a deletion.
CREATE TABLE ledger_posting (
    -- capture:<trade id>, refund:<refund id> or arrival:<refund id>
    posting_id      TEXT PRIMARY KEY,
    kind            TEXT NOT NULL CHECK (kind IN ('capture', 'refund', 'arrival')),
    order_id        TEXT NOT NULL,
    trade_id        TEXT NOT NULL REFERENCES trade (trade_id),
    at_ms           BIGINT NOT NULL,
    provider_fen    BIGINT NOT NULL,
    sales_fen       BIGINT NOT NULL,
    fees_fen        BIGINT NOT NULL,
    refunds_due_fen BIGINT NOT NULL,
    CHECK (provider_fen + sales_fen + fees_fen + refunds_due_fen = 0)
);
CREATE INDEX ledger_posting_order ON ledger_posting (order_id);
CREATE FUNCTION ledger_posting_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a posting is never changed or deleted';
END
$$;
CREATE TRIGGER ledger_posting_unchanged BEFORE UPDATE OR DELETE ON ledger_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_posting_refuse_change();

-- What order must be told, at least once, in order for each order.
CREATE TABLE notice (
    notice_id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    TEXT NOT NULL,
    trade_id    TEXT NOT NULL,
    -- Only of a refund.
    refund_id   TEXT,
    -- Only of a trade.
    outcome     TEXT CHECK (outcome IN ('captured', 'declined', 'closed')),
    amount_fen  BIGINT NOT NULL,
    attempts    BIGINT NOT NULL DEFAULT 0,
    due_at_ms   BIGINT NOT NULL,
    CHECK ((refund_id IS NULL) = (outcome IS NOT NULL))
);
CREATE INDEX notice_due ON notice (due_at_ms);
CREATE INDEX notice_order ON notice (order_id, notice_id);
