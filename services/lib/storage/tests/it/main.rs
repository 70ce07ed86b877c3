//! Group commit, the same on both engines; and what opening refuses.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

use std::sync::Arc;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Sqlite};
use storage::{Database, DatabaseUrl, GroupError, GroupWriter, GroupWriterOptions, OpenError, OpenOptions};
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
async fn an_unreachable_server_is_named_without_its_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://u:canary@127.0.0.1:{port}/d").parse().unwrap();
    let options = OpenOptions { acquire_timeout_ms: 100, ..OpenOptions::default() };
    let error = Database::open(&url, &options).await.unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}
