//! The provider as a merchant sees it: over gRPC and by its callbacks, on every engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod databases;
mod merchant;

use std::time::Duration;

use proto::provider::v1::{ChargeState, DownloadStatementRequest};
use rpc::{Failure, reason};
use sandbox_provider::{Behaviour, Options};
use tonic::Code;

use databases::databases;
use merchant::{EXPIRES_AFTER_MS, Merchant, wait_until};

fn options(behaviour: Behaviour) -> Options {
    Options { behaviour, ..Options::default() }
}

#[tokio::test]
async fn tokens_decide_what_becomes_of_a_charge() {
    for database in databases("tokens").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        assert_eq!(merchant.charge("t-ok", 100, "sandbox-ok").await.unwrap(), ChargeState::Succeeded);
        assert_eq!(merchant.charge("t-decline", 100, "sandbox-decline").await.unwrap(), ChargeState::Declined);
        assert_eq!(merchant.charge("t-slow", 100, "sandbox-slow").await.unwrap(), ChargeState::Pending);
        let unknown = Failure::from(merchant.charge("t-unknown", 100, "sandbox-unknown").await.unwrap_err());
        assert_eq!((unknown.code, unknown.reason), (Code::Unavailable, reason::UNAVAILABLE));
        assert_eq!(merchant.query("t-unknown").await, ChargeState::Pending);
        merchant.clock.advance_ms(5_000);
        for trade in ["t-slow", "t-unknown"] {
            wait_until(async || merchant.query(trade).await == ChargeState::Succeeded).await;
        }
        wait_until(async || merchant.told().len() == 3).await;
        assert!(merchant.told().iter().all(|told| told["merchant_trade_id"] != "t-unknown"));
        let refused = Failure::from(merchant.charge("t-x", 100, "sandbox-nothing").await.unwrap_err());
        assert_eq!((refused.code, refused.reason), (Code::InvalidArgument, reason::INVALID_FIELD));
        merchant.stop().await;
    }
}

#[tokio::test]
async fn a_repeated_charge_is_one_charge_and_another_amount_is_refused() {
    for database in databases("repeat").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        for _ in 0..3 {
            assert_eq!(merchant.charge("t", 100, "sandbox-ok").await.unwrap(), ChargeState::Succeeded);
        }
        let reused = Failure::from(merchant.charge("t", 101, "sandbox-ok").await.unwrap_err());
        assert_eq!((reused.code, reused.reason), (Code::AlreadyExists, reason::REQUEST_ID_REUSED));
        assert_eq!(merchant.statement().await, [("t".into(), "charge".into(), 100)]);
        merchant.stop().await;
    }
}

#[tokio::test]
async fn a_close_and_a_capture_have_one_outcome() {
    for database in databases("close").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        // Closed before it was decided: the money never comes.
        merchant.charge("t-slow", 100, "sandbox-slow").await.unwrap();
        assert_eq!(merchant.close("t-slow").await.unwrap(), ChargeState::Closed);
        merchant.clock.advance_ms(10_000);
        assert_eq!(merchant.close("t-slow").await.unwrap(), ChargeState::Closed);
        // Decided before it was closed: the money stays.
        merchant.charge("t-ok", 100, "sandbox-ok").await.unwrap();
        assert_eq!(merchant.close("t-ok").await.unwrap(), ChargeState::Succeeded);
        // Closed before the charge arrived: the charge finds it closed.
        assert_eq!(merchant.close("t-later").await.unwrap(), ChargeState::Closed);
        assert_eq!(merchant.charge("t-later", 100, "sandbox-ok").await.unwrap(), ChargeState::Closed);
        // Both at once: whichever was first, all agree.
        for round in 0..20 {
            let trade = format!("t-race-{round}");
            let (charged, closed) = tokio::join!(merchant.charge(&trade, 100, "sandbox-ok"), merchant.close(&trade));
            let state = merchant.query(&trade).await;
            assert_eq!((charged.unwrap(), closed.unwrap()), (state, state), "{trade}");
        }
        // Nobody closed it: time does.
        merchant.charge("t-forgotten", 100, "sandbox-slow").await.unwrap();
        merchant.stop().await;
        let merchant =
            Merchant::start(&database, options(Behaviour { slow_delay_ms: 10_000_000, ..Behaviour::default() })).await;
        merchant.charge("t-expired", 100, "sandbox-slow").await.unwrap();
        merchant.clock.advance_ms(EXPIRES_AFTER_MS);
        wait_until(async || merchant.query("t-expired").await == ChargeState::Closed).await;
        wait_until(async || merchant.query("t-forgotten").await == ChargeState::Succeeded).await;
        merchant.stop().await;
    }
}

