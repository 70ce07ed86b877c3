//! What is broken between journal, orders, payment and provider is found, on both engines.

use audit::Invariant::{I1, I2, I3, I5, I8};
use audit::{Invariant, Sources};

use crate::events::{HARD_LIMIT, START};
use crate::fleet::Fleet;
use crate::journal::healthy;
use crate::{audit, broken};

/// Which book a statement is for.
#[derive(Clone, Copy, Debug)]
enum In {
    Order,
    Payment,
    Provider,
}

/// Orders 1 and 3 travel, order 5 gave its ticket back: as the healthy journal has it.
async fn fill(fleet: &Fleet) {
    fleet.write_journal(&healthy()).await;
    fleet.write_paid_order(1).await;
    fleet.write_paid_order(3).await;
    fleet.write_refunded_order(5).await;
}

async fn plant(fleet: &Fleet, book: In, sql: &str) {
    match book {
        In::Order => fleet.order.run(sql).await,
        In::Payment => fleet.payment.run(sql).await,
        In::Provider => fleet.provider.run(sql).await,
    }
}

/// Order 1's id in order's database.
const ONE: &str = "x'00000000000000000000000000000001'";

#[tokio::test]
async fn books_that_agree_are_clean_and_counted() {
    for fleet in [Some(Fleet::sqlite().await), Fleet::postgres().await].into_iter().flatten() {
        fill(&fleet).await;
        let mut stages = Vec::new();
        let report = audit::run(&fleet.sources, |progress| stages.push(progress.stage)).await.unwrap();
        assert!(report.is_clean(), "{report}");
        let counts = report.counts;
        assert_eq!((counts.runs, counts.orders, counts.tickets), (1, 3, 3));
        assert_eq!((counts.trades, counts.refunds, counts.postings, counts.provider_operations), (3, 1, 5, 4));
        stages.dedup();
        assert_eq!(stages, ["journal", "orders", "provider"]);
    }
}

#[tokio::test]
async fn postgres_tells_the_same_of_the_same_faults() {
    let Some(fleet) = Fleet::postgres().await else { return };
    fill(&fleet).await;
    plant(&fleet, In::Order, "UPDATE orders SET due_at_ms = 1").await;
    plant(&fleet, In::Provider, "UPDATE refund SET settled_at_ms = NULL").await;
    fleet.journal.run("UPDATE slot_batch SET epoch = 0 WHERE version = 5").await;
    let report = audit(&fleet.sources).await;
    assert_eq!(broken(&report), [I3, Invariant::I7, I8], "{report}");
}

#[tokio::test]
async fn each_planted_fault_is_found_and_nothing_else() {
    let no_hold = format!("UPDATE orders SET body = replace(body, '/0\"', '/1\"') WHERE order_id = {ONE}");
    let unsold = format!("UPDATE tickets SET passenger = 1 WHERE order_id = {ONE}");
    let unknown_refund = "UPDATE orders SET body = replace(body, '-r\"', '-s\"')";
    let stuck = format!("UPDATE orders SET phase = 'captured' WHERE order_id = {ONE}");
    let forgotten = format!("UPDATE orders SET due_at_ms = 1 WHERE order_id = {ONE}");
    let elsewhere = format!("UPDATE orders SET body = replace(body, '\"to\":2', '\"to\":1') WHERE order_id = {ONE}");
    let one_trade = "trade_id LIKE '%0001-0'";
    let unlocked = "DROP TRIGGER ledger_posting_unchanged; DROP TRIGGER ledger_posting_kept;";
    let cases: Vec<(In, String, &[Invariant], &str)> = vec![
        (In::Order, no_hold, &[I1], "has no seat"),
        (In::Order, unsold, &[I1], "has no seat"),
        (In::Order, elsewhere, &[I5], "was accepted from stop 0 to 2, the order says 0 to 1"),
        (In::Order, stuck, &[I3], "nobody looks after it"),
        (In::Order, forgotten, &[I3], "was to be looked after"),
        (In::Order, format!("UPDATE tickets SET fare_fen = 9999 WHERE order_id = {ONE}"), &[I2], "live tickets"),
        (In::Order, "UPDATE tickets SET fee_fen = fee_fen + 1".into(), &[I2], "fees"),
        (In::Order, format!("UPDATE orders SET captured_fen = 1 WHERE order_id = {ONE}"), &[I2], "captured"),
        (In::Order, "UPDATE orders SET refunded_fen = 0, refunding_fen = 9600".into(), &[I2], "refunded"),
        (In::Order, unknown_refund.into(), &[I8], "which order did not ask for"),
        (
            In::Order,
            format!("DELETE FROM tickets WHERE order_id = {ONE}; DELETE FROM orders WHERE order_id = {ONE}"),
            &[I1, I2],
            "does not exist",
        ),
        (In::Order, format!("DELETE FROM orders WHERE order_id = {ONE}"), &[I1, I2], "has tickets and no order"),
        (
            In::Payment,
            format!("{unlocked} UPDATE ledger_posting SET sales_fen = sales_fen + 1 WHERE {one_trade}"),
            &[I2],
            "sums to 1 fen",
        ),
        (
            In::Payment,
            format!("{unlocked} UPDATE ledger_posting SET sales_fen = 0, provider_fen = 0 WHERE {one_trade}"),
            &[I2],
            "is not what happened",
        ),
        (In::Payment, format!("{unlocked} DELETE FROM ledger_posting WHERE {one_trade}"), &[I2], "is missing"),
        (In::Payment, format!("UPDATE trade SET captured_fen = 0 WHERE {one_trade}"), &[I2], "is captured with 0 fen"),
        (
            In::Payment,
            "UPDATE trade SET refunded_fen = 0 WHERE refunded_fen > 0".into(),
            &[I8],
            "its refunds come to 9600",
        ),
        (In::Payment, "UPDATE refund SET trade_id = 'none'".into(), &[I8], "does not exist"),
        (In::Provider, "UPDATE refund SET settled_at_ms = NULL".into(), &[I8], "nothing by the provider's"),
        (In::Provider, "UPDATE refund SET amount_fen = 9601".into(), &[I8], "1 x -9601 fen"),
        (
            In::Provider,
            "UPDATE charge SET amount_fen = 1 WHERE merchant_trade_id LIKE '%0001-0'".into(),
            &[I2],
            "1 x 1 fen",
        ),
        (
            In::Provider,
            "UPDATE charge SET state = 'closed' WHERE merchant_trade_id LIKE '%0001-0'".into(),
            &[I2],
            "nothing by the provider's",
        ),
        (In::Provider, "UPDATE refund SET merchant_refund_id = 'another'".into(), &[I8], "not in payment's"),
    ];
    for (book, sql, invariants, what) in cases {
        let fleet = Fleet::sqlite().await;
        fill(&fleet).await;
        plant(&fleet, book, &sql).await;
        let report = audit(&fleet.sources).await;
        assert_eq!(broken(&report), invariants, "{sql}: {report}");
        assert!(report.violations.iter().any(|violation| violation.what.contains(what)), "{sql}: {report}");
    }
}

