//! What operators do.

use proto::common::v1::Run;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use proto::gateway::v1::*;
use rpc::identity::Identity;
use rpc::{Failure, reason};
use tonic::Code;

use crate::fixture::*;

fn all_of(date: &str) -> OpenSaleRequest {
    OpenSaleRequest { service_date: date.into(), ..OpenSaleRequest::default() }
}

#[tokio::test]
async fn a_sale_is_opened_train_by_train_and_repeating_it_sends_the_same() {
    let gateway = gateway().await;
    let mut operator = gateway.operator();
    let trains = gateway.timetable.trains().len() as u32;
    for _ in 0..2 {
        let mut steps = operator.open_sale(all_of("2026-12-01")).await.unwrap().into_inner();
        let (mut last, mut count) = (OpenSaleResponse::default(), 0);
        while let Some(step) = steps.message().await.unwrap() {
            count += 1;
            assert_eq!((step.opened, step.total), (count, trains));
            last = step;
        }
        assert_eq!(count, trains, "every train of the sample runs daily");
        assert!(last.places > 10_000);
    }
    let mut opened = gateway.shard.0.opened.lock().clone();
    let again = opened.split_off(trains as usize);
    let key = |request: &proto::inventory::v1::OpenSaleRequest| {
        (request.run.clone().unwrap().train_code, request.request_id.clone())
    };
    let sorted = |requests: &[proto::inventory::v1::OpenSaleRequest]| {
        let mut keys: Vec<_> = requests.iter().map(key).collect();
        keys.sort();
        keys
    };
    assert_eq!(sorted(&opened), sorted(&again));
    assert!(opened.iter().all(|request| request.request_id.len() == 16));
    gateway.stop().await;
}

#[tokio::test]
async fn a_train_that_cannot_be_opened_does_not_stop_the_others_and_is_told_at_the_end() {
    let gateway = gateway().await;
    gateway.shard.0.broken.lock().push("G71".into());
    let request =
        OpenSaleRequest { train_codes: vec!["G71".into(), "K598".into(), "G1".into()], ..all_of("2026-12-01") };
    let mut steps = gateway.operator().open_sale(request).await.unwrap().into_inner();
    let mut opened = 0;
    let status = loop {
        match steps.message().await {
            Ok(Some(step)) => opened = step.opened,
            Ok(None) => panic!("ended as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!(opened, 2);
    let failure = Failure::from(status);
    assert_eq!((failure.reason, failure.value("run")), (reason::ALREADY_ON_SALE, Some("G71@2026-12-01")));
    assert!(failure.message.starts_with("1 of 3 runs"), "{failure}");
}

#[tokio::test]
async fn a_wrong_opening_names_its_field() {
    let gateway = gateway().await;
    let named = |codes: &[&str]| OpenSaleRequest {
        train_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..all_of("2026-12-01")
    };
    for (field, request) in [
        ("service_date", all_of("soon")),
        ("train_codes[1]", named(&["G71", "G9999"])),
        ("train_codes[0]", named(&["?"])),
        ("sale_opens_ms", OpenSaleRequest { sale_opens_ms: -1, ..all_of("2026-12-01") }),
    ] {
        let failure = Failure::from(gateway.operator().open_sale(request).await.unwrap_err());
        assert_eq!((failure.code, failure.fields[0].0.as_str()), (Code::InvalidArgument, field));
    }
}

#[tokio::test]
async fn a_sale_is_closed_and_the_ring_is_shown() {
    let gateway = gateway().await;
    let run = Run { train_code: "G71".into(), service_date: "2026-12-01".into(), ordinal: 0 };
    let close = CloseSaleRequest { run: Some(run), cancelled: true };
    gateway.operator().close_sale(close).await.unwrap();
    let closed = gateway.shard.0.closed.lock().remove(0);
    assert!(closed.cancelled && closed.request_id.len() == 16);
    let ring = gateway.operator().get_ring(GetRingRequest {}).await.unwrap().into_inner();
    assert_eq!(ring.shards.iter().map(|shard| shard.slots).sum::<u32>(), 1_024);
    assert_eq!((ring.shards.len(), ring.shards[0].shard.as_str()), (4, "inventory-shard-0"));
}

#[tokio::test]
async fn only_operators_may() {
    let gateway = gateway().await;
    let somebody = gateway.bearer(&Identity::passenger("somebody".parse().unwrap()));
    let mut client = OperatorServiceClient::with_interceptor(gateway.connection.clone(), somebody);
    let failure = Failure::from(client.get_ring(GetRingRequest {}).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::PermissionDenied, reason::ROLE_MISSING));
    let failure = Failure::from(client.open_sale(all_of("2026-12-01")).await.unwrap_err());
    assert_eq!(failure.reason, reason::ROLE_MISSING);
    assert!(gateway.shard.0.opened.lock().is_empty());
}
