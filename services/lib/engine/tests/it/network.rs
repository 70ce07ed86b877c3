//! A network that is silently dead: connections stand, statements are sent, and no answer ever comes.

use std::time::{Duration, Instant};

use engine::{EngineError, EngineOptions, Failure, Outcome};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::kit::{Backend, WAIT, free_seats, hold, open_sale, run, start_with, submit, wait_until};
use crate::proxy::Proxy;

/// Connections of the journal: it has none to lose.
const CONNECTIONS: u32 = 1;
const HOLDS_IN_DOUBT: u128 = 10;

#[tokio::test]
async fn a_silent_network_sheds_in_time_and_costs_no_connection_for_good() {
    let Some(backend) = Backend::postgres().await else { return };
    backend.new_journal().await.close().await;
    let proxy = Proxy::to(backend.server()).await;
    let journal = backend.open_at(proxy.address, CONNECTIONS).await;
    let train = run("G71");
    let options = EngineOptions { journal_timeout: Duration::from_millis(400), ..EngineOptions::named("shard") };
    let engine = start_with(journal, options, &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 100, 600_000).await;
    submit(&handle, train, hold(1)).await.unwrap().answer().unwrap();

    // A statement is under way, and the server at work on it, when the network dies.
    let mut other = PgConnection::connect(&backend.postgres_url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let lock = format!("SELECT 1 FROM slot_head WHERE slot = {} FOR UPDATE", train.slot().number());
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
    let first = tokio::spawn({
        let handle = handle.clone();
        async move { handle.submit(train, None, hold(99), Duration::from_millis(600)).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *transaction).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.fall_silent();
    transaction.rollback().await.unwrap();
    let lost = first.await.unwrap();
    assert!(matches!(lost, Err(EngineError::NotAnswered(Failure::Unavailable { .. }))), "{lost:?}");
    let timeout = Duration::from_millis(600);
    let longest = timeout + Duration::from_secs(2);
    for number in 0..HOLDS_IN_DOUBT {
        let asked = Instant::now();
        let answer = handle.submit(train, None, hold(100 + number), timeout).await;
        assert!(
            matches!(answer, Err(EngineError::NotAnswered(Failure::Unavailable { .. } | Failure::DeadlineExceeded))),
            "{answer:?}"
        );
        assert!(asked.elapsed() < longest, "answered by its deadline, give or take the machine: {:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    wait_until(|| handle.metrics().counts().claims_unknown > 2).await;

    proxy.recover();
    let back = async {
        loop {
            if let Ok(decision) = submit(&handle, train, hold(2)).await {
                return decision;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let decision = tokio::time::timeout(WAIT, back).await.expect("it recovers by itself");
    assert!(matches!(decision.outcome, Outcome::Accepted(_)));
    // Holds 1 and 2, and 99: the server finished what it was at work on, though nobody could hear it.
    assert_eq!(free_seats(&handle, train).await, 97);
    let repeated = submit(&handle, train, hold(99)).await.unwrap();
    assert!(matches!(repeated.outcome, Outcome::Repeated(_)), "{repeated:?}");
    engine.shutdown(WAIT).await;
}
