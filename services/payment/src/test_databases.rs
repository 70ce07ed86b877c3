//! A database of its own for each test, on every engine there is.

use storage::DatabaseUrl;

/// A database that lives as long as this.
pub struct TestDatabase {
    /// Where it is.
    pub url: DatabaseUrl,
    _folder: Option<tempfile::TempDir>,
}

/// A new SQLite file, and a new Postgres database where `CHUNYUN_TEST_POSTGRES` names a server.
pub async fn databases(name: &str) -> Vec<TestDatabase> {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("test.db"));
    let mut databases = vec![TestDatabase { url, _folder: Some(folder) }];
    match std::env::var("CHUNYUN_TEST_POSTGRES") {
        Ok(server) => {
            let database = format!("{name}_{}", uuid::Uuid::new_v4().simple());
            let (base, _) = server.rsplit_once('/').unwrap();
            let pool = sqlx::PgPool::connect(&server).await.unwrap();
            let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
            sqlx::raw_sql(create).execute(&pool).await.unwrap();
            pool.close().await;
            databases.push(TestDatabase { url: format!("{base}/{database}").parse().unwrap(), _folder: None });
        }
        Err(_) => eprintln!("SKIPPED {name} on postgres: CHUNYUN_TEST_POSTGRES is not set"),
    }
    databases
}
