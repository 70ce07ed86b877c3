//! What bad input gets: a stable reason, the field by its path, and nothing left behind.

use proto::common::v1::PassengerKind;
use proto::order::v1::{self as wire};
use rpc::reason;
use tonic::Code;

use super::*;

type Spoil = fn(&mut wire::OpenOrderRequest);

/// What is wrong, and the field and code it gets.
const WRONG_FIELDS: &[(Spoil, &str)] = &[
    (|it| it.order_id = "7".into(), "order_id"),
    (|it| it.account = "li lei".into(), "account"),
    (|it| it.channel = 9, "channel"),
    (|it| it.quoted_fen = -1, "quoted_fen"),
    (|it| it.legs.clear(), "legs"),
    (|it| it.legs = vec![it.legs[0].clone(); 3], "legs"),
    (|it| it.legs = vec![it.legs[0].clone(); 2], "legs"),
    (|it| it.legs[0].run = None, "legs[0].run"),
    (|it| it.legs[0].seat_class = 77, "legs[0].seat_class"),
    (|it| it.legs[0].to_stop = 0, "legs[0].to_stop"),
    (|it| it.legs[0].hold_id = vec![1, 2].into(), "legs[0].hold_id"),
    (|it| it.legs[0].places[0].seat_class = 0, "legs[0].places"),
    (|it| drop(it.legs[0].places.pop()), "legs[0].places"),
    (|it| it.passengers.clear(), "passengers"),
    (|it| it.passengers = vec![it.passengers[0].clone(); 6], "passengers"),
    (|it| it.passengers[1] = it.passengers[0].clone(), "passengers[1].document_number"),
    (|it| it.passengers[1].document_number = "440524188001010015".into(), "passengers[1].document_number"),
    (|it| it.passengers[1].document_kind = 0, "passengers[1].document_kind"),
    (|it| it.passengers[0].name = "李\u{7}雷".into(), "passengers[0].name"),
    (|it| it.passengers[0].name = "长".repeat(61), "passengers[0].name"),
    (|it| it.passengers[0].kind = 9, "passengers[0].kind"),
    // Born in 1949.
    (|it| it.passengers[0].set_kind(PassengerKind::Child), "passengers[0].kind"),
];

#[tokio::test]
async fn every_wrong_field_is_named_and_leaves_nothing() {
    let world = World::new().await;
    for (position, (spoil, field)) in WRONG_FIELDS.iter().enumerate() {
        let mut request = request(&world, id(1));
        spoil(&mut request);
        let failure = world.open(request).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (Code::InvalidArgument, reason::INVALID_FIELD), "case {position}");
        assert_eq!(failure.fields[0].0, *field, "case {position}: {failure:?}");
        let said = format!("{failure:?}");
        assert!(!said.contains("19491231") && !said.contains("李"), "case {position} tells too much: {said}");
    }
    let request = wire::ListOrdersRequest { account: "li-lei".into(), ..Default::default() };
    assert_eq!(world.client.clone().list_orders(request).await.unwrap().into_inner().orders, []);
    world.stop().await;
}

#[tokio::test]
async fn refusals_have_their_reasons() {
    let world = World::new().await;
    let cases: [(Spoil, Code, &str); 6] = [
        (|it| it.quoted_fen = 1, Code::FailedPrecondition, reason::PRICE_CHANGED),
        (|it| it.legs[0].run.as_mut().unwrap().train_code = "G9999".into(), Code::NotFound, reason::TRAIN_NOT_FOUND),
        (|it| it.legs[0].to_stop = 99, Code::NotFound, reason::TRAIN_NOT_FOUND),
        (|it| it.legs[0].seat_class = 5, Code::FailedPrecondition, reason::FARE_UNKNOWN),
        (
            |it| it.legs[0].run.as_mut().unwrap().service_date = "2026-11-30".into(),
            Code::FailedPrecondition,
            reason::DEPARTED,
        ),
        (
            |it| {
                it.passengers.truncate(1);
                it.passengers[0].document_kind = 2;
                it.passengers[0].document_number = "E12345678".into();
                it.passengers[0].set_kind(PassengerKind::Child);
            },
            Code::FailedPrecondition,
            reason::CHILD_ALONE,
        ),
    ];
    for (spoil, code, expected) in cases {
        let mut request = request(&world, id(1));
        spoil(&mut request);
        let failure = world.open(request).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (code, expected), "{failure:?}");
    }
    world.place(id(1)).await.unwrap();
    let failure = world.place(id(2)).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::ORDER_UNPAID));
    world.stop().await;
}

#[tokio::test]
async fn one_person_is_on_one_train_at_a_time() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    // Nanjing to Shanghai on the same train.
    let mut same_train = request(&world, id(2));
    same_train.legs[0].from_stop = 1;
    let failure = world.open(same_train).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::DUPLICATE_IDENTITY));
    // G2 leaves Shanghai while G1 is under way.
    let mut other_train = request(&world, id(3));
    other_train.legs[0].run.as_mut().unwrap().train_code = "G2".into();
    let failure = world.open(other_train).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::OVERLAPPING_JOURNEY));
    world.stop().await;
}

#[tokio::test]
async fn wrong_questions_are_answered_in_kind() {
    let world = World::new().await;
    let mut client = world.client.clone();
    let account = "li-lei".to_owned();
    let unknown = wire::GetOrderRequest { account: account.clone(), order_id: id(77).to_string() };
    assert_eq!(client.get_order(unknown).await.unwrap_err().code(), Code::NotFound);
    for (page_size, page_token) in [(101, ""), (0, "yesterday"), (0, "1.2")] {
        let request = wire::ListOrdersRequest { account: account.clone(), page_size, page_token: page_token.into() };
        assert_eq!(client.list_orders(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for token in ["", "a b", "非", &"x".repeat(257)] {
        assert_eq!(world.pay(id(1), token).await.unwrap_err().fields[0].0, "payment_token");
    }
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    let stranger = wire::NoteTradeRequest {
        order_id: id(1).to_string(),
        trade_id: "another".into(),
        outcome: wire::TradeOutcome::Captured.into(),
        captured_fen: 2 * FARE_FEN,
    };
    let failure = Failure::from(client.note_trade(stranger).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::PAYMENT_STATE));
    assert_eq!(world.note_refund(id(1), "nothing").await.unwrap_err().code(), Code::NotFound);
    world.stop().await;
}
