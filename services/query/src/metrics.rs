//! What an operator watches: boards that arrive, subscriptions that break, answers from old boards.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};

use crate::boards::Stored;

struct Instruments {
    boards: Counter<u64>,
    subscriptions_lost: Counter<u64>,
    stale_answers: Counter<u64>,
    lag: Gauge<i64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("query");
    Instruments {
        boards: meter
            .u64_counter("chunyun.query.boards")
            .with_unit("{board}")
            .with_description("Boards received from shards, by what became of them")
            .build(),
        subscriptions_lost: meter
            .u64_counter("chunyun.query.subscriptions.lost")
            .with_unit("{stream}")
            .with_description("Streams of boards that ended or could not be opened")
            .build(),
        stale_answers: meter
            .u64_counter("chunyun.query.stale.answers")
            .with_unit("{journey}")
            .with_description("Journeys shown from a board older than the stated bound")
            .build(),
        lag: meter
            .i64_gauge("chunyun.query.boards.lag")
            .with_unit("ms")
            .with_description("How old the newest proof of a shard was that its boards hold, when it arrived")
            .build(),
    }
});

/// A board arrived.
pub fn board_arrived(stored: Stored) {
    let outcome = match stored {
        Stored::Newer => "newer",
        Stored::Known => "known",
        Stored::Full => "no_room",
    };
    INSTRUMENTS.boards.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// A subscription's stream ended.
pub fn subscription_lost(shard: &str) {
    INSTRUMENTS.subscriptions_lost.add(1, &[KeyValue::new("shard", shard.to_owned())]);
}

/// Journeys were shown from boards older than the bound.
pub fn stale_answers(journeys: usize) {
    if journeys > 0 {
        INSTRUMENTS.stale_answers.add(journeys as u64, &[]);
    }
}

/// So old was a shard's newest proof when it arrived, in ms.
pub fn boards_lag(shard: &str, lag_ms: i64) {
    INSTRUMENTS.lag.record(lag_ms, &[KeyValue::new("shard", shard.to_owned())]);
}