#[tokio::test]
async fn a_late_capture_cannot_be_closed_and_comes_after_its_expiry() {
    for database in databases("late").await {
        let late = Behaviour { late_captures_per_mille: 1_000, late_by_ms: 1_000, ..Behaviour::default() };
        let merchant = Merchant::start(&database, options(late)).await;
        assert_eq!(merchant.charge("t", 100, "sandbox-ok").await.unwrap(), ChargeState::Pending);
        assert_eq!(merchant.close("t").await.unwrap(), ChargeState::Pending);
        merchant.clock.advance_ms(EXPIRES_AFTER_MS + 1_000);
        wait_until(async || merchant.query("t").await == ChargeState::Succeeded).await;
        merchant.stop().await;
    }
}

#[tokio::test]
async fn refunds_never_exceed_their_charge_and_succeed_once_each() {
    for database in databases("refund").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        merchant.charge("t", 100, "sandbox-ok").await.unwrap();
        let early = Failure::from(merchant.refund("r-0", "t-none", 1).await.unwrap_err());
        assert_eq!(early.code, Code::FailedPrecondition);
        for _ in 0..3 {
            assert!(merchant.refund("r-1", "t", 60).await.unwrap());
        }
        let more = Failure::from(merchant.refund("r-2", "t", 41).await.unwrap_err());
        assert_eq!((more.code, more.reason), (Code::FailedPrecondition, reason::PAYMENT_STATE));
        let other = Failure::from(merchant.refund("r-1", "t", 40).await.unwrap_err());
        assert_eq!(other.reason, reason::REQUEST_ID_REUSED);
        assert!(merchant.refund("r-3", "t", 40).await.unwrap());
        let mut lines = merchant.statement().await;
        lines.sort();
        let expected = [("r-1", "refund", -60), ("r-3", "refund", -40), ("t", "charge", 100)];
        assert_eq!(lines, expected.map(|(id, kind, fen)| (id.to_owned(), kind.to_owned(), fen)));
        merchant.stop().await;
    }
}

#[tokio::test]
async fn a_lost_reply_hides_work_that_is_done() {
    for database in databases("lost").await {
        let lost = Behaviour { lost_replies_per_mille: 1_000, ..Behaviour::default() };
        let merchant = Merchant::start(&database, options(lost)).await;
        assert_eq!(merchant.charge("t", 100, "sandbox-ok").await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(merchant.query("t").await, ChargeState::Succeeded);
        assert_eq!(merchant.refund("r", "t", 100).await.unwrap_err().code(), Code::Unavailable);
        assert!(merchant.refund("r", "t", 100).await.unwrap());
        assert_eq!(merchant.statement().await.len(), 2);
        merchant.stop().await;
    }
}

#[tokio::test]
async fn callbacks_are_signed_and_repeated_until_they_are_taken() {
    for database in databases("callbacks").await {
        let twice = Behaviour { duplicate_callbacks_per_mille: 1_000, duplicates: 1, ..Behaviour::default() };
        let merchant = Merchant::start(&database, options(twice)).await;
        merchant.refuse_callbacks(true);
        merchant.charge("t", 100, "sandbox-ok").await.unwrap();
        wait_until(async || merchant.refused() >= 2).await;
        merchant.refuse_callbacks(false);
        // The merchant's clock is the provider's: it moves so that the next attempts are due.
        wait_until(async || {
            merchant.clock.advance_ms(1_000);
            merchant.told().len() >= 2
        })
        .await;
        let told = merchant.told();
        assert_eq!(told[0], told[1], "a copy says the same");
        let expected = serde_json::json!({
            "merchant_trade_id": "t", "state": "succeeded", "amount_fen": 100, "kind": "charge",
            "provider_charge_id": told[0]["provider_charge_id"], "at_ms": told[0]["at_ms"],
        });
        assert_eq!(told[0], expected);
        merchant.stop().await;
    }
}

#[tokio::test]
async fn a_statement_of_many_pages_has_every_line_once() {
    for database in databases("statement").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        // More than two pages of 500.
        let charges = (0..1_100).map(|n| {
            let merchant = &merchant;
            async move { merchant.charge(&format!("t-{n:04}"), 100, "sandbox-ok").await.unwrap() }
        });
        futures::future::join_all(charges).await;
        let mut lines = merchant.statement().await;
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 1_100);
        let wrong = DownloadStatementRequest { date: "yesterday".into() };
        let wrong = merchant.client().download_statement(wrong).await.unwrap_err();
        assert_eq!(wrong.code(), Code::InvalidArgument);
        merchant.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_forgotten_in_a_restart() {
    for database in databases("restart").await {
        let merchant = Merchant::start(&database, Options::default()).await;
        merchant.refuse_callbacks(true);
        merchant.charge("t-ok", 100, "sandbox-ok").await.unwrap();
        merchant.charge("t-slow", 100, "sandbox-slow").await.unwrap();
        merchant.stop().await;
        let merchant = Merchant::start(&database, Options::default()).await;
        merchant.clock.advance_ms(60_000);
        assert_eq!(merchant.query("t-ok").await, ChargeState::Succeeded);
        wait_until(async || merchant.query("t-slow").await == ChargeState::Succeeded).await;
        tokio::time::timeout(Duration::from_secs(10), merchant.stop()).await.unwrap();
    }
}