#[tokio::test]
async fn a_refund_that_was_paid_twice_is_found() {
    let fleet = Fleet::sqlite().await;
    fill(&fleet).await;
    let order = uuid::Uuid::from_u128(5).to_string();
    fleet.write_refund(&order, &format!("{order}-again")).await;
    fleet.payment.run("UPDATE trade SET refunded_fen = 19200, fees_fen = 800 WHERE refunded_fen > 0").await;
    let report = audit(&fleet.sources).await;
    assert_eq!(broken(&report), [I8], "{report}");
    assert!(report.to_string().contains("exceed what came"), "{report}");
}

#[tokio::test]
async fn orders_and_trades_that_do_not_end_in_time_are_found() {
    let fleet = Fleet::sqlite().await;
    fill(&fleet).await;
    let looked_after = START + HARD_LIMIT + 60_001;
    let sql = format!("UPDATE orders SET phase = 'closing', due_at_ms = {looked_after} WHERE order_id = {ONE}");
    fleet.order.run(sql).await;
    let pending = "UPDATE trade SET state = 'pending', captured_fen = 0, captured_at_ms = NULL, next_check_at_ms = 0 \
                   WHERE trade_id LIKE '%0001-0'";
    fleet.payment.run(pending).await;
    fleet
        .payment
        .run("DROP TRIGGER ledger_posting_kept; DELETE FROM ledger_posting WHERE trade_id LIKE '%0001-0'")
        .await;
    let at = |now_ms| Sources { now_ms: Some(now_ms), ..fleet.sources.clone() };
    let in_time = audit(&at(START + 300_000)).await;
    assert!(in_time.is_clean(), "{in_time}");
    let late = audit(&at(START + HARD_LIMIT + 60_001)).await;
    assert_eq!((broken(&late), late.violations_total()), (vec![I3], 2), "{late}");
}

#[tokio::test]
async fn tickets_of_a_run_whose_beginning_is_purged_are_counted_and_not_blamed() {
    // Purged up to a version with the run's later batches left, and purged whole.
    for (version, runs) in [(4, 1), (19, 1)] {
        let fleet = Fleet::sqlite().await;
        fill(&fleet).await;
        fleet
            .journal
            .run(format!(
                "INSERT INTO checkpoint (slot, version, purged, chain, snapshots) \
                 SELECT slot, version, 1, chain, 'G1@2026-12-13 {version} 00\n' FROM slot_batch WHERE version = {version}; \
                 DELETE FROM slot_batch WHERE version <= {version}"
            ))
            .await;
        let report = audit(&fleet.sources).await;
        assert!(report.is_clean(), "{report}");
        let counts = report.counts;
        assert_eq!((counts.runs, counts.runs_not_followed, counts.tickets_not_followed), (0, runs, 2), "{report}");
    }
}
