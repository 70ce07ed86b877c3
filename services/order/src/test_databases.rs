//! A database of its own for each test, on every engine there is.

use std::sync::Arc;

use storage::{Database, DatabaseUrl, OpenOptions};

use crate::store::OrderStore;
use crate::{Options, open_store};

/// A store on a database that lives as long as this.
pub(crate) struct TestStore {
    pub engine: &'static str,
    pub store: Arc<dyn OrderStore>,
    folder: Option<tempfile::TempDir>,
}

impl TestStore {
    /// Where a SQLite file is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.as_ref().unwrap().path()
    }
}

/// A store on SQLite, and one on Postgres where `CHUNYUN_TEST_POSTGRES` names a server.
pub(crate) async fn stores(name: &str) -> Vec<TestStore> {
    let mut stores = vec![sqlite().await];
    match std::env::var("CHUNYUN_TEST_POSTGRES") {
        Ok(server) => stores.push(postgres(name, &server).await),
        Err(_) => eprintln!("SKIPPED {name} on postgres: CHUNYUN_TEST_POSTGRES is not set"),
    }
    stores
}

pub(crate) async fn sqlite() -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("order.db"));
    open("sqlite", &url, Some(folder)).await
}

async fn postgres(name: &str, server: &str) -> TestStore {
    let database = format!("order_{name}_{}", uuid::Uuid::new_v4().simple());
    let (base, _) = server.rsplit_once('/').unwrap();
    let pool = sqlx::PgPool::connect(server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
    sqlx::raw_sql(create).execute(&pool).await.unwrap();
    pool.close().await;
    open("postgres", &format!("{base}/{database}").parse().unwrap(), None).await
}

async fn open(engine: &'static str, url: &DatabaseUrl, folder: Option<tempfile::TempDir>) -> TestStore {
    let database = Database::open(url, &OpenOptions::default()).await.unwrap();
    let store = open_store(&database, &Options::default()).await.unwrap();
    TestStore { engine, store, folder }
}
