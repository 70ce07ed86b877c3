//! Health and the way a server goes away.

use std::time::Duration;

use proto::gateway::v1::OpenSaleRequest;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use rpc::{Component, Failure, Limits, reason};
use tokio::sync::oneshot;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{ask, role, stream_end};

#[tokio::test]
async fn a_watcher_sees_not_serving_before_calls_are_refused() {
    let role = role(Limits::default()).await;
    let request = HealthCheckRequest { service: "chunyun.query.v1.QueryService".into() };
    let mut watch = HealthClient::new(role.network()).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let drained = role.running.drain(Duration::from_millis(300));
    let seen = async {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        // Within the notice it still answers: load balancers need a moment.
        ask(role.network(), "hello").await.unwrap()
    };
    let ((), answer) = tokio::join!(drained, seen);
    assert_eq!(answer, ["hello"]);
    let failure = Failure::from(ask(role.switchboard.link("query"), "hello").await.unwrap_err());
    assert_eq!(failure.reason, reason::DRAINING);
    role.running.join().await;
}

#[tokio::test]
async fn calls_in_flight_finish_and_streams_are_told() {
    let role = role(Limits::default()).await;
    let waiting = tokio::spawn(ask(role.network(), "wait"));
    role.entered.notified().await;
    let mut stream =
        OperatorServiceClient::new(role.network()).open_sale(OpenSaleRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let drained = role.running.drain(Duration::ZERO);
    let finished = async {
        let status = stream_end(&mut stream).await;
        assert_eq!(Failure::from_status(&status).reason, reason::DRAINING);
        role.go_on.notify_one();
        waiting.await.unwrap()
    };
    let ((), answer) = tokio::join!(drained, finished);
    assert_eq!(answer.unwrap(), ["waited"]);
    assert!(tokio::net::TcpStream::connect(role.address.trim_start_matches("http://")).await.is_err());
    tokio::time::timeout(Duration::from_secs(5), role.running.join()).await.unwrap();
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_hold_the_drain_up() {
    let role = role(Limits { drain_ms: 200, deadline_max_ms: 60_000, ..Limits::default() }).await;
    let stuck = tokio::spawn(ask(role.network(), "for ever"));
    role.entered.notified().await;
    tokio::time::timeout(Duration::from_secs(3), role.running.drain(Duration::ZERO)).await.unwrap();
    assert!(stuck.await.unwrap().is_err());
    tokio::time::timeout(Duration::from_secs(3), role.running.join()).await.unwrap();
}

#[tokio::test]
async fn a_component_serves_when_it_is_ready_and_its_tasks_end_when_it_is_joined() {
    let (become_ready, condition) = oneshot::channel::<()>();
    let (tell_end, ended) = oneshot::channel();
    let running = Component::new("empty", Limits::default())
        .ready_when(async { condition.await.unwrap() })
        .task("waits", |stop| async move {
            stop.cancelled().await;
            tell_end.send(()).unwrap();
        })
        .start()
        .await;
    let switchboard = rpc::Switchboard::new();
    switchboard.connect("empty", running.stack());
    let mut health = HealthClient::new(switchboard.link("empty"));
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    become_ready.send(()).unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert!(running.ready().await);
    running.drain(Duration::ZERO).await;
    running.join().await;
    ended.await.unwrap();
}

#[tokio::test]
async fn a_task_that_panics_fails_its_component() {
    let running =
        Component::new("empty", Limits::default()).task("breaks", |_| async { panic!("as asked") }).start().await;
    tokio::time::timeout(Duration::from_secs(5), running.failed()).await.unwrap();
    running.join().await;
}
