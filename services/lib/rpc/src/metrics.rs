use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use tonic::Code;

/// Seconds: from a tenth of a millisecond (an answer from memory) to the deadline cap.
const BOUNDARIES: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

static CALL_DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("rpc")
        .f64_histogram("rpc.server.call.duration")
        .with_unit("s")
        .with_description("duration of calls answered, by method and status")
        .with_boundaries(BOUNDARIES.to_vec())
        .build()
});

/// Records one answered call: rate, errors and duration of a method come from this.
pub(crate) fn record_call(method: &'static str, code: Code, took: Duration) {
    let attributes = [
        KeyValue::new("rpc.system.name", "grpc"),
        KeyValue::new("rpc.method", method),
        KeyValue::new("rpc.response.status_code", code_name(code)),
    ];
    CALL_DURATION.record(took.as_secs_f64(), &attributes);
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
