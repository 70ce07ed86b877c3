//! Payment as order and the provider see it: both real, over their whole server stacks, with callbacks over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../src/test_databases.rs"]
mod databases;
mod fleet;

use futures::{StreamExt, stream};
use proto::order::v1::TradeOutcome;
use proto::payment::v1::{RefundState, TradeState};
use rpc::{Failure, reason};
use sandbox_provider::Behaviour;
use tonic::Code;

use databases::databases;
use fleet::{Fleet, NOW_MS, Told, order_id, wait_until};

const CAPTURED: Told = Told::Trade(TradeOutcome::Captured, 10_000);

#[tokio::test]
async fn a_payment_is_captured_and_the_order_told() {
    for database in databases("pay").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        let trade = fleet.pay(&order, 0, "sandbox-ok").await.unwrap();
        assert_eq!((trade.state(), trade.captured_fen), (TradeState::Captured, 10_000));
        wait_until(async || fleet.told(&order) == [CAPTURED]).await;
        assert_eq!(fleet.pay(&order, 0, "sandbox-ok").await.unwrap(), trade, "a repeat answers the same");
        let reused = Failure::from(fleet.pay(&order, 0, "sandbox-slow").await.unwrap_err());
        assert_eq!(reused.reason, reason::REQUEST_ID_REUSED);
        let again = Failure::from(fleet.pay(&order, 1, "sandbox-ok").await.unwrap_err());
        assert_eq!((again.code, again.reason), (Code::FailedPrecondition, reason::PAYMENT_STATE));
        fleet.stop().await;
    }
}

#[tokio::test]
async fn a_decline_leaves_room_for_another_attempt() {
    for database in databases("decline").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        assert_eq!(fleet.pay(&order, 0, "sandbox-decline").await.unwrap().state(), TradeState::Declined);
        assert_eq!(fleet.pay(&order, 1, "no-such-token").await.unwrap().state(), TradeState::Declined);
        assert_eq!(fleet.pay(&order, 2, "sandbox-ok").await.unwrap().state(), TradeState::Captured);
        let declined = Told::Trade(TradeOutcome::Declined, 0);
        wait_until(async || fleet.told(&order) == [declined.clone(), declined.clone(), CAPTURED]).await;
        fleet.stop().await;
    }
}

#[tokio::test]
async fn a_thousand_concurrent_payments_of_one_order_are_one_charge() {
    for database in databases("concurrent").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        let calls = (0..1_000).map(|_| fleet.pay(&order, 0, "sandbox-ok"));
        let answers = stream::iter(calls).buffer_unordered(200).collect::<Vec<_>>().await;
        assert!(answers.iter().all(Result::is_ok));
        wait_until(async || fleet.told(&order) == [CAPTURED]).await;
        assert_eq!(fleet.statement().await, [(format!("{order}-0"), 10_000)]);
        fleet.stop().await;
    }
}

#[tokio::test]
async fn a_callback_repeated_a_thousand_times_has_one_effect() {
    for database in databases("repeated").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        assert_eq!(fleet.pay(&order, 0, "sandbox-slow").await.unwrap().state(), TradeState::Pending);
        let body = fleet.callback_body(&order, 10_000);
        let answers: Vec<_> = stream::iter((0..1_000).map(|_| fleet.call_back(&body, NOW_MS)))
            .buffer_unordered(50)
            .map(|(status, _)| status)
            .collect()
            .await;
        assert_eq!(answers, [200; 1_000]);
        wait_until(async || !fleet.told(&order).is_empty()).await;
        assert_eq!(fleet.told(&order), [CAPTURED]);
        assert_eq!(fleet.trade(&order).await.captured_fen, 10_000);
        fleet.stop().await;
        assert_eq!(fleet::postings(&database).await, [10_000], "one posting");
    }
}

