//! Deadlines, traces, load and panics.

use std::time::Duration;

use proto::gateway::v1::OpenSaleRequest;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use proto::query::v1::FindStationsRequest;
use proto::query::v1::query_service_client::QueryServiceClient;
use rpc::{CallContext, Failure, Limits, reason};
use tonic::{Code, Request};

use crate::fixture::{ask, role, stream_end};

#[tokio::test]
async fn a_deadline_is_honoured() {
    let role = role(Limits::default()).await;
    for link in role.links() {
        let mut request = Request::new(FindStationsRequest { text: "for ever".into(), limit: 0 });
        request.set_timeout(Duration::from_millis(50));
        let status = QueryServiceClient::new(link.clone()).find_stations(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{link:?}: {status}");
        assert_eq!(Failure::from_status(&status).reason, reason::DEADLINE_EXCEEDED);
    }
}

#[tokio::test]
async fn a_missing_deadline_gets_the_default_and_a_long_one_is_capped() {
    let role = role(Limits { deadline_default_ms: 2_000, deadline_max_ms: 4_000, ..Limits::default() }).await;
    // A client that is not ours sends no deadline of its own.
    let channel = tonic::transport::Endpoint::from_shared(role.address.clone()).unwrap().connect_lazy();
    let mut client = QueryServiceClient::new(channel);
    for (asked, least, most) in [(None, 1_500, 2_000), (Some(60_000), 3_500, 4_000), (Some(1_000), 500, 1_000)] {
        let mut request = Request::new(FindStationsRequest { text: "context".into(), limit: 0 });
        if let Some(millis) = asked {
            request.set_timeout(Duration::from_millis(millis));
        }
        let answer = client.find_stations(request).await.unwrap().into_inner();
        let remaining: u64 = answer.stations[0].name.parse().unwrap();
        assert!((least..=most).contains(&remaining), "asked {asked:?}: {remaining} ms");
    }
}

#[tokio::test]
async fn deadline_and_trace_pass_a_hop_either_way() {
    let role = role(Limits::default()).await;
    for hop in ["hop in-process", "hop over the network"] {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context =
            CallContext { trace: Some(trace.parse().unwrap()), ..CallContext::within(Duration::from_millis(900)) };
        for link in role.links() {
            let words = context.scope(ask(link, hop)).await.unwrap();
            let remaining: u64 = words[0].parse().unwrap();
            assert!((1..=900).contains(&remaining), "{hop}: {remaining} ms");
            assert_eq!(words[1], trace, "{hop}");
        }
    }
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let role = role(Limits::default()).await;
    let status = CallContext::within(Duration::ZERO).scope(ask(role.network(), "panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_panic_answers_unavailable_and_the_next_call_succeeds() {
    let role = role(Limits::default()).await;
    for link in role.links() {
        let status = ask(link.clone(), "panic").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{link:?}: {status}");
        assert!(!status.message().contains("as asked"), "internals stay inside: {status}");
        assert_eq!(ask(link, "hello").await.unwrap(), ["hello"]);
    }
}

#[tokio::test]
async fn a_panic_within_a_stream_ends_it_unavailable() {
    let role = role(Limits::default()).await;
    for link in role.links() {
        let request = OpenSaleRequest { service_date: "panic".into(), ..OpenSaleRequest::default() };
        let mut stream = OperatorServiceClient::new(link).open_sale(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().opened, 0);
        assert_eq!(stream_end(&mut stream).await.code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn more_calls_than_may_be_in_flight_are_refused_at_once_with_when_to_try_again() {
    let role = role(Limits { calls_in_flight_max: 1, ..Limits::default() }).await;
    let waiting = tokio::spawn(ask(role.network(), "wait"));
    role.entered.notified().await;
    for link in role.links() {
        let failure = Failure::from(ask(link, "hello").await.unwrap_err());
        assert_eq!((failure.code, failure.reason), (Code::Unavailable, reason::OVERLOADED));
        assert_eq!(failure.retry_after_ms, Some(200));
    }
    role.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap(), ["waited"]);
    assert_eq!(ask(role.network(), "hello").await.unwrap(), ["hello"], "the place is free again");
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_or_at_its_age() {
    let role = role(Limits { stream_age_max_ms: 1_000, ..Limits::default() }).await;
    for link in role.links() {
        for (timeout_ms, expected) in [(Some(60), reason::DEADLINE_EXCEEDED), (None, reason::STREAM_TOO_OLD)] {
            let mut request = Request::new(OpenSaleRequest::default());
            if let Some(millis) = timeout_ms {
                request.set_timeout(Duration::from_millis(millis));
            }
            let mut stream = OperatorServiceClient::new(link.clone()).open_sale(request).await.unwrap().into_inner();
            let status = stream_end(&mut stream).await;
            assert_eq!(Failure::from_status(&status).reason, expected, "{link:?}");
        }
    }
}

#[tokio::test]
async fn a_role_that_does_not_run_is_unavailable() {
    let switchboard = rpc::Switchboard::new();
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let network = rpc::Link::network(&format!("http://{nowhere}"), &rpc::LinkOptions::default()).unwrap();
    for link in [switchboard.link("query"), network] {
        let failure = Failure::from(ask(link, "hello").await.unwrap_err());
        assert_eq!((failure.code, failure.reason), (Code::Unavailable, reason::UNREACHABLE));
        assert!(failure.retry_after_ms.is_some());
    }
}

#[test]
fn an_address_that_is_none_is_refused() {
    for wrong in ["", "order", "order:7000", "/tmp/x", "http://"] {
        assert!(rpc::Link::network(wrong, &rpc::LinkOptions::default()).is_err(), "{wrong}");
    }
}

/// A server that is busy accepts calls late. Callers who have given up by then are no attack: whoever shares their
/// connection, as everybody behind one gateway does, is still answered.
#[test]
fn callers_who_give_up_together_do_not_break_the_connection_of_others() {
    const HASTY: usize = 200;
    let runtime =
        |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let (servers, clients) = (runtime(1), runtime(1));
    let role = servers.block_on(async { tokio::spawn(role(Limits::default())).await.unwrap() });
    clients.block_on(async {
        let link = role.network();
        ask(link.clone(), "connect").await.unwrap();
        let (busy, is_busy) = tokio::sync::oneshot::channel();
        servers.spawn(async {
            busy.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        });
        is_busy.await.unwrap();
        let patient = tokio::spawn(ask(link.clone(), "patient"));
        let hasty = futures::future::join_all((0..HASTY).map(|_| ask(link.clone(), "hasty")));
        assert!(tokio::time::timeout(Duration::from_millis(100), hasty).await.is_err(), "the server is busy");
        assert_eq!(patient.await.unwrap().unwrap(), ["patient"]);
    });
}
