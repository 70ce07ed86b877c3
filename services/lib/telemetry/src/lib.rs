//! Logs, traces and metrics of a process, switched on by configuration.
//!
//! Logs go to standard error, plain or as JSON. Metrics are recorded through `opentelemetry::global::meter` everywhere
//! and read as Prometheus text ([`Guard::routes`]). With an OTLP endpoint configured, traces and metrics are exported
//! there too; without one, trace contexts still pass through every hop, but no span is made.

mod init;
mod options;
mod prometheus_text;

pub use init::{Guard, TelemetryError, init};
pub use options::{LogFormat, TelemetryOptions};

#[cfg(test)]
mod tests;
