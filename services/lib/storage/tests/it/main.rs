//! Group commit, the same on both engines; and what opening refuses.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Sqlite};
use storage::{
    Database, DatabaseUrl, GroupError, GroupWriter, GroupWriterOptions, Lot, LotOutcomes, OpenError, OpenOptions,
    Standing,
};
use tempfile::TempDir;

async fn sqlite(folder: &TempDir) -> storage::SqliteDatabase {
    let url = DatabaseUrl::sqlite(folder.path().join("test.db"));
    let Database::Sqlite(database) = Database::open(&url, &OpenOptions::default()).await.unwrap() else {
        unreachable!("a sqlite url");
    };
    database
}

async fn postgres() -> Option<sqlx::PgPool> {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        eprintln!("SKIPPED postgres: CHUNYUN_TEST_POSTGRES is not set");
        return None;
    };
    let name = format!("storage_{}", uuid::Uuid::new_v4().simple());
    let mut connection = <PgConnection as sqlx::Connection>::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let end = server.rfind('/').unwrap();
    let url = format!("{}/{name}", &server[..end]).parse().unwrap();
    let Database::Postgres(pool) = Database::open(&url, &OpenOptions::default()).await.unwrap() else {
        unreachable!("a postgres url");
    };
    Some(pool)
}

/// The same tests for each engine, whose connections are different types.
macro_rules! suite {
    ($engine:ident, $database:ty, $open:expr) => {
        mod $engine {
            use super::*;

            type Writer = GroupWriter<$database>;

            async fn insert(writer: &Writer, id: i32) -> Result<i32, GroupError<sqlx::Error>> {
                writer
                    .submit(move |connection| {
                        Box::pin(async move {
                            let sql = "INSERT INTO ticket (id) VALUES ($1) RETURNING id";
                            sqlx::query_scalar::<_, i32>(sql).bind(id).fetch_one(connection).await
                        })
                    })
                    .await
            }

            async fn stored(pool: &sqlx::Pool<$database>) -> Vec<i32> {
                sqlx::query_scalar("SELECT id FROM ticket ORDER BY id").fetch_all(pool).await.unwrap()
            }

            async fn opened(folder: &TempDir) -> Option<(Writer, sqlx::Pool<$database>)> {
                let pool: sqlx::Pool<$database> = $open(folder).await?;
                sqlx::raw_sql("CREATE TABLE ticket (id INT PRIMARY KEY)").execute(&pool).await.unwrap();
                Some((GroupWriter::start(pool.clone(), GroupWriterOptions::default()), pool))
            }

            #[tokio::test]
            async fn members_of_one_group_are_all_written() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let written = join_all((0..500).map(|id| insert(&writer, id))).await;
                for (id, answer) in (0..500).zip(written) {
                    assert_eq!(answer.unwrap(), id);
                }
                assert_eq!(stored(&pool).await, (0..500).collect::<Vec<_>>());
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn a_refused_member_is_rolled_back_alone() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                // Every third breaks the primary key after it wrote another row, which must go with it.
                let half = async |id: i32| {
                    writer
                        .submit(move |connection| {
                            Box::pin(async move {
                                let insert = "INSERT INTO ticket (id) VALUES ($1)";
                                sqlx::query(insert).bind(id).execute(&mut *connection).await?;
                                let again = if id % 3 == 0 { id } else { id + 1_000 };
                                sqlx::query(insert).bind(again).execute(connection).await.map(drop)
                            })
                        })
                        .await
                };
                let answers = join_all((0..30).map(half)).await;
                for (id, answer) in (0..30).zip(answers) {
                    match answer {
                        Ok(()) => assert_ne!(id % 3, 0),
                        Err(GroupError::Refused(error)) => {
                            assert_eq!(id % 3, 0);
                            assert!(error.as_database_error().unwrap().is_unique_violation());
                        }
                        Err(other) => panic!("{id}: {other}"),
                    }
                }
                let kept: Vec<_> = (0..30).filter(|id| id % 3 != 0).collect();
                let expected: Vec<_> = kept.iter().copied().chain(kept.iter().map(|id| id + 1_000)).collect();
                assert_eq!(stored(&pool).await, expected);
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn a_lone_refusal_leaves_nothing_and_the_writer_goes_on() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let refused = writer
                    .submit(|connection| {
                        Box::pin(async move {
                            sqlx::query("INSERT INTO ticket (id) VALUES (1)").execute(connection).await.unwrap();
                            Err::<(), _>("changed its mind")
                        })
                    })
                    .await;
                assert!(matches!(refused, Err(GroupError::Refused("changed its mind"))), "{refused:?}");
                assert_eq!(stored(&pool).await, [] as [i32; 0]);
                assert_eq!(insert(&writer, 1).await.unwrap(), 1);
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn work_that_can_stand_alone_does_so_with_nobody_beside_it() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let insert_whole = async |id: i32| {
                    writer
                        .submit_whole(move |connection, standing| {
                            Box::pin(async move {
                                let insert = match standing {
                                    Standing::InGroup => format!("INSERT INTO ticket (id) VALUES ({id})"),
                                    Standing::Alone => format!("BEGIN; INSERT INTO ticket (id) VALUES ({id}); COMMIT"),
                                };
                                sqlx::raw_sql(AssertSqlSafe(insert)).execute(connection).await.map(|_| standing)
                            })
                        })
                        .await
                        .unwrap()
                };
                assert_eq!(insert_whole(0).await, Standing::Alone);
                assert_eq!(stored(&pool).await, [0], "it has committed");
                // All of them are there before the writer looks.
                assert_eq!(join_all((1..9).map(insert_whole)).await, [Standing::InGroup; 8]);
                assert_eq!(stored(&pool).await, (0..9).collect::<Vec<_>>());
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn work_that_fails_alone_leaves_nothing_and_the_writer_goes_on() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let failed = writer
                    .submit_whole(|connection, _| {
                        Box::pin(async move {
                            let half = "BEGIN; INSERT INTO ticket (id) VALUES (1)";
                            sqlx::raw_sql(half).execute(connection).await.unwrap();
                            Err::<(), _>("no further")
                        })
                    })
                    .await;
                assert!(matches!(failed, Err(GroupError::Refused("no further"))), "{failed:?}");
                assert_eq!(stored(&pool).await, [] as [i32; 0]);
                assert_eq!(insert(&writer, 1).await.unwrap(), 1);
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn nothing_is_written_once_the_pool_is_closed() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                insert(&writer, 1).await.unwrap();
                // The writer has its connection still.
                let closed = pool.close();
                let refused = insert(&writer, 2).await;
                assert!(matches!(refused, Err(GroupError::Aborted(_))), "{refused:?}");
                closed.await;
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn a_panic_is_rolled_back_alone() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let panics = async {
                    writer
                        .submit(|connection| {
                            Box::pin(async move {
                                let sql = "INSERT INTO ticket (id) VALUES (7)";
                                sqlx::query(sql).execute(connection).await.unwrap();
                                if true {
                                    panic!("a bug");
                                }
                                Ok::<_, sqlx::Error>(())
                            })
                        })
                        .await
                };
                let (panicked, before, after) = tokio::join!(panics, insert(&writer, 1), insert(&writer, 2));
                assert!(matches!(panicked, Err(GroupError::Panicked)), "{panicked:?}");
                assert_eq!((before.unwrap(), after.unwrap()), (1, 2));
                assert_eq!(stored(&pool).await, [1, 2]);
                writer.shutdown().await;
            }

            /// Sells tickets by their numbers. Numbers from 500 on are refused, 666 is a bug.
            #[derive(Default)]
            struct Tickets {
                most_at_once: Arc<AtomicUsize>,
            }

            impl Lot<$database> for Tickets {
                type Item = i32;
                type Value = i32;
                type Error = String;

                fn perform<'c>(
                    &'c self,
                    connection: &'c mut <$database as sqlx::Database>::Connection,
                    items: &'c [i32],
                ) -> BoxFuture<'c, LotOutcomes<i32, String>> {
                    Box::pin(async move {
                        self.most_at_once.fetch_max(items.len(), Ordering::SeqCst);
                        let mut outcomes = Vec::new();
                        for id in items {
                            assert_ne!(*id, 666, "a bug");
                            if *id >= 500 {
                                outcomes.push(Err(format!("{id} is not sold")));
                                continue;
                            }
                            let insert = sqlx::query("INSERT INTO ticket (id) VALUES ($1)").bind(*id);
                            insert.execute(&mut *connection).await.map_err(|_| format!("{id} is sold"))?;
                            outcomes.push(Ok(*id));
                        }
                        Ok(outcomes)
                    })
                }
            }

            #[tokio::test]
            async fn items_of_a_lot_are_done_together_and_each_has_its_own_outcome() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let tickets = Tickets::default();
                let most_at_once = tickets.most_at_once.clone();
                let lot = writer.lot(tickets, 1_024);
                let answers = join_all((0..600).map(|id| lot.submit(id))).await;
                for (id, answer) in (0..600).zip(answers) {
                    match answer {
                        Ok(sold) => assert_eq!((sold, id < 500), (id, true)),
                        Err(GroupError::Refused(why)) => assert_eq!(why, format!("{id} is not sold")),
                        Err(other) => panic!("{id}: {other}"),
                    }
                }
                assert_eq!(stored(&pool).await, (0..500).collect::<Vec<_>>());
                assert!(most_at_once.load(Ordering::SeqCst) > 100, "{most_at_once:?}");
            }

            #[tokio::test]
            async fn an_item_that_breaks_its_lot_fails_alone() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let lot = writer.lot(Tickets::default(), 1_024);
                // Each number twice, and one that is a bug.
                let numbers: Vec<_> = (0..20).chain(0..20).chain([666, 20]).collect();
                let answers = join_all(numbers.iter().map(|id| lot.submit(*id))).await;
                let sold = |half: &[Result<i32, _>]| half.iter().filter(|answer| answer.is_ok()).count();
                assert_eq!((sold(&answers[..20]), sold(&answers[20..40])), (20, 0));
                for (id, answer) in (0..20).zip(&answers[20..40]) {
                    let refused = matches!(answer, Err(GroupError::Refused(why)) if *why == format!("{id} is sold"));
                    assert!(refused, "{id}: {answer:?}");
                }
                assert!(matches!(answers[40], Err(GroupError::Panicked)), "{:?}", answers[40]);
                assert!(matches!(answers[41], Ok(20)), "{:?}", answers[41]);
                assert_eq!(stored(&pool).await, (0..=20).collect::<Vec<_>>());
            }

            #[tokio::test]
            async fn a_lot_waits_for_no_one_who_went_away_and_goes_on_after_a_failure() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let lot = writer.lot(Tickets::default(), 2);
                // All of these are given up before their turn.
                for id in 0..10 {
                    assert!(lot.submit(id).now_or_never().is_none());
                }
                assert!(matches!(lot.submit(11).await, Ok(11)));
                assert_eq!(stored(&pool).await, [11]);
                pool.close().await;
                for id in 12..15 {
                    let answer = lot.submit(id).await;
                    assert!(matches!(answer, Err(GroupError::Aborted(_))), "{answer:?}");
                }
            }

            #[tokio::test]
            async fn shutdown_commits_what_was_submitted_and_takes_no_more() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                let writer = Arc::new(writer);
                let submitted = join_all((0..50).map(|id| insert(&writer, id)));
                let shut_down = async {
                    // The inserts are polled first and so are in the queue.
                    tokio::task::yield_now().await;
                    writer.shutdown().await;
                };
                let (answers, ()) = tokio::join!(submitted, shut_down);
                let acknowledged: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
                assert_eq!(acknowledged.len(), 50);
                assert_eq!(stored(&pool).await, acknowledged);
                assert!(matches!(insert(&writer, 99).await, Err(GroupError::Closed)));
                writer.shutdown().await;
            }

            #[tokio::test]
            async fn a_closed_database_aborts_and_never_acknowledges() {
                let folder = tempfile::tempdir().unwrap();
                let Some((writer, pool)) = opened(&folder).await else { return };
                pool.close().await;
                let answer = insert(&writer, 1).await;
                assert!(matches!(answer, Err(GroupError::Aborted(_))), "{answer:?}");
                writer.shutdown().await;
            }
        }
    };
}

