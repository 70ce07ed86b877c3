//! Databases of the bench's own on a Postgres server.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::BenchError;

/// Makes a database and gives its URL.
pub(crate) async fn new_database(server: &str, what: &str) -> Result<String, BenchError> {
    let failed = BenchError::because::<sqlx::Error>;
    let mut connection = PgConnection::connect(server).await.map_err(failed("Postgres did not answer"))?;
    let name = format!("bench_{what}_{}", uuid::Uuid::new_v4().simple());
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.map_err(failed("no database could be made"))?;
    let (address, _) = server.rsplit_once('/').ok_or_else(|| BenchError::new("an address without a database"))?;
    Ok(format!("{address}/{name}"))
}
