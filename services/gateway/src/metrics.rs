use std::sync::LazyLock;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("gateway")
        .u64_counter("chunyun.gateway.orders.refused")
        .with_unit("{order}")
        .with_description("orders refused, by reason")
        .build()
});

static FOLDED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("gateway")
        .u64_counter("chunyun.gateway.orders.folded")
        .with_unit("{order}")
        .with_description("duplicate submissions answered with the first one's outcome")
        .build()
});

static LOCAL_LIMITS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("gateway")
        .u64_counter("chunyun.gateway.limits.local")
        .with_unit("{call}")
        .with_description("calls limited locally because the shared limits did not answer")
        .build()
});

/// Counts an order that was refused.
pub fn refused(reason: &'static str) {
    REFUSED.add(1, &[KeyValue::new("reason", reason)]);
}

/// Counts a duplicate submission.
pub fn folded() {
    FOLDED.add(1, &[]);
}

/// Counts a call for which Redis did not answer.
pub fn limited_locally() {
    LOCAL_LIMITS.add(1, &[]);
}
