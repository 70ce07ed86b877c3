//! One suite on every engine: what the store promises, and what the database itself refuses.

use domain::{Money, Time};
use portable_sql::Engine;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use storage::DatabaseUrl;

use super::*;
use crate::state::{ChargeState, RefundState};
use crate::test_databases::{TestDatabase, databases};

const NOW: Time = Time::from_millis(1_795_305_600_000);
const CHECK_TIMES: CheckTimes = CheckTimes { first_ms: 1_000, most_ms: 60_000 };

fn order_id(number: u128) -> String {
    uuid::Uuid::from_u128(number).to_string()
}

fn asked(order: u128, attempt: u32) -> NewTrade {
    NewTrade {
        order_id: order_id(order),
        attempt,
        amount: Money::yuan(100),
        payment_token: "sandbox-ok".into(),
        expires_at: NOW.plus_millis(900_000),
        supplement: false,
    }
}

fn said(state: ChargeState) -> TradeEvent {
    TradeEvent::ProviderSaid { state, amount: Some(Money::yuan(100)), provider_charge_id: Some("ch_1".into()) }
}

async fn captured(store: &dyn Store, order: u128) -> Trade {
    let (trade, _) = store.create_trade(asked(order, 0), NOW).await.unwrap();
    store.trade_event(&trade.trade_id, said(ChargeState::Succeeded), NOW).await.unwrap()
}

fn refund(trade: &Trade, id: &str, amount: Money, fee: Money) -> NewRefund {
    NewRefund { refund_id: id.into(), trade_id: trade.trade_id.clone(), amount, fee }
}

/// Runs a statement behind the store's back.
async fn run_sql(database: &TestDatabase, sql: String) -> Result<(), sqlx::Error> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    match &database.url {
        DatabaseUrl::Sqlite(path) => {
            let pool = SqlitePool::connect(&format!("sqlite:{}", path.display())).await?;
            sql.execute(&pool).await.map(drop)
        }
        DatabaseUrl::Postgres(url) => {
            let pool = PgPool::connect(secrecy::ExposeSecret::expose_secret(url)).await?;
            sql.execute(&pool).await.map(drop)
        }
    }
}

async fn read_sql<E: Engine>(pool: &sqlx::Pool<E>, sql: &'static str) -> Vec<i64> {
    let mut connection = pool.acquire().await.unwrap();
    let rows = E::fetch(&mut connection, sql.into(), Vec::new()).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

/// The first column of a query.
async fn column(database: &TestDatabase, sql: &'static str) -> Vec<i64> {
    match &database.url {
        DatabaseUrl::Sqlite(path) => {
            read_sql(&SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap(), sql).await
        }
        DatabaseUrl::Postgres(url) => {
            read_sql(&PgPool::connect(secrecy::ExposeSecret::expose_secret(url)).await.unwrap(), sql).await
        }
    }
}

#[tokio::test]
async fn an_order_has_one_open_trade_whoever_asks_and_how_often() {
    for database in databases("one_trade").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        let calls = (0..1_000).map(|_| store.create_trade(asked(1, 0), NOW));
        let answers = futures::future::join_all(calls).await;
        let created = answers.iter().filter(|answer| answer.as_ref().unwrap().1).count();
        assert_eq!(created, 1);
        let other = NewTrade { amount: Money::yuan(101), ..asked(1, 0) };
        assert!(matches!(store.create_trade(other, NOW).await, Err(StoreError::Differs(_))));
        let second = store.create_trade(asked(1, 1), NOW).await;
        assert!(matches!(second, Err(StoreError::TradeStands { .. })), "one is open");
        store.trade_event(&asked(1, 0).trade_id(), said(ChargeState::Declined), NOW).await.unwrap();
        assert!(store.create_trade(asked(1, 1), NOW).await.unwrap().1, "after a decline there is another attempt");
        store.trade_event(&asked(1, 1).trade_id(), said(ChargeState::Succeeded), NOW).await.unwrap();
        let third = store.create_trade(asked(1, 2), NOW).await;
        assert!(matches!(third, Err(StoreError::TradeStands { .. })), "the order is paid");
    }
}

