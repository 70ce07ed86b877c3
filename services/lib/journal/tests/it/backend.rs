//! Journals to test on, and small words for what the tests do with them.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Run, ServiceDate, SlotId, Time};
use journal::{AppendOutcome, BatchId, ClusterConfig, Head, Journal, JournalError, SlotAppend, create, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use storage::DatabaseUrl;
use tempfile::TempDir;

/// Where a test's journal lives; gone when dropped, as far as it is a file.
pub struct Backend {
    pub clusters: Vec<ClusterConfig>,
    _folder: Option<TempDir>,
}

impl Backend {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(folder.path().join("journal.db"));
        Self { clusters: vec![ClusterConfig::whole(url)], _folder: Some(folder) }
    }

    /// A new database on the server of `CHUNYUN_TEST_POSTGRES`; `None`, loudly, where there is none.
    pub async fn postgres() -> Option<Self> {
        let url = new_postgres_database().await?;
        Some(Self { clusters: vec![ClusterConfig::whole(url.parse().unwrap())], _folder: None })
    }

    /// Even partitions in one SQLite file, odd ones in another.
    pub fn two_sqlite_files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = |rest: u8| ClusterConfig {
            partitions: (0..journal::PARTITIONS).filter(|number| number % 2 == rest).collect(),
            ..ClusterConfig::whole(DatabaseUrl::sqlite(folder.path().join(format!("journal-{rest}.db"))))
        };
        Self { clusters: vec![cluster(0), cluster(1)], _folder: Some(folder) }
    }

    pub async fn journal(&self) -> Arc<dyn Journal> {
        create(&self.clusters).await.unwrap();
        self.open().await
    }

    pub async fn open(&self) -> Arc<dyn Journal> {
        open(&self.clusters).await.unwrap()
    }
}

/// Makes a database of its own for a test and gives its URL.
pub async fn new_postgres_database() -> Option<String> {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        eprintln!("SKIPPED postgres: CHUNYUN_TEST_POSTGRES is not set");
        return None;
    };
    let name = format!("journal_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let (address, parameters) = server.split_once('?').map_or((&*server, String::new()), |(a, p)| (a, format!("?{p}")));
    let end = address.rfind('/').filter(|end| *end > "postgres://".len()).unwrap_or(address.len());
    Some(format!("{}/{name}{parameters}", &address[..end]))
}

/// Runs a test of this module on every backend.
macro_rules! on_every_backend {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::backend::Backend::sqlite()).await;
            })*
        }
        mod on_two_sqlite_files {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::backend::Backend::two_sqlite_files()).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(backend) = crate::backend::Backend::postgres().await {
                    super::$name(&backend).await;
                }
            })*
        }
    };
}
pub(crate) use on_every_backend;

pub fn slot(number: u16) -> SlotId {
    SlotId::new(number).unwrap()
}

/// The first trains of one day that fall on a slot.
pub fn runs_of(slot: SlotId, count: usize) -> Vec<Run> {
    let date = ServiceDate::from_days(20_800).unwrap();
    (1..)
        .map(|number| Run::first(format!("G{number}").parse().unwrap(), date))
        .filter(|run| run.slot() == slot)
        .take(count)
        .collect()
}

/// A batch id that no other call gives.
pub fn new_id() -> BatchId {
    BatchId(uuid::Uuid::new_v4().into_bytes())
}

pub fn batch(slot: SlotId, expected: Head, payload: &str, runs: &[Run]) -> SlotAppend {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    SlotAppend { slot, expected, batch_id: new_id(), payload, runs: runs.to_vec() }
}

/// The head after a batch that must be committed, and the time of its commit.
pub async fn must_commit(journal: &dyn Journal, append: SlotAppend) -> (Head, Time) {
    let expected_head = append.expected.advanced(append.slot, append.batch_id, &append.payload);
    match &journal.append(vec![append]).await[..] {
        [AppendOutcome::Committed { version, time, chain }] => {
            assert_eq!((*version, *chain), (expected_head.version, expected_head.chain));
            (expected_head, *time)
        }
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// The head that refused an append.
pub async fn must_fence(journal: &dyn Journal, append: SlotAppend) -> Head {
    match &journal.append(vec![append]).await[..] {
        [AppendOutcome::Fenced { head }] => *head,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The error behind an unknown outcome.
pub async fn must_doubt(journal: &dyn Journal, append: SlotAppend) -> Arc<JournalError> {
    match &journal.append(vec![append]).await[..] {
        [AppendOutcome::Unknown { error }] => error.clone(),
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

/// Claims one slot.
pub async fn claim(journal: &dyn Journal, slot: SlotId, owner: &str) -> Head {
    journal.claim(&[slot], owner, 7).await.unwrap()[0].head
}
