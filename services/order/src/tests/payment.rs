//! Payment that declines, is late, repeats itself or is lost.

use proto::order::v1::{OrderState, TradeOutcome};
use rpc::{CallContext, reason};

use super::*;
use crate::test_databases::stores;

#[tokio::test]
async fn a_declined_payment_can_be_tried_again() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    assert_eq!(world.pay(id(1), "sandbox-decline").await.unwrap().state(), OrderState::Held);
    assert_eq!(world.pay(id(1), "sandbox-ok").await.unwrap().state(), OrderState::Confirmed);
    assert_eq!(world.payment.trades().len(), 2);
    // The first trade's notice arrives last, and once more.
    for _ in 0..2 {
        world.note_trade(id(1), 0, TradeOutcome::Declined).await.unwrap();
    }
    assert_eq!(world.get(id(1)).await.state(), OrderState::Confirmed);
    world.stop().await;
}

#[tokio::test]
async fn an_order_is_paid_once() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    let paying = world.pay(id(1), "later").await.unwrap();
    assert_eq!(world.pay(id(1), "later").await.unwrap(), paying, "a repeat");
    let failure = world.pay(id(1), "sandbox-ok").await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::PAYMENT_STATE));
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    let ticketed = world.get(id(1)).await;
    assert_eq!(world.pay(id(1), "later").await.unwrap(), ticketed, "a repeat after the fact");
    let failure = world.cancel(id(1)).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::ORDER_STATE));
    world.stop().await;
}

/// How long a call may take is not what this is about.
fn patient() -> CallContext {
    CallContext::within(Duration::from_secs(60))
}

#[tokio::test]
async fn a_thousand_payments_and_a_thousand_notices_at_once_have_one_effect_each() {
    for store in stores("thousand").await {
        let engine = store.engine;
        let world = Arc::new(World::on(store).await);
        world.place(id(1)).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let world = world.clone();
            tasks.spawn(patient().scope(async move { world.pay(id(1), "later").await.unwrap().state() }));
        }
        assert!(tasks.join_all().await.iter().all(|state| *state == OrderState::Paying), "{engine}");
        assert_eq!(world.payment.trades().len(), 1, "{engine}");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..1_000 {
            let world = world.clone();
            tasks.spawn(patient().scope(async move { world.note_trade(id(1), 0, TradeOutcome::Captured).await }));
        }
        assert!(tasks.join_all().await.iter().all(Result::is_ok), "{engine}");
        let order = world.get(id(1)).await;
        assert_eq!((order.state(), order.refunded_fen), (OrderState::Confirmed, 0), "{engine}");
        assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (2, 2 * FARE_FEN), "{engine}");
        Arc::into_inner(world).unwrap().stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_of_payment_is_asked_for_again() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.payment.fails.answers(1);
    assert_eq!(world.pay(id(1), "sandbox-ok").await.unwrap().state(), OrderState::Paying);
    world.wait(id(1), OrderState::Confirmed).await;
    assert_eq!((world.payment.trades().len(), world.payment.kept_fen()), (1, 2 * FARE_FEN));
    world.stop().await;
}

#[tokio::test]
async fn a_notice_that_never_comes_is_not_needed() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.payment.capture(&format!("{}-0", id(1)));
    world.wait(id(1), OrderState::Confirmed).await;
    world.stop().await;
}

#[tokio::test]
async fn late_money_gets_the_seats_back_if_there_is_room() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.clock.advance_ms(15 * MINUTE);
    world.wait(id(1), OrderState::Released).await;
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    let order = world.get(id(1)).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(order.tickets[0].places[0].label, "16F");
    // The same people were held again: as tokens, in order, the first of them old enough for a lower berth.
    let wanted = world.inventory.wanted.lock()[0].clone();
    assert_eq!(wanted.passengers.iter().map(|(_, elderly)| *elderly).collect::<Vec<_>>(), [true, true]);
    world.stop().await;
}

#[tokio::test]
async fn late_money_goes_back_by_itself_if_there_is_no_room() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.clock.advance_ms(15 * MINUTE);
    world.wait(id(1), OrderState::Released).await;
    *world.inventory.room.lock() = false;
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    world.payment.settle();
    let order = world.wait(id(1), OrderState::Refunded).await;
    assert_eq!((order.refunded_fen, order.fees_fen, &*order.end_reason), (2 * FARE_FEN, 0, "seats_lost"));
    assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn late_money_goes_back_when_the_passengers_have_other_tickets() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.clock.advance_ms(15 * MINUTE);
    world.wait(id(1), OrderState::Released).await;
    world.ticketed(id(2)).await;
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    world.payment.settle();
    world.wait(id(1), OrderState::Refunded).await;
    assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (2, 2 * FARE_FEN), "the second order's");
    world.stop().await;
}

#[tokio::test]
async fn money_that_comes_after_the_seats_are_gone_is_served_or_returned() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.inventory.expire();
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    assert_eq!(world.get(id(1)).await.state(), OrderState::Confirmed);
    assert_eq!(world.inventory.seated(), 2);
    world.stop().await;
}