#[tokio::test]
async fn concurrent_captures_post_once() {
    for database in databases("one_posting").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        store.create_trade(asked(1, 0), NOW).await.unwrap();
        let id = asked(1, 0).trade_id();
        let events = (0..200).map(|_| store.trade_event(&id, said(ChargeState::Succeeded), NOW));
        futures::future::try_join_all(events).await.unwrap();
        assert_eq!(column(&database, "SELECT provider_fen FROM ledger_posting").await, [10_000]);
        assert_eq!(store.due_notices(NOW, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn concurrent_refunds_never_exceed_the_capture() {
    for database in databases("refunds").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        let trade = captured(&*store, 1).await;
        let refunds = (0..20).map(|number| {
            let asked = refund(&trade, &format!("r-{number}"), Money::yuan(9), Money::yuan(1));
            store.create_refund(asked, NOW)
        });
        let answers = futures::future::join_all(refunds).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
        let trade = store.trade(&trade.trade_id).await.unwrap().unwrap();
        assert_eq!((trade.refunded, trade.fees), (Money::yuan(90), Money::yuan(10)));
        for number in 0..20 {
            if store.refund(&format!("r-{number}")).await.unwrap().is_some() {
                store.refund_event(&format!("r-{number}"), RefundEvent::Arrived, NOW).await.unwrap();
            }
        }
        // Captured 100, kept 10 as fees, the rest has gone back: 10 left at the provider, nothing under way.
        let balances = "SELECT CAST(SUM(provider_fen) AS BIGINT) FROM ledger_posting \
                        UNION ALL SELECT CAST(SUM(fees_fen) AS BIGINT) FROM ledger_posting \
                        UNION ALL SELECT CAST(SUM(refunds_due_fen) AS BIGINT) FROM ledger_posting \
                        UNION ALL SELECT CAST(SUM(sales_fen) AS BIGINT) FROM ledger_posting";
        assert_eq!(column(&database, balances).await, [1_000, -1_000, 0, 0]);
    }
}

#[tokio::test]
async fn the_database_refuses_what_must_never_be() {
    for database in databases("constraints").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        let trade = captured(&*store, 1).await;
        let posting = |id: &str, fees: i64| {
            format!(
                "INSERT INTO ledger_posting (posting_id, kind, order_id, trade_id, at_ms, provider_fen, sales_fen, \
                 fees_fen, refunds_due_fen) VALUES ('{id}', 'refund', 'o', '{}', 0, 5, -4, {fees}, 0)",
                trade.trade_id
            )
        };
        run_sql(&database, posting("sums-to-zero", -1)).await.unwrap();
        let refused = [
            posting("one-fen-too-few", -2),
            posting("sums-to-zero", -1),
            "UPDATE ledger_posting SET fees_fen = fees_fen - 1, sales_fen = sales_fen + 1".to_owned(),
            "DELETE FROM ledger_posting".to_owned(),
            "UPDATE trade SET refunded_fen = 9999, fees_fen = 2".to_owned(),
            "UPDATE trade SET captured_fen = 9999".to_owned(),
            "UPDATE trade SET state = 'closed'".to_owned(),
        ];
        for sql in refused {
            assert!(run_sql(&database, sql.clone()).await.is_err(), "{sql}");
        }
        store.create_trade(asked(2, 0), NOW).await.unwrap();
        let second = "INSERT INTO trade (trade_id, order_id, attempt, amount_fen, payment_token, expires_at_ms, state, \
                      created_at_ms, next_check_at_ms) SELECT 'second', order_id, 9, amount_fen, payment_token, \
                      expires_at_ms, state, created_at_ms, next_check_at_ms FROM trade WHERE state = 'pending'";
        assert!(run_sql(&database, second.to_owned()).await.is_err(), "a second open trade");
    }
}

#[tokio::test]
async fn notices_of_an_order_come_one_after_the_other() {
    for database in databases("notices").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        let trade = captured(&*store, 1).await;
        captured(&*store, 2).await;
        let all_fee = refund(&trade, "r-1", Money::ZERO, Money::yuan(2));
        let (complete, _) = store.create_refund(all_fee, NOW).await.unwrap();
        assert_eq!(complete.state, RefundState::Succeeded);
        let first = store.due_notices(NOW, 10).await.unwrap();
        assert_eq!(first.len(), 2, "one of each order");
        // A first notice that failed holds the later ones of its order back.
        store.notice_failed(first[0].notice_id, NOW.plus_millis(500)).await.unwrap();
        store.notice_taken(first[1].notice_id).await.unwrap();
        assert_eq!(store.due_notices(NOW, 10).await.unwrap(), []);
        let later = store.due_notices(NOW.plus_millis(500), 10).await.unwrap();
        assert_eq!((later.len(), later[0].attempts), (1, 1));
        store.notice_taken(later[0].notice_id).await.unwrap();
        let last = store.due_notices(NOW, 10).await.unwrap();
        assert_eq!(last[0].news, News::Refund { refund_id: "r-1".into() });
    }
}

#[tokio::test]
async fn unknown_outcomes_are_asked_for_with_growing_waits() {
    for database in databases("waits").await {
        let store = open(&database.url, CHECK_TIMES).await.unwrap();
        let (trade, _) = store.create_trade(asked(1, 0), NOW).await.unwrap();
        assert_eq!(store.due_trades(NOW.plus_millis(999), 10).await.unwrap(), []);
        assert_eq!(store.due_trades(NOW.plus_millis(1_000), 10).await.unwrap(), std::slice::from_ref(&trade));
        let at = NOW.plus_millis(1_000);
        store.trade_event(&trade.trade_id, TradeEvent::NoAnswer, at).await.unwrap();
        assert_eq!(store.due_trades(at.plus_millis(1_999), 10).await.unwrap(), []);
        assert_eq!(store.due_trades(at.plus_millis(2_000), 10).await.unwrap().len(), 1);
        store.trade_event(&trade.trade_id, said(ChargeState::Closed), at).await.unwrap();
        assert_eq!(store.due_trades(at.plus_millis(1_000_000), 10).await.unwrap(), []);
    }
}
