//! How an order is placed, and what is left behind when it is not.

use domain::{Document, DocumentKind, HoldId, Interval};
use proto::gateway::v1::{LegRequest, PlaceOrderRequest};
use proto::inventory::v1::HoldState;
use rpc::{Failure, reason};
use tonic::Code;

use crate::fake_roles::PRICE_FEN;
use crate::fixture::*;

#[tokio::test]
async fn an_order_holds_seats_for_tokens_and_is_opened_with_its_passengers() {
    let gateway = gateway().await;
    let request = PlaceOrderRequest { passengers: vec![adult(DOCUMENTS[0]), adult(DOCUMENTS[1])], ..order(1) };
    let placed = gateway.passenger().place_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!((placed.order_id, placed.account), (order_id(1), "somebody".into()));

    let held = gateway.shard.0.holds.lock().remove(0);
    let run = held.run.unwrap();
    assert_eq!((run.train_code.as_str(), run.service_date.as_str(), run.ordinal), ("G71", "2026-12-01", 1));
    assert_eq!((held.from_stop, held.to_stop), (0, 17), "the first and the last of 18 stops");
    let id = HoldId::of_order(order_id(1).parse().unwrap(), 0);
    assert_eq!(held.hold_id.as_ref(), id.bytes());
    let document = Document::new(DocumentKind::ResidentId, DOCUMENTS[0]).unwrap();
    let token = person_tokens().token("2026-12-01".parse().unwrap(), &document);
    assert_eq!(held.passengers[0].person.as_ref(), token.0);
    assert!(held.passengers[0].elderly, "born in 1949");
    assert_ne!(held.passengers[0].person, held.passengers[1].person);

    let opened = gateway.orders.0.opened.lock()[&order_id(1)].clone();
    assert_eq!(opened.passengers[1].document_number, DOCUMENTS[1]);
    assert_eq!((opened.legs[0].places.len(), opened.channel), (2, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn who_boards_after_midnight_is_on_the_train_of_the_day_before() {
    let gateway = gateway().await;
    let leg = LegRequest {
        train_code: "K598".into(),
        to_station: "广州".into(),
        seat_class: proto::common::v1::SeatClass::HardSeat.into(),
        ..g71()
    };
    gateway.passenger().place_order(PlaceOrderRequest { legs: vec![leg], ..order(1) }).await.unwrap();
    let held = gateway.shard.0.holds.lock().remove(0);
    // K598 leaves Baotou at 17:28 and Beijing West at 29:14, its ninth stop.
    assert_eq!(held.run.unwrap().service_date, "2026-11-30");
    assert_eq!((held.from_stop, held.to_stop), (8, 34));
}

#[tokio::test]
async fn stations_may_be_given_by_telecode_or_pinyin() {
    let gateway = gateway().await;
    for (number, from, to) in [(1, "BXP", "IOQ"), (2, "beijingxi", "Shenzhen Bei")] {
        let leg = LegRequest { from_station: from.into(), to_station: to.into(), ..g71() };
        gateway.passenger().place_order(PlaceOrderRequest { legs: vec![leg], ..order(number) }).await.unwrap();
    }
    assert!(gateway.shard.0.holds.lock().iter().all(|hold| (hold.from_stop, hold.to_stop) == (0, 17)));
}

#[tokio::test]
async fn a_stations_own_name_means_it_also_where_a_city_is_called_the_same() {
    let gateway = gateway().await;
    // K598 calls at two stations of the city of Baotou: 包头, its origin, and 包头东.
    let leg = LegRequest {
        train_code: "K598".into(),
        from_station: "包头".into(),
        to_station: "广州".into(),
        seat_class: proto::common::v1::SeatClass::HardSeat.into(),
        ..g71()
    };
    gateway.passenger().place_order(PlaceOrderRequest { legs: vec![leg], ..order(1) }).await.unwrap();
    assert_eq!(gateway.shard.0.holds.lock().remove(0).from_stop, 0);
}

#[tokio::test]
async fn sold_out_is_told_with_its_reason_and_no_order_is_opened() {
    let gateway = gateway().await;
    gateway.shard.0.sold_out.lock().push("G71".into());
    let failure = Failure::from(gateway.passenger().place_order(order(1)).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::SOLD_OUT));
    assert_eq!(failure.value("free"), Some("0"));
    assert!(gateway.orders.0.opened.lock().is_empty());
}

#[tokio::test]
async fn the_same_order_again_answers_the_same_and_other_content_is_refused() {
    let gateway = gateway().await;
    let mut client = gateway.passenger();
    let first = client.place_order(order(1)).await.unwrap().into_inner();
    let again = client.place_order(order(1)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = PlaceOrderRequest { quoted_fen: PRICE_FEN, ..order(1) };
    let failure = Failure::from(client.place_order(other).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::AlreadyExists, reason::REQUEST_ID_REUSED));
    assert!(gateway.shard.0.released.lock().is_empty(), "the seats of the first order stay");
}

#[tokio::test]
async fn an_order_that_is_refused_gives_its_seats_back() {
    let gateway = gateway().await;
    let dearer = PlaceOrderRequest { quoted_fen: 1, ..order(1) };
    let failure = Failure::from(gateway.passenger().place_order(dearer).await.unwrap_err());
    assert_eq!((failure.reason, failure.value("total_fen")), (reason::PRICE_CHANGED, Some("93650")));
    let id = HoldId::of_order(order_id(1).parse().unwrap(), 0).bytes();
    assert_eq!(gateway.shard.0.released.lock().as_slice(), [id.to_vec()]);
}

#[tokio::test]
async fn seats_that_an_order_has_opened_are_never_given_back() {
    let gateway = gateway().await;
    let id = HoldId::of_order(order_id(1).parse().unwrap(), 0).bytes();
    gateway.shard.0.states.lock().insert(id.to_vec().into(), HoldState::Opened);
    gateway.passenger().place_order(PlaceOrderRequest { quoted_fen: 1, ..order(1) }).await.unwrap_err();
    assert!(gateway.shard.0.released.lock().is_empty());
}

#[tokio::test]
async fn two_legs_are_held_both_or_not_at_all() {
    let gateway = gateway().await;
    // Two trains that call at 武汉, by the timetable: G71 to there, another from there.
    let onward = onward_leg(&gateway);
    let legs = vec![LegRequest { to_station: "武汉".into(), ..g71() }, onward.clone()];
    let request = PlaceOrderRequest { legs, ..order(1) };
    gateway.passenger().place_order(request.clone()).await.unwrap();
    let opened = gateway.orders.0.opened.lock()[&order_id(1)].clone();
    let trains: Vec<_> = opened.legs.iter().map(|leg| leg.run.clone().unwrap().train_code).collect();
    assert_eq!(trains, ["G71".to_owned(), onward.train_code.clone()], "in the order of travel");

    gateway.shard.0.sold_out.lock().push(onward.train_code.clone());
    let refused = PlaceOrderRequest { order_id: order_id(2), ..request };
    let failure = Failure::from(gateway.passenger().place_order(refused).await.unwrap_err());
    assert_eq!((failure.reason, failure.value("leg")), (reason::SOLD_OUT, Some("1")));
    let held: Vec<_> = gateway.shard.0.holds.lock().iter().skip(2).map(|hold| hold.hold_id.clone()).collect();
    let released = gateway.shard.0.released.lock().clone();
    let first_leg = HoldId::of_order(order_id(2).parse().unwrap(), 0).bytes();
    assert_eq!(released.len(), held.iter().filter(|id| **id == first_leg.as_slice()).count());
}

/// A train other than G71 that leaves a stop of 武汉 for a later one, in a class it sells.
fn onward_leg(gateway: &Gateway) -> LegRequest {
    let timetable = &gateway.timetable;
    let wuhan = timetable.station_by_name("武汉").unwrap();
    let g71 = timetable.train_by_code("G71".parse().unwrap()).unwrap();
    let (train, stop) = timetable
        .calls_at(wuhan)
        .iter()
        .copied()
        .find(|(train, stop)| *train != g71 && timetable.train(*train).stop(stop + 1).is_some())
        .unwrap();
    let next = timetable.train(train).stop(stop + 1).unwrap().station;
    assert!(Interval::new(stop, stop + 1).is_ok());
    LegRequest {
        train_code: timetable.train(train).code.to_string(),
        from_station: "武汉".into(),
        to_station: timetable.station(next).name.to_string(),
        seat_class: timetable.composition(train).classes().next().unwrap().code().into(),
        boarding_date: "2026-12-02".into(),
    }
}

#[tokio::test]
async fn duplicates_in_flight_are_folded_into_one() {
    let gateway = gateway().await;
    gateway.shard.0.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let submit = || {
        let mut client = gateway.passenger();
        tokio::spawn(async move { client.place_order(order(1)).await.unwrap().into_inner() })
    };
    let submitted: Vec<_> = (0..5).map(|_| submit()).collect();
    let mut other = gateway.passenger();
    // The one that does the work waits at the shard; what has other content is refused meanwhile.
    while gateway.shard.0.holds.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let reused = other.place_order(PlaceOrderRequest { accept_standing: true, ..order(1) }).await.unwrap_err();
    assert_eq!(Failure::from(reused).reason, reason::REQUEST_ID_REUSED);
    gateway.shard.0.gate.add_permits(5);
    for answer in submitted {
        assert_eq!(answer.await.unwrap().order.unwrap().order_id, order_id(1));
    }
    // A duplicate that arrived after the first was done does its own, harmless round.
    assert!(gateway.shard.0.holds.lock().len() <= 5);
    assert_eq!(gateway.orders.0.opened.lock().len(), 1);
}
