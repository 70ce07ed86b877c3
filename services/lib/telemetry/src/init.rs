use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use axum::Router;
use domain::Invalid;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry as Subscriber};

use crate::{LogFormat, TelemetryOptions, prometheus_text};

/// Keeps telemetry on. [`Guard::shutdown`] sends what is not sent yet.
pub struct Guard {
    registry: Registry,
    meters: SdkMeterProvider,
    tracer: Option<SdkTracerProvider>,
}

/// Telemetry could not be switched on.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// An option that cannot be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A log filter that is none.
    #[error("log_filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter to the collector.
    #[error("otlp exporter")]
    Otlp(#[from] ExporterBuildError),
    /// The metrics.
    #[error("metrics")]
    Metrics(#[from] OTelSdkError),
    /// It was switched on before.
    #[error("logs are set up already")]
    Twice(#[from] TryInitError),
}

/// Switches logs, metrics and, where configured, OTLP export on, for the whole process. Must run inside a tokio runtime.
///
/// # Errors
/// Options that cannot be, and a second call in one process.
pub fn init(options: &TelemetryOptions, service: &str, version: &str) -> Result<Guard, TelemetryError> {
    options.validate()?;
    let attributes = [KeyValue::new("service.version", version.to_owned())];
    let resource = Resource::builder().with_service_name(service.to_owned()).with_attributes(attributes).build();
    let registry = Registry::new();
    let meters = meters(options, resource.clone(), &registry)?;
    let tracer = match &options.otlp_endpoint {
        Some(endpoint) => Some(tracer(options, endpoint, resource)?),
        None => None,
    };
    let spans = tracer.as_ref().map(|tracer| {
        // Every hop makes a span of target `rpc` at level debug; libraries' own debug spans are not ours to export.
        let exported = Targets::new().with_default(tracing::Level::INFO).with_target("rpc", tracing::Level::DEBUG);
        tracing_opentelemetry::layer().with_tracer(tracer.tracer("chunyun")).with_filter(exported)
    });
    let logs = logs(options)?;
    tracing_subscriber::registry().with(logs).with(spans).try_init()?;
    global::set_meter_provider(meters.clone());
    Ok(Guard { registry, meters, tracer })
}

fn logs(options: &TelemetryOptions) -> Result<Box<dyn Layer<Subscriber> + Send + Sync>, TelemetryError> {
    let filter = EnvFilter::try_new(&options.log_filter)?;
    // Colours are for terminals, not for files and collectors.
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    Ok(match options.log_format {
        LogFormat::Plain => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

fn meters(
    options: &TelemetryOptions,
    resource: Resource,
    registry: &Registry,
) -> Result<SdkMeterProvider, TelemetryError> {
    let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
    let builder = SdkMeterProvider::builder().with_resource(resource).with_reader(prometheus);
    let Some(endpoint) = &options.otlp_endpoint else { return Ok(builder.build()) };
    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let interval = Duration::from_millis(options.otlp_metrics_interval_ms.into());
    Ok(builder.with_reader(PeriodicReader::builder(exporter).with_interval(interval).build()).build())
}

fn tracer(options: &TelemetryOptions, endpoint: &str, resource: Resource) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let chance = f64::from(options.otlp_sample_percent) / 100.0;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(chance)));
    Ok(SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler).with_batch_exporter(exporter).build())
}

impl Guard {
    /// A route `/metrics` that answers with all metrics in Prometheus' text format.
    pub fn routes(&self) -> Router {
        prometheus_text::routes(self.registry.clone())
    }

    /// Sends what is not sent yet and ends the export. Blocks for some seconds at most when the collector is away.
    pub fn shutdown(self) {
        let traces = self.tracer.map_or(Ok(()), |tracer| tracer.shutdown());
        let metrics = self.meters.shutdown();
        for error in [traces, metrics].into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "telemetry was not sent completely");
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("otlp", &self.tracer.is_some()).finish_non_exhaustive()
    }
}