#[tokio::test]
async fn callbacks_that_prove_nothing_change_nothing() {
    for database in databases("forged").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        fleet.pay(&order, 0, "sandbox-slow").await.unwrap();
        let body = fleet.callback_body(&order, 10_000);
        let refused = |status, reason: &str| (status, reason.to_owned());
        assert_eq!(fleet.post("", &body).await, refused(401, reason::CALLBACK_SIGNATURE));
        let wrong = format!("t={NOW_MS},v1={}", "0".repeat(64));
        assert_eq!(fleet.post(&wrong, &body).await, refused(401, reason::CALLBACK_SIGNATURE));
        assert_eq!(fleet.call_back(&body, NOW_MS - 300_001).await, refused(401, reason::CALLBACK_STALE));
        assert_eq!(fleet.call_back(&body, NOW_MS + 300_001).await, refused(401, reason::CALLBACK_STALE));
        let less = fleet.callback_body(&order, 9_999);
        assert_eq!(fleet.call_back(&less, NOW_MS).await, refused(422, reason::CALLBACK_MISMATCH));
        let other_charge = body.replace("\"ch_", "\"ch_0");
        assert_eq!(fleet.call_back(&other_charge, NOW_MS).await, refused(422, reason::CALLBACK_MISMATCH));
        let unknown = fleet.callback_body(&order_id(2), 10_000);
        assert_eq!(fleet.call_back(&unknown, NOW_MS).await, refused(404, reason::TRADE_NOT_FOUND));
        assert_eq!(fleet.call_back("{}", NOW_MS).await, refused(400, reason::UNDECODABLE));
        assert_eq!(fleet.trade(&order).await.state(), TradeState::Pending);
        assert_eq!(fleet.told(&order), []);
        fleet.stop().await;
    }
}

#[tokio::test]
async fn a_time_out_that_was_a_success_is_found_out() {
    for database in databases("unknown").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        let trade = fleet.pay(&order, 0, "sandbox-unknown").await.unwrap();
        assert_eq!(trade.state(), TradeState::Pending, "an unknown outcome is neither success nor failure");
        fleet.pass_time_until(async || fleet.told(&order) == [CAPTURED]).await;
        fleet.stop().await;
    }
}

#[tokio::test]
async fn silence_and_lost_replies_end_in_one_charge_and_one_refund() {
    for database in databases("silence").await {
        let silent = Behaviour {
            lost_replies_per_mille: 1_000,
            dropped_callbacks_per_mille: 1_000,
            decide_delay_ms: 500,
            ..Behaviour::default()
        };
        let fleet = Fleet::start(&database, silent).await;
        let order = order_id(1);
        assert_eq!(fleet.pay(&order, 0, "sandbox-ok").await.unwrap().state(), TradeState::Pending);
        fleet.pass_time_until(async || fleet.told(&order) == [CAPTURED]).await;
        assert_eq!(fleet.refund(&order, "r-1", 6_000, 400).await.unwrap(), RefundState::Pending);
        let arrived = Told::Refund("r-1".into());
        fleet.pass_time_until(async || fleet.told(&order) == [CAPTURED, arrived.clone()]).await;
        assert_eq!(fleet.statement().await, [(format!("{order}-0"), 10_000), ("r-1".into(), -6_000)]);
        assert_eq!(fleet.reconcile().await, []);
        fleet.stop().await;
    }
}

#[tokio::test]
async fn a_close_ends_without_money_and_a_late_capture_comes_through() {
    for database in databases("close").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        fleet.pay(&order, 0, "sandbox-slow").await.unwrap();
        assert_eq!(fleet.close(&order).await.state(), TradeState::Closed);
        wait_until(async || fleet.told(&order) == [Told::Trade(TradeOutcome::Closed, 0)]).await;
        let paid = order_id(2);
        fleet.pay(&paid, 0, "sandbox-ok").await.unwrap();
        assert_eq!(fleet.close(&paid).await.state(), TradeState::Captured);
        fleet.stop().await;

        let late = Behaviour { late_captures_per_mille: 1_000, late_by_ms: 5_000, ..Behaviour::default() };
        let fleet = Fleet::start(&database, late).await;
        let order = order_id(3);
        fleet.pay(&order, 0, "sandbox-ok").await.unwrap();
        assert_eq!(fleet.close(&order).await.state(), TradeState::Pending);
        fleet.pass_time(890_000);
        fleet.pass_time_until(async || fleet.told(&order) == [CAPTURED]).await;
        fleet.stop().await;
    }
}

