//! What an operator watches: orders by where they went, effects that failed, sweeps that failed, time to the ticket.

use std::sync::LazyLock;

use domain::{Channel, Time};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

use crate::order::{Order, Phase};
use crate::state::Effect;

struct Instruments {
    placed: Counter<u64>,
    moves: Counter<u64>,
    effects_failed: Counter<u64>,
    sweeps_failed: Counter<u64>,
    ticket_seconds: Histogram<f64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("order");
    Instruments {
        placed: meter
            .u64_counter("chunyun.order.placed")
            .with_unit("{order}")
            .with_description("Orders recorded, by channel")
            .build(),
        moves: meter
            .u64_counter("chunyun.order.moves")
            .with_unit("{order}")
            .with_description("Orders that reached a state, by state and reason")
            .build(),
        effects_failed: meter
            .u64_counter("chunyun.order.effects.failed")
            .with_unit("{effect}")
            .with_description("Calls to inventory or payment that have to be made again, by kind")
            .build(),
        sweeps_failed: meter
            .u64_counter("chunyun.order.sweeps.failed")
            .with_unit("{order}")
            .with_description("Due orders the sweeper could not go on with")
            .build(),
        ticket_seconds: meter
            .f64_histogram("chunyun.order.ticket.duration")
            .with_unit("s")
            .with_description("From the recorded order to its tickets")
            .build(),
    }
});

/// An order was recorded.
pub fn placed(channel: Channel) {
    INSTRUMENTS.placed.add(1, &[KeyValue::new("channel", channel.name())]);
}

/// An order changed.
pub fn moved(before: &Order, after: &Order, now: Time) {
    if before.phase == after.phase {
        return;
    }
    let reason = after.phase.reason().map_or("none", |reason| reason.name());
    INSTRUMENTS.moves.add(1, &[KeyValue::new("state", after.phase.name()), KeyValue::new("reason", reason)]);
    if after.phase == Phase::Confirmed {
        INSTRUMENTS.ticket_seconds.record(now.millis_since(after.created_at) as f64 / 1_000.0, &[]);
    }
}

/// A call to inventory or payment has to be made again.
pub fn effect_failed(effect: &Effect) {
    let kind = match effect {
        Effect::OpenHold { .. } => "open_hold",
        Effect::Confirm { .. } => "confirm",
        Effect::Release { .. } => "release",
        Effect::HoldAgain { .. } => "hold_again",
        Effect::ReturnSeats { .. } => "return_seats",
        Effect::CreateTrade { .. } => "create_trade",
        Effect::QueryTrade { .. } => "query_trade",
        Effect::CloseTrade { .. } => "close_trade",
        Effect::CreateRefund { .. } => "create_refund",
        Effect::QueryRefund { .. } => "query_refund",
    };
    INSTRUMENTS.effects_failed.add(1, &[KeyValue::new("effect", kind)]);
}

/// A due order could not be gone on with.
pub fn sweep_failed() {
    INSTRUMENTS.sweeps_failed.add(1, &[]);
}
