//! Children, students and others who pay less.

use proto::common::v1::{PassengerKind, StudentJourney};
use proto::order::v1::{OrderState, TicketState};
use rpc::reason;
use tonic::Code;

use super::*;

fn student(home: &str, school: &str) -> Option<StudentJourney> {
    Some(StudentJourney { home: home.into(), school: school.into() })
}

#[tokio::test]
async fn a_small_child_travels_free_without_a_seat_beside_an_adult() {
    let world = World::new().await;
    let mut family = request(&world, id(1));
    family.passengers[0].document_kind = 2;
    family.passengers[0].document_number = "E12345678".into();
    family.passengers[0].set_kind(PassengerKind::Infant);
    // The hold is for the adult alone, its only passenger.
    let hold = HoldId::of_order(id(1), 0);
    world.inventory.forget(hold);
    world.inventory.hold(hold, &[0]);
    family.legs[0].places.truncate(1);
    let order = world.open(family).await.unwrap();
    assert_eq!((order.total_fen, order.tickets[0].fare_fen), (FARE_FEN, 0));
    assert!(order.tickets[0].places.is_empty() && order.tickets[1].places[0].label == "01A");
    let order = world.pay(id(1), "sandbox-ok").await.unwrap();
    assert_eq!(order.state(), OrderState::Confirmed);

    // The adult does not go back alone.
    let failure = world.refund(id(1), "0-1").await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::CHILD_ALONE));
    world.refund(id(1), "0-0").await.unwrap();
    world.refund(id(1), "0-1").await.unwrap();
    world.payment.settle();
    let order = world.wait(id(1), OrderState::Refunded).await;
    assert!(order.tickets.iter().all(|ticket| ticket.state() == TicketState::Refunded));
    assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn a_child_may_name_the_ticket_of_its_adult() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    let child = |number: u128, ticket: &str| {
        let mut alone = request(&world, id(number));
        alone.passengers.truncate(1);
        alone.passengers[0] = passenger("李小雷", "E87654321");
        alone.passengers[0].document_kind = 2;
        alone.passengers[0].set_kind(PassengerKind::Child);
        alone.passengers[0].adult_ticket_id = ticket.into();
        alone.legs[0].places.truncate(1);
        alone
    };
    let adult = format!("{}-0-1", id(1));
    for wrong in ["", "x", &format!("{}-0-7", id(1)), &format!("{}-0-0", id(9))] {
        let failure = world.open(child(2, wrong)).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::CHILD_ALONE), "{wrong}");
    }
    let foreign = proto::order::v1::OpenOrderRequest { account: "wang-wu".into(), ..child(2, &adult) };
    assert_eq!(world.open(foreign).await.unwrap_err().reason, reason::CHILD_ALONE, "another account's ticket");
    let order = world.open(child(2, &adult)).await.unwrap();
    // 561.00 x 50 % = 280.50.
    assert_eq!(order.total_fen, 28_050);
    world.stop().await;
}

#[tokio::test]
async fn a_student_travels_between_home_and_school() {
    let world = World::new().await;
    let with_card = |number: u128, card: Option<StudentJourney>| {
        let mut it = request(&world, id(number));
        it.passengers[0].set_kind(PassengerKind::Student);
        it.passengers[0].student = card;
        it
    };
    for card in [None, student("Atlantis", "上海"), student("北京", "")] {
        let failure = world.open(with_card(1, card)).await.unwrap_err();
        assert_eq!((failure.reason, &*failure.fields[0].0), (reason::INVALID_FIELD, "passengers[0].student"));
    }
    let failure = world.open(with_card(1, student("北京", "南京"))).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::STUDENT_INTERVAL));
    // The other way round, and by a station of the city.
    let order = world.open(with_card(1, student("上海", "北京西"))).await.unwrap();
    // 561.00 x 75 % = 420.75, up to 421.00.
    assert_eq!(order.tickets[0].fare_fen, 42_100);
    let order = world.pay(id(1), "sandbox-ok").await.unwrap();
    // A change must stay between the two.
    let journey = proto::order::v1::ChangedJourney {
        account: "li-lei".into(),
        order_id: id(1).to_string(),
        ticket_ids: vec![order.tickets[0].ticket_id.clone()],
        run: Some(common::Run { train_code: "G101".into(), service_date: "2026-12-21".into(), ordinal: 1 }),
        seat_class: common::SeatClass::Second.into(),
        from_stop: 0,
        to_stop: 7,
        ..Default::default()
    };
    let quote = wire::QuoteChangeRequest { journey: Some(journey) };
    let failure = Failure::from(world.client.clone().quote_change(quote).await.unwrap_err());
    assert_eq!(failure.reason, reason::STUDENT_INTERVAL);
    world.stop().await;
}
