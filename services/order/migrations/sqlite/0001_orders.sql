-- Orders, one row each, and their tickets. Amounts are fen, moments are ms since 1970-01-01 UTC, ids are 16 bytes.

CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    -- The railway's day the points below are of, in days since 1970-01-01.
    cancel_day INTEGER NOT NULL,
    -- Unpaid cancellations of that day: an order with seats counts as the policy's seatless_cancellations_as_one points.
    cancel_points INTEGER NOT NULL CHECK (cancel_points >= 0)
);

CREATE TABLE orders (
    order_id BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    channel INTEGER NOT NULL,
    -- Keyed hash of the request that placed it.
    request BLOB NOT NULL,
    phase TEXT NOT NULL,
    end_reason TEXT,
    -- Which of the account's places for unpaid orders it takes; null once nothing is owed, and for channels without limits.
    unpaid_slot INTEGER,
    created_at_ms INTEGER NOT NULL,
    pay_by_ms INTEGER,
    hard_limit_ms INTEGER,
    paid_at_ms INTEGER,
    paid_attempt INTEGER,
    policy_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- When the sweeper looks at it next; null when nothing is left to do.
    due_at_ms INTEGER,
    total_fen INTEGER NOT NULL,
    captured_fen INTEGER NOT NULL CHECK (captured_fen >= 0),
    tickets_fen INTEGER NOT NULL,
    fees_fen INTEGER NOT NULL,
    refunded_fen INTEGER NOT NULL,
    refunding_fen INTEGER NOT NULL,
    -- Legs, trades and refunds as JSON. No personal data.
    body TEXT NOT NULL,
    CONSTRAINT every_fen CHECK (captured_fen = tickets_fen + fees_fen + refunded_fen + refunding_fen)
) WITHOUT ROWID;

CREATE UNIQUE INDEX one_unpaid_order ON orders (account, unpaid_slot) WHERE unpaid_slot IS NOT NULL;
CREATE INDEX orders_due ON orders (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX orders_of_account ON orders (account, created_at_ms, order_id);

CREATE TABLE tickets (
    order_id BLOB NOT NULL REFERENCES orders (order_id),
    -- Which ticket of the order, from 0.
    position INTEGER NOT NULL,
    leg INTEGER NOT NULL,
    passenger INTEGER NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    -- 1 while its passenger may have no other ticket beside it; 2 for one that is to replace a live ticket of its own order.
    live INTEGER NOT NULL,
    train_code TEXT NOT NULL,
    service_day INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    departs_at_ms INTEGER NOT NULL,
    arrives_at_ms INTEGER NOT NULL,
    -- Whether travel is within a rush period.
    rush INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    -- The first half of the keyed look-up hash of the document.
    document BLOB NOT NULL,
    -- Name and document, sealed.
    sealed BLOB NOT NULL,
    fare_fen INTEGER NOT NULL CHECK (fare_fen >= 0),
    fee_fen INTEGER NOT NULL CHECK (fee_fen BETWEEN 0 AND fare_fen),
    refund_fen INTEGER NOT NULL CHECK (refund_fen BETWEEN 0 AND fare_fen - fee_fen),
    seats_returned INTEGER NOT NULL,
    student_year INTEGER,
    -- Which of the year's trips at the student fare.
    student_trip INTEGER,
    PRIMARY KEY (order_id, position)
) WITHOUT ROWID;

CREATE UNIQUE INDEX one_ticket_per_run ON tickets (document, train_code, service_day, ordinal) WHERE live = 1;
CREATE UNIQUE INDEX one_student_trip ON tickets (document, student_year, student_trip)
    WHERE live >= 1 AND student_trip IS NOT NULL;
CREATE INDEX rush_tickets ON tickets (account, departs_at_ms) WHERE live >= 1 AND rush = 1;
CREATE INDEX journeys ON tickets (document, departs_at_ms) WHERE live >= 1;

-- What the exclusion constraint says on Postgres: a person is on one train at a time. An order's own legs are checked
-- before it is recorded. The same run is left to one_ticket_per_run, so that it is told as that.
CREATE TRIGGER no_overlap_insert BEFORE INSERT ON tickets WHEN NEW.live >= 1
BEGIN
    SELECT RAISE(ABORT, 'no_overlap') WHERE EXISTS (
        SELECT 1 FROM tickets
        WHERE document = NEW.document AND live >= 1 AND order_id <> NEW.order_id
          AND departs_at_ms < NEW.arrives_at_ms AND NEW.departs_at_ms < arrives_at_ms
          AND NOT (train_code = NEW.train_code AND service_day = NEW.service_day AND ordinal = NEW.ordinal)
    );
END;

CREATE TRIGGER no_overlap_update BEFORE UPDATE ON tickets WHEN NEW.live >= 1
BEGIN
    SELECT RAISE(ABORT, 'no_overlap') WHERE EXISTS (
        SELECT 1 FROM tickets
        WHERE document = NEW.document AND live >= 1 AND order_id <> NEW.order_id
          AND departs_at_ms < NEW.arrives_at_ms AND NEW.departs_at_ms < arrives_at_ms
          AND NOT (train_code = NEW.train_code AND service_day = NEW.service_day AND ordinal = NEW.ordinal)
    );
END;
