use std::sync::LazyLock;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

static CALLBACKS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("payment")
        .u64_counter("payment.callbacks")
        .with_unit("{callback}")
        .with_description("callbacks of the provider, by what became of them")
        .build()
});

static NOTICES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("payment")
        .u64_counter("payment.notices")
        .with_unit("{notice}")
        .with_description("attempts to tell order what became of a trade or refund, by outcome")
        .build()
});

static CONTRADICTIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("payment")
        .u64_counter("payment.contradictions")
        .with_unit("{answer}")
        .with_description("answers of the provider that do not fit the trade they are about")
        .build()
});

/// A callback came in: `taken` or the reason it was refused with.
pub fn callback(outcome: &'static str) {
    CALLBACKS.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// Order was told, or could not be told.
pub fn notice(taken: bool) {
    NOTICES.add(1, &[KeyValue::new("outcome", if taken { "taken" } else { "failed" })]);
}

/// The provider said what cannot be.
pub fn contradiction() {
    CONTRADICTIONS.add(1, &[]);
}
