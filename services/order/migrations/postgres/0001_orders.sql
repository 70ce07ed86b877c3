-- Orders, one row each, and their tickets. Amounts are fen, moments are ms since 1970-01-01 UTC, ids are 16 bytes.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    -- The railway's day the points below are of, in days since 1970-01-01.
    cancel_day BIGINT NOT NULL,
    -- Unpaid cancellations of that day: an order with seats counts as the policy's seatless_cancellations_as_one points.
    cancel_points BIGINT NOT NULL CHECK (cancel_points >= 0)
);

CREATE TABLE orders (
    order_id BYTEA PRIMARY KEY,
    account TEXT NOT NULL,
    channel BIGINT NOT NULL,
    -- Keyed hash of the request that placed it.
    request BYTEA NOT NULL,
    phase TEXT NOT NULL,
    end_reason TEXT,
    -- Which of the account's places for unpaid orders it takes; null once nothing is owed, and for channels without limits.
    unpaid_slot BIGINT,
    created_at_ms BIGINT NOT NULL,
    pay_by_ms BIGINT,
    hard_limit_ms BIGINT,
    paid_at_ms BIGINT,
    paid_attempt BIGINT,
    policy_version BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- When the sweeper looks at it next; null when nothing is left to do.
    due_at_ms BIGINT,
    total_fen BIGINT NOT NULL,
    captured_fen BIGINT NOT NULL CHECK (captured_fen >= 0),
    tickets_fen BIGINT NOT NULL,
    fees_fen BIGINT NOT NULL,
    refunded_fen BIGINT NOT NULL,
    refunding_fen BIGINT NOT NULL,
    -- Legs, trades and refunds as JSON. No personal data.
    body TEXT NOT NULL,
    CONSTRAINT every_fen CHECK (captured_fen = tickets_fen + fees_fen + refunded_fen + refunding_fen)
);

CREATE UNIQUE INDEX one_unpaid_order ON orders (account, unpaid_slot) WHERE unpaid_slot IS NOT NULL;
CREATE INDEX orders_due ON orders (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX orders_of_account ON orders (account, created_at_ms, order_id);

CREATE TABLE tickets (
    order_id BYTEA NOT NULL REFERENCES orders (order_id),
    -- Which ticket of the order, from 0.
    position BIGINT NOT NULL,
    leg BIGINT NOT NULL,
    passenger BIGINT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    -- 1 while its passenger may have no other ticket beside it; 2 for one that is to replace a live ticket of its own order.
    live BIGINT NOT NULL,
    train_code TEXT NOT NULL,
    service_day BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    departs_at_ms BIGINT NOT NULL,
    arrives_at_ms BIGINT NOT NULL,
    -- Whether travel is within a rush period.
    rush BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    -- The first half of the keyed look-up hash of the document.
    document BYTEA NOT NULL,
    -- Name and document, sealed.
    sealed BYTEA NOT NULL,
    fare_fen BIGINT NOT NULL CHECK (fare_fen >= 0),
    fee_fen BIGINT NOT NULL CHECK (fee_fen BETWEEN 0 AND fare_fen),
    refund_fen BIGINT NOT NULL CHECK (refund_fen BETWEEN 0 AND fare_fen - fee_fen),
    seats_returned BIGINT NOT NULL,
    student_year BIGINT,
    -- Which of the year's trips at the student fare.
    student_trip BIGINT,
    PRIMARY KEY (order_id, position)
);

CREATE UNIQUE INDEX one_ticket_per_run ON tickets (document, train_code, service_day, ordinal) WHERE live = 1;
CREATE UNIQUE INDEX one_student_trip ON tickets (document, student_year, student_trip)
    WHERE live >= 1 AND student_trip IS NOT NULL;
CREATE INDEX rush_tickets ON tickets (account, departs_at_ms) WHERE live >= 1 AND rush = 1;

-- A person is on one train at a time. An order's own legs are checked before it is recorded. Checked after the indexes
-- above, so that a second ticket for one run is told as that.
ALTER TABLE tickets ADD CONSTRAINT no_overlap EXCLUDE USING gist (
    document WITH =,
    order_id WITH <>,
    int8range(departs_at_ms, arrives_at_ms) WITH &&
) WHERE (live >= 1);
