//! Bad input on the wire: only documented statuses, never INTERNAL.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use rpc::{Failure, Limits, reason};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::fixture::{Role, role};

const FIND_STATIONS: &str = "/chunyun.query.v1.QueryService/FindStations";

/// Sends raw bytes to a method, in-process and over the network, and expects the same failure from both.
async fn send(role: &Role, path: &str, headers: &[(&'static str, String)], body: &[u8]) -> Failure {
    let channel = tonic::transport::Endpoint::from_shared(role.address.clone()).unwrap().connect_lazy();
    let mut failures = Vec::new();
    for network in [false, true] {
        let mut request = Request::post(format!("{}{path}", role.address));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(Full::new(Bytes::copy_from_slice(body))))
            .unwrap();
        let response = if network {
            channel.clone().ready().await.unwrap().call(request).await.unwrap()
        } else {
            role.switchboard.link("query").call(request).await.unwrap()
        };
        failures.push(failure_of(response).await);
    }
    assert_eq!(failures[0], failures[1], "in-process and over the network differ");
    failures.remove(0)
}

async fn failure_of(response: http::Response<Body>) -> Failure {
    let headers = response.headers().clone();
    let trailers = response.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
    let status = |map: &HeaderMap| Status::from_header_map(map);
    Failure::from(status(&headers).or_else(|| status(&trailers)).expect("a status"))
}

/// A gRPC message: compression flag, length, bytes.
fn message(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    let mut framed = vec![flag];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(bytes);
    framed
}

#[tokio::test]
async fn what_cannot_be_decoded_is_an_invalid_argument() {
    let role = role(Limits::default()).await;
    let whole = |bytes: &[u8]| message(0, bytes.len() as u32, bytes);
    let cases: [(&str, Vec<u8>); 6] = [
        ("a field that ends early", whole(&[0x0a, 0x7f, b'x'])),
        ("text that is not UTF-8", whole(&[0x0a, 0x02, 0xff, 0xfe])),
        ("an impossible wire type", whole(&[0x0f])),
        ("a head without its message", message(0, 10, b"abc")),
        ("no message at all", Vec::new()),
        ("an unknown compression flag", message(9, 1, b"x")),
    ];
    for (name, body) in cases {
        let failure = send(&role, FIND_STATIONS, &[], &body).await;
        assert_eq!((failure.code, failure.reason), (Code::InvalidArgument, reason::UNDECODABLE), "{name}: {failure}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_limit() {
    let role = role(Limits { message_bytes_max: 2_048, ..Limits::default() }).await;
    let fits = send(&role, FIND_STATIONS, &[], &message(0, 2_048, &[0; 2_048])).await;
    assert_eq!(fits.reason, reason::UNDECODABLE, "a message at the limit is read");
    let failure = send(&role, FIND_STATIONS, &[], &message(0, 2_049, &[0; 2_049])).await;
    assert_eq!((failure.code, failure.reason), (Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE));
    assert_eq!(failure.value("limit_bytes"), Some("2048"));
    let announced = send(&role, FIND_STATIONS, &[], &message(0, u32::MAX, b"")).await;
    assert_eq!(announced.reason, reason::MESSAGE_TOO_LARGE, "refused by its head, before it is collected");
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused() {
    let role = role(Limits::default()).await;
    let failure = send(&role, FIND_STATIONS, &[("x-padding", "p".repeat(9_000))], &message(0, 0, b"")).await;
    assert_eq!((failure.code, failure.reason), (Code::ResourceExhausted, reason::METADATA_TOO_LARGE));
}

#[tokio::test]
async fn a_deadline_that_is_none_names_its_header() {
    let role = role(Limits::default()).await;
    let channel = tonic::transport::Endpoint::from_shared(role.address.clone()).unwrap().connect_lazy();
    let request = Request::post(format!("{}{FIND_STATIONS}", role.address))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "soon")
        .body(Body::new(Full::new(Bytes::from(message(0, 0, b"")))))
        .unwrap();
    let failure = failure_of(channel.oneshot(request).await.unwrap()).await;
    assert_eq!(failure.code, Code::InvalidArgument);
    assert_eq!(failure.fields[0].0, "grpc-timeout");
}

#[tokio::test]
async fn a_method_or_service_that_does_not_exist_is_unimplemented() {
    let role = role(Limits::default()).await;
    for path in ["/chunyun.query.v1.QueryService/Nothing", "/nobody.v1.Service/Nothing", "/", "/x"] {
        let failure = send(&role, path, &[], &message(0, 0, b"")).await;
        assert_eq!((failure.code, failure.reason), (Code::Unimplemented, reason::METHOD_UNKNOWN), "{path}");
    }
}

#[tokio::test]
async fn a_handlers_internal_error_is_hidden() {
    let role = role(Limits::default()).await;
    for link in role.links() {
        let failure = Failure::from(crate::fixture::ask(link, "internal").await.unwrap_err());
        assert_eq!((failure.code, failure.reason), (Code::Unavailable, reason::UNEXPECTED));
        assert!(!failure.message.contains("library"), "{failure}");
    }
}
