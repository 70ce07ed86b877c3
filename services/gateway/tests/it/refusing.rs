//! What bad input gets: the field, what is allowed, and nothing changed.

use domain::Channel;
use proto::gateway::v1::{CancelOrderRequest, JoinWaitlistRequest, LegRequest, ListOrdersRequest, PlaceOrderRequest};
use rpc::identity::Identity;
use rpc::{Failure, reason};
use tonic::Code;

use crate::fixture::*;

/// One wrong thing about an order, and the field that must be named.
fn wrong_orders() -> Vec<(&'static str, PlaceOrderRequest)> {
    let leg = |change: fn(&mut LegRequest)| {
        let mut leg = g71();
        change(&mut leg);
        PlaceOrderRequest { legs: vec![leg], ..order(1) }
    };
    let passenger = |change: fn(&mut proto::common::v1::Passenger)| {
        let mut second = adult(DOCUMENTS[1]);
        change(&mut second);
        PlaceOrderRequest { passengers: vec![adult(DOCUMENTS[0]), second], ..order(1) }
    };
    vec![
        ("order_id", PlaceOrderRequest { order_id: "1".into(), ..order(1) }),
        ("order_id", PlaceOrderRequest { order_id: order_id(1).to_uppercase(), ..order(1) }),
        ("legs", PlaceOrderRequest { legs: vec![], ..order(1) }),
        ("legs", PlaceOrderRequest { legs: vec![g71(), g71(), g71()], ..order(1) }),
        ("legs[1].train_code", PlaceOrderRequest { legs: vec![g71(), g71()], ..order(1) }),
        ("legs[0].train_code", leg(|leg| leg.train_code = "g71".into())),
        ("legs[0].train_code", leg(|leg| leg.train_code = "G9999".into())),
        ("legs[0].boarding_date", leg(|leg| leg.boarding_date = "2026-02-30".into())),
        ("legs[0].boarding_date", leg(|leg| leg.boarding_date = "tomorrow".into())),
        ("legs[0].boarding_date", leg(|leg| leg.boarding_date = "2026-11-21".into())),
        ("legs[0].boarding_date", leg(|leg| leg.boarding_date = "2026-12-08".into())),
        ("legs[0].from_station", leg(|leg| leg.from_station = "亚特兰蒂斯".into())),
        ("legs[0].from_station", leg(|leg| leg.from_station = "包头".into())),
        ("legs[0].from_station", leg(|leg| leg.from_station = "x".repeat(10_000))),
        ("legs[0].to_station", leg(|leg| leg.to_station = String::new())),
        ("legs[0].to_station", leg(|leg| leg.to_station = leg.from_station.clone())),
        ("legs[0].to_station", leg(|leg| std::mem::swap(&mut leg.from_station, &mut leg.to_station))),
        ("legs[0].seat_class", leg(|leg| leg.seat_class = 0)),
        ("legs[0].seat_class", leg(|leg| leg.seat_class = 7)),
        ("legs[0].seat_class", leg(|leg| leg.seat_class = -3)),
        ("passengers", PlaceOrderRequest { passengers: vec![], ..order(1) }),
        ("passengers", PlaceOrderRequest { passengers: vec![adult(DOCUMENTS[0]); 6], ..order(1) }),
        ("passengers[1].name", passenger(|passenger| passenger.name = String::new())),
        ("passengers[1].name", passenger(|passenger| passenger.name = "名".repeat(61))),
        ("passengers[1].document_kind", passenger(|passenger| passenger.document_kind = 0)),
        ("passengers[1].document_kind", passenger(|passenger| passenger.document_kind = 99)),
        (
            "passengers[1].document_number",
            passenger(|passenger| passenger.document_number = "440524188001010015".into()),
        ),
        ("passengers[1].document_number", passenger(|passenger| passenger.document_number = DOCUMENTS[0].into())),
        ("passengers[1].kind", passenger(|passenger| passenger.kind = 17)),
        ("passengers[1].preference", passenger(|passenger| passenger.preference = 99)),
        ("channel", PlaceOrderRequest { channel: 9, ..order(1) }),
        ("quoted_fen", PlaceOrderRequest { quoted_fen: -1, ..order(1) }),
    ]
}

#[tokio::test]
async fn every_wrong_field_of_an_order_is_named_with_what_is_allowed() {
    let gateway = gateway().await;
    let mut client = gateway.passenger();
    for (field, request) in wrong_orders() {
        let failure = Failure::from(client.place_order(request).await.unwrap_err());
        assert_eq!(failure.code, Code::InvalidArgument, "{field}: {failure}");
        assert_eq!(failure.fields.len(), 1, "{field}: {failure}");
        assert_eq!(failure.fields[0].0, field, "{failure}");
        assert!(!failure.fields[0].1.is_empty(), "{failure}");
        for number in DOCUMENTS {
            assert!(!failure.message.contains(number), "no message repeats a document: {failure}");
        }
    }
    assert!(gateway.shard.0.holds.lock().is_empty(), "nothing was held");
    assert!(gateway.orders.0.opened.lock().is_empty(), "nothing was opened");
}

