//! What bad input gets from a running fleet: a stable reason, the field by name, and nothing changed.

use proto::gateway::v1::{self as gateway, PlaceOrderRequest};
use tonic::{Code, Status};

use crate::support::client::{Caller, fields, new_id, order_for, passenger, reason, service_date};
use crate::support::process::Serving;

/// A wrong order, made from a right one.
struct Case {
    what: &'static str,
    spoil: fn(&mut PlaceOrderRequest),
    field: &'static str,
}

const CASES: [Case; 13] = [
    Case { what: "unknown train", spoil: |o| o.legs[0].train_code = "G9999".into(), field: "legs[0].train_code" },
    Case {
        what: "a train code that is none",
        spoil: |o| o.legs[0].train_code = "g 71".into(),
        field: "legs[0].train_code",
    },
    Case {
        what: "unknown station",
        spoil: |o| o.legs[0].from_station = "Atlantis".into(),
        field: "legs[0].from_station",
    },
    Case {
        what: "a station the train passes by",
        spoil: |o| o.legs[0].to_station = "上海虹桥".into(),
        field: "legs[0].to_station",
    },
    Case {
        what: "a date that is none",
        spoil: |o| o.legs[0].boarding_date = "2026-02-30".into(),
        field: "legs[0].boarding_date",
    },
    Case {
        what: "a date far ahead",
        spoil: |o| o.legs[0].boarding_date = "2199-01-01".into(),
        field: "legs[0].boarding_date",
    },
    Case {
        what: "reversed stops",
        spoil: |o| {
            let leg = &mut o.legs[0];
            std::mem::swap(&mut leg.from_station, &mut leg.to_station);
        },
        field: "legs[0].to_station",
    },
    Case {
        what: "equal stops",
        spoil: |o| o.legs[0].to_station = o.legs[0].from_station.clone(),
        field: "legs[0].to_station",
    },
    Case {
        what: "a wrong check digit",
        spoil: |o| {
            o.passengers[0].document_kind = 1;
            o.passengers[0].document_number = "110105194912310021".into();
        },
        field: "passengers[0].document_number",
    },
    Case {
        what: "a passenger twice",
        spoil: |o| o.passengers.push(passenger(1)),
        field: "passengers[1].document_number",
    },
    Case {
        what: "too many passengers",
        spoil: |o| o.passengers = (1..=6).map(passenger).collect(),
        field: "passengers",
    },
    Case { what: "nobody", spoil: |o| o.passengers.clear(), field: "passengers" },
    Case {
        what: "a name with a control character",
        spoil: |o| o.passengers[0].name = "Li\u{7}".into(),
        field: "passengers[0].name",
    },
];

async fn seats_left(caller: &Caller) -> u32 {
    let query = proto::query::v1::SearchTrainsRequest {
        from: "北京西".to_owned(),
        to: "深圳北".to_owned(),
        boarding_date: service_date(),
        ..Default::default()
    };
    let request = gateway::SearchTrainsRequest { query: Some(query) };
    let result = caller.gateway().search_trains(request).await.unwrap().into_inner().result.unwrap();
    let journeys = result.journeys.iter().filter(|journey| journey.run.as_ref().unwrap().train_code == "G71");
    journeys.flat_map(|journey| &journey.availability).map(|available| available.seats).sum()
}

#[tokio::test]
async fn wrong_orders_name_the_field_and_change_nothing() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&["G71"]).await;
    let caller = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let before = seats_left(&caller).await;
    assert!(before > 0);

    for case in CASES {
        let mut order = order_for("G71", "北京西", "深圳北", &[1]);
        (case.spoil)(&mut order);
        let status = caller.gateway().place_order(order).await.expect_err(case.what);
        assert!(matches!(status.code(), Code::InvalidArgument | Code::NotFound), "{}: {status:?}", case.what);
        assert!(
            fields(&status).iter().any(|field| field == case.field),
            "{}: {:?} {status:?}",
            case.what,
            fields(&status)
        );
        assert!(!reason(&status).is_empty(), "{}: {status:?}", case.what);
    }
    assert_eq!(seats_left(&caller).await, before);
    let listed = caller.gateway().list_orders(gateway::ListOrdersRequest::default()).await.unwrap().into_inner();
    assert!(listed.orders.is_empty());
}

#[tokio::test]
async fn strangers_and_liars_are_told_so() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&["G71"]).await;
    let alice = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let bob = Caller::new(&serving.gateway(), data.path(), "bob", &[]).await;

    let order = order_for("G71", "北京西", "深圳北", &[1]);
    let placed = alice.gateway().place_order(order.clone()).await.unwrap().into_inner().order.unwrap();
    let again = alice.gateway().place_order(order.clone()).await.unwrap().into_inner().order.unwrap();
    assert_eq!(placed, again, "the same id with the same content answers the same");

    let other = PlaceOrderRequest { passengers: vec![passenger(2)], ..order.clone() };
    let status = alice.gateway().place_order(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED", "{status:?}");

    let not_found = |status: Status| assert_eq!(status.code(), Code::NotFound, "{status:?}");
    let order_id = order.order_id;
    not_found(bob.gateway().get_order(gateway::GetOrderRequest { order_id: order_id.clone() }).await.unwrap_err());
    not_found(
        bob.gateway().cancel_order(gateway::CancelOrderRequest { order_id: order_id.clone() }).await.unwrap_err(),
    );
    let pay = gateway::PayOrderRequest { order_id, payment_token: "sandbox-ok".to_owned() };
    not_found(bob.gateway().pay_order(pay).await.unwrap_err());
    not_found(bob.gateway().get_order(gateway::GetOrderRequest { order_id: new_id() }).await.unwrap_err());

    let request = gateway::OpenSaleRequest { service_date: service_date(), ..Default::default() };
    let status = bob.operator().open_sale(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
}

#[tokio::test]
async fn oversize_requests_are_refused_by_a_documented_code() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    let caller = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let mut order = order_for("G71", "北京西", "深圳北", &[1]);
    order.passengers[0].name = "x".repeat(200_000);
    let status = caller.gateway().place_order(order).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}