suite!(on_sqlite, Sqlite, async |folder: &TempDir| Some(sqlite(folder).await.writer().clone()));
suite!(on_postgres, Postgres, async |_: &TempDir| postgres().await);

#[tokio::test]
async fn a_sqlite_file_is_durable_and_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let database = sqlite(&folder).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(database.writer()).await.unwrap();
    let synchronous: i32 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(database.writer()).await.unwrap();
    let foreign_keys: bool = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(database.writer()).await.unwrap();
    // 2 is FULL.
    assert_eq!((mode.as_str(), synchronous, foreign_keys), ("wal", 2, true));
    let refused = sqlx::raw_sql("CREATE TABLE t (a)").execute(database.readers()).await;
    assert!(refused.unwrap_err().to_string().contains("readonly"), "readers cannot write");
    database.close().await;
}

#[tokio::test]
async fn a_lost_postgres_connection_never_acknowledges() {
    let Some(pool) = postgres().await else { return };
    sqlx::raw_sql("CREATE TABLE ticket (id INT PRIMARY KEY)").execute(&pool).await.unwrap();
    let writer = GroupWriter::<Postgres>::start(pool.clone(), GroupWriterOptions::default());
    let answer = writer
        .submit(|connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO ticket (id) VALUES (1)").execute(&mut *connection).await?;
                // The work itself does not notice: the commit does.
                let _ = sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())").execute(connection).await;
                Ok::<_, sqlx::Error>(())
            })
        })
        .await;
    assert!(matches!(answer, Err(GroupError::Unknown(_) | GroupError::Aborted(_))), "{answer:?}");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ticket").fetch_one(&pool).await.unwrap();
    assert_eq!(count, 0);
    writer.shutdown().await;
}

#[tokio::test]
async fn postgres_connections_carry_their_time_outs() {
    let Some(pool) = postgres().await else { return };
    for (setting, expected) in
        [("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "5s")]
    {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test]
async fn joins_of_parameters_are_hashed_where_rows_are_not_all_found_by_index() {
    let Some(pool) = postgres().await else { return };
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&pool).await.unwrap();
    let server = std::env::var("CHUNYUN_TEST_POSTGRES").unwrap();
    let url = format!("{}/{name}", &server[..server.rfind('/').unwrap()]).parse().unwrap();
    for (rows_by_index, hashed) in [(true, "off"), (false, "on")] {
        let options = OpenOptions { rows_by_index, ..OpenOptions::default() };
        let Database::Postgres(pool) = Database::open(&url, &options).await.unwrap() else { unreachable!("postgres") };
        let setting: String =
            sqlx::query_scalar("SELECT current_setting('enable_hashjoin')").fetch_one(&pool).await.unwrap();
        assert_eq!(setting, hashed);
    }
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_its_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://u:canary@127.0.0.1:{port}/d").parse().unwrap();
    let options = OpenOptions { acquire_timeout_ms: 100, ..OpenOptions::default() };
    let error = Database::open(&url, &options).await.unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}