#[tokio::test]
async fn refunds_stay_within_the_capture_and_repeat_safely() {
    for database in databases("refund").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        fleet.pay(&order, 0, "sandbox-ok").await.unwrap();
        for _ in 0..3 {
            assert_eq!(fleet.refund(&order, "r-1", 7_600, 400).await.unwrap(), RefundState::Succeeded);
        }
        let other = Failure::from(fleet.refund(&order, "r-1", 7_600, 0).await.unwrap_err());
        assert_eq!(other.reason, reason::REQUEST_ID_REUSED);
        let more = Failure::from(fleet.refund(&order, "r-2", 1_600, 401).await.unwrap_err());
        assert_eq!((more.code, more.reason), (Code::FailedPrecondition, reason::REFUND_EXCEEDS_CAPTURE));
        assert_eq!(fleet.refund(&order, "r-3", 0, 2_000).await.unwrap(), RefundState::Succeeded, "all is fee");
        wait_until(async || fleet.told(&order).len() == 3).await;
        let none = Failure::from(fleet.refund(&order_id(9), "r-9", 1, 0).await.unwrap_err());
        assert_eq!((none.code, none.reason), (Code::NotFound, reason::TRADE_NOT_FOUND));
        assert_eq!(fleet.reconcile().await, []);
        fleet.stop().await;
    }
}

#[tokio::test]
async fn an_order_that_does_not_listen_is_told_later_and_in_order() {
    for database in databases("deaf").await {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        fleet.deafen_orders(true);
        let order = order_id(1);
        fleet.pay(&order, 0, "sandbox-decline").await.unwrap();
        fleet.pay(&order, 1, "sandbox-ok").await.unwrap();
        wait_until(async || fleet.attempts_to_tell() > 0).await;
        fleet.deafen_orders(false);
        let declined = Told::Trade(TradeOutcome::Declined, 0);
        fleet.pass_time_until(async || fleet.told(&order) == [declined.clone(), CAPTURED]).await;
        fleet.stop().await;
    }
}

#[tokio::test]
async fn reconciliation_lists_what_only_one_side_has() {
    for (database, emptied) in databases("books").await.into_iter().zip(databases("empty").await) {
        let fleet = Fleet::start(&database, Behaviour::default()).await;
        let order = order_id(1);
        fleet.pay(&order, 0, "sandbox-ok").await.unwrap();
        fleet.refund(&order, "r-1", 6_000, 0).await.unwrap();
        fleet.charge_behind_our_back("theirs", 77).await;
        assert_eq!(fleet.reconcile().await, [("theirs".into(), None, Some(77))]);
        fleet.stop().await;
        // A provider that has lost its books.
        let fleet = Fleet::start_with(&database, &emptied, Behaviour::default()).await;
        let ours = [(format!("{order}-0"), Some(10_000), None), ("r-1".into(), Some(-6_000), None)];
        assert_eq!(fleet.reconcile().await, ours);
        fleet.stop().await;
    }
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let database = databases("fields").await.remove(0);
    let fleet = Fleet::start(&database, Behaviour::default()).await;
    for (order, attempt, token, field) in [
        ("not-a-uuid", 0, "sandbox-ok", "order_id"),
        (order_id(1).as_str(), 1_001, "sandbox-ok", "attempt"),
        (order_id(1).as_str(), 0, "a token\n", "payment_token"),
        (order_id(1).as_str(), 0, "", "payment_token"),
    ] {
        let failure = Failure::from(fleet.pay(order, attempt, token).await.unwrap_err());
        assert_eq!((failure.code, failure.reason), (Code::InvalidArgument, reason::INVALID_FIELD));
        assert_eq!(failure.fields[0].0, field);
    }
    for amounts in [(-1, 0), (0, 0), (1, -1), (i64::MAX, 0)] {
        let failure = Failure::from(fleet.refund(&order_id(1), "r", amounts.0, amounts.1).await.unwrap_err());
        assert_eq!(failure.code, Code::InvalidArgument, "{amounts:?}");
    }
    fleet.stop().await;
}
