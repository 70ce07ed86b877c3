use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Response, Status};
use tower::ServiceExt;

use super::*;

/// A collector that hands on the names of the spans it is sent.
struct Collector(mpsc::Sender<Vec<String>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let names = spans.flat_map(|scope| scope.spans).map(|span| span.name).collect();
        self.0.send(names).await.map_err(|_| Status::unavailable("nobody listens"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_and_metrics_are_text() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut exported) = mpsc::channel(8);
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    let collector = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let options = TelemetryOptions {
        otlp_endpoint: Some(endpoint),
        otlp_sample_percent: 100,
        log_format: LogFormat::Json,
        ..TelemetryOptions::default()
    };
    let guard = init(&options, "gateway", "0.1.0").unwrap();
    tracing::debug_span!(target: "rpc", "call", otel.name = "/chunyun.order.v1.OrderService/GetOrder").in_scope(|| {});
    tracing::debug_span!(target: "h2", "noise").in_scope(|| {});
    let meter = opentelemetry::global::meter("test");
    let duration = meter.f64_histogram("rpc.server.call.duration").with_unit("s").build();
    duration.record(0.25, &[KeyValue::new("rpc.method", "GetOrder")]);

    let answer = guard.routes().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let text = String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    let count = text.lines().find(|line| line.starts_with("rpc_server_call_duration_seconds_count")).unwrap();
    assert!(count.contains(r#"rpc_method="GetOrder""#) && count.ends_with(" 1"), "{count}");

    tokio::task::spawn_blocking(|| guard.shutdown()).await.unwrap();
    let names = tokio::time::timeout(Duration::from_secs(10), exported.recv()).await.unwrap().unwrap();
    assert_eq!(names, ["/chunyun.order.v1.OrderService/GetOrder"]);
    collector.abort();
}

#[test]
fn wrong_options_are_refused_by_name() {
    let wrong = TelemetryOptions { otlp_endpoint: Some("collector:4317".into()), ..TelemetryOptions::default() };
    assert_eq!(wrong.validate().unwrap_err().what, "otlp_endpoint");
    let wrong = TelemetryOptions { otlp_sample_percent: 101, ..TelemetryOptions::default() };
    assert_eq!(wrong.validate().unwrap_err().what, "otlp_sample_percent");
}