#[tokio::test]
async fn the_presale_horizon_is_told_with_its_days() {
    let gateway = gateway().await;
    let leg = LegRequest { boarding_date: "2026-12-08".into(), ..g71() };
    let request = PlaceOrderRequest { legs: vec![leg], ..order(1) };
    let failure = Failure::from(gateway.passenger().place_order(request.clone()).await.unwrap_err());
    assert_eq!(failure.reason, reason::PRESALE_HORIZON);
    assert_eq!((failure.value("first_date"), failure.value("last_date")), (Some("2026-11-22"), Some("2026-12-07")));
    // A day later it is on sale.
    gateway.clock.advance_ms(86_400_000 - 1_000);
    gateway.passenger().place_order(request).await.unwrap();
}

#[tokio::test]
async fn an_unknown_station_comes_with_what_may_have_been_meant() {
    let gateway = gateway().await;
    let leg = LegRequest { from_station: "beijingx".into(), ..g71() };
    let request = PlaceOrderRequest { legs: vec![leg], ..order(1) };
    let failure = Failure::from(gateway.passenger().place_order(request).await.unwrap_err());
    assert!(failure.message.contains("北京西"), "{failure}");
}

#[tokio::test]
async fn nothing_is_sold_outside_the_selling_hours() {
    let gateway = gateway().await;
    let placed = gateway.passenger().place_order(order(7)).await.unwrap().into_inner();
    // 02:00 on the next day.
    gateway.clock.advance_ms(16 * 3_600_000);
    let failure = Failure::from(gateway.passenger().place_order(order(1)).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::SELLING_HOURS));
    // 2026-11-23 at 05:00 in Shanghai.
    assert_eq!(failure.value("opens_at_ms"), Some("1795381200000"));
    // What was accepted is answered again, at any hour and when the date is not on sale any more.
    assert_eq!(gateway.passenger().place_order(order(7)).await.unwrap().into_inner(), placed);
    gateway.clock.advance_ms(20 * 86_400_000);
    let failure = Failure::from(gateway.passenger().place_order(order(1)).await.unwrap_err());
    assert_eq!(failure.reason, reason::PRESALE_HORIZON);
    assert_eq!(gateway.passenger().place_order(order(7)).await.unwrap().into_inner(), placed);
}

#[tokio::test]
async fn a_channel_must_be_allowed_by_the_token() {
    let gateway = gateway().await;
    let at_window = PlaceOrderRequest { channel: 2, ..order(1) };
    let failure = Failure::from(gateway.passenger().place_order(at_window.clone()).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::PermissionDenied, reason::CHANNEL_NOT_ALLOWED));
    gateway.window().place_order(at_window).await.unwrap();
    assert_eq!(gateway.shard.0.holds.lock()[0].channel, i32::from(Channel::Window.code()));
}

#[tokio::test]
async fn a_flood_of_one_account_is_refused_and_says_when_to_try_again() {
    let options = gateway::Options {
        limiter: gateway::LimiterOptions { person_per_second: 1, person_burst: 2, ..Default::default() },
        ..Default::default()
    };
    let gateway = gateway_with(options).await;
    let mut client = gateway.passenger();
    client.place_order(order(1)).await.unwrap();
    client.place_order(order(2)).await.unwrap();
    let failure = Failure::from(client.place_order(order(3)).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::ResourceExhausted, reason::RATE_LIMITED));
    assert_eq!(failure.retry_after_ms, Some(1_000));
    // Cancelling is never limited, and others are not touched.
    client.cancel_order(CancelOrderRequest { order_id: order_id(1) }).await.unwrap();
    let other = Identity::passenger("another".parse().unwrap());
    gateway.client(&other).place_order(order(4)).await.unwrap();
}

#[tokio::test]
async fn other_calls_name_their_fields_too() {
    let gateway = gateway().await;
    let mut client = gateway.passenger();
    let page = ListOrdersRequest { page_size: 101, page_token: String::new() };
    assert_eq!(Failure::from(client.list_orders(page).await.unwrap_err()).fields[0].0, "page_size");
    let cancel = CancelOrderRequest { order_id: "x".into() };
    assert_eq!(Failure::from(client.cancel_order(cancel).await.unwrap_err()).fields[0].0, "order_id");
    let join = JoinWaitlistRequest {
        entry_id: order_id(1),
        leg: Some(LegRequest { train_code: "?".into(), ..g71() }),
        passengers: vec![adult(DOCUMENTS[0])],
        ..JoinWaitlistRequest::default()
    };
    assert_eq!(Failure::from(client.join_waitlist(join).await.unwrap_err()).fields[0].0, "leg.train_code");
    let no_leg = JoinWaitlistRequest { entry_id: order_id(1), ..JoinWaitlistRequest::default() };
    assert_eq!(Failure::from(client.join_waitlist(no_leg).await.unwrap_err()).fields[0].0, "leg");
    assert!(gateway.waitlist.0.lock().is_empty());
}
