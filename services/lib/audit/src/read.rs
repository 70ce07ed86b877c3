//! Reading SQLite and Postgres alike: this crate writes nothing.

use std::str::FromStr;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{PgPool, Row as _, SqlitePool, TypeInfo, ValueRef};

use crate::AuditError;

/// Connections to one database: one per stream that is read side by side.
const CONNECTIONS_MAX: u32 = 8;

/// A database that is only read.
pub enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A statement, with another text for Postgres where sorting needs one.
#[derive(Clone, Copy)]
pub struct Sql {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// One row.
#[derive(Debug)]
pub struct Row(Vec<Value>);

#[derive(Debug)]
enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Database {
    /// Opens `sqlite:PATH` or `postgres://...`.
    pub async fn open(url: &str) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Open { engine: if is_sqlite(url) { "sqlite" } else { "postgres" }, source };
        if is_sqlite(url) {
            let options = SqliteConnectOptions::from_str(url).map_err(failed)?.read_only(true);
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options);
            pool.await.map(Self::Sqlite).map_err(failed)
        } else {
            let options = PgConnectOptions::from_str(url).map_err(failed)?.application_name("chunyun-audit");
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options);
            pool.await.map(Self::Postgres).map_err(failed)
        }
    }

    /// Streams the rows of a statement with numbers for parameters.
    pub fn stream(&self, sql: impl Into<Sql>, numbers: &[i64]) -> BoxStream<'_, Result<Row, AuditError>> {
        let sql = sql.into();
        match self {
            Self::Sqlite(pool) => {
                let query = numbers.iter().fold(sqlx::query(sql.sqlite), |query, number| query.bind(*number));
                query.fetch(pool).map(|row| row.and_then(|row| sqlite_row(&row))).map_err(AuditError::Read).boxed()
            }
            Self::Postgres(pool) => {
                let query = numbers.iter().fold(sqlx::query(sql.postgres), |query, number| query.bind(*number));
                query.fetch(pool).map(|row| row.and_then(|row| postgres_row(&row))).map_err(AuditError::Read).boxed()
            }
        }
    }

    /// All rows of a statement: only where they are known to be few.
    pub async fn rows(&self, sql: impl Into<Sql>, numbers: &[i64]) -> Result<Vec<Row>, AuditError> {
        self.stream(sql, numbers).try_collect().await
    }
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

macro_rules! row_reader {
    ($name:ident, $row:ty) => {
        fn $name(row: &$row) -> Result<Row, sqlx::Error> {
            let value = |index| {
                let raw = row.try_get_raw(index)?;
                if raw.is_null() {
                    return Ok(Value::Null);
                }
                match raw.type_info().name() {
                    "INT8" | "INTEGER" => row.try_get(index).map(Value::Int),
                    "INT4" => row.try_get::<i32, _>(index).map(|value| Value::Int(value.into())),
                    "BOOL" | "BOOLEAN" => row.try_get::<bool, _>(index).map(|value| Value::Int(value.into())),
                    "BYTEA" | "BLOB" => row.try_get(index).map(Value::Bytes),
                    _ => row.try_get(index).map(Value::Text),
                }
            };
            (0..row.len()).map(value).collect::<Result<_, _>>().map(Row)
        }
    };
}

row_reader!(sqlite_row, sqlx::sqlite::SqliteRow);
row_reader!(postgres_row, sqlx::postgres::PgRow);

impl Row {
    /// A number that is not null.
    pub fn int(&self, index: usize) -> Result<i64, AuditError> {
        self.optional_int(index)?.ok_or(AuditError::Column { index })
    }

    /// A number or null.
    pub fn optional_int(&self, index: usize) -> Result<Option<i64>, AuditError> {
        match self.0.get(index) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(AuditError::Column { index }),
        }
    }

    /// A text that is not null.
    pub fn text(&self, index: usize) -> Result<&str, AuditError> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(AuditError::Column { index }),
        }
    }

    /// Bytes that are not null.
    pub fn bytes(&self, index: usize) -> Result<&[u8], AuditError> {
        match self.0.get(index) {
            Some(Value::Bytes(value)) => Ok(value),
            _ => Err(AuditError::Column { index }),
        }
    }

    /// Bytes of a fixed length.
    pub fn array<const N: usize>(&self, index: usize) -> Result<[u8; N], AuditError> {
        self.bytes(index)?.try_into().map_err(|_| AuditError::Column { index })
    }
}

/// Rows in order of a key, taken a group at a time: the pieces of a merge join.
pub struct Groups<'a, K> {
    rows: BoxStream<'a, Result<Row, AuditError>>,
    key: fn(&Row) -> Result<K, AuditError>,
    head: Option<(K, Row)>,
}

impl<'a, K: Ord + Clone> Groups<'a, K> {
    /// Groups rows that come in order of the key.
    pub async fn new(
        rows: BoxStream<'a, Result<Row, AuditError>>,
        key: fn(&Row) -> Result<K, AuditError>,
    ) -> Result<Self, AuditError> {
        let mut groups = Self { rows, key, head: None };
        groups.advance().await?;
        Ok(groups)
    }

    /// Without any row.
    pub fn empty(key: fn(&Row) -> Result<K, AuditError>) -> Self {
        Self { rows: futures::stream::empty().boxed(), key, head: None }
    }

    /// The key of the next group.
    pub fn key(&self) -> Option<&K> {
        self.head.as_ref().map(|(key, _)| key)
    }

    /// The rows of a key, if it is the next one.
    pub async fn take(&mut self, key: &K) -> Result<Vec<Row>, AuditError> {
        let mut group = Vec::new();
        while self.key() == Some(key) {
            if let Some((_, row)) = self.head.take() {
                group.push(row);
            }
            self.advance().await?;
        }
        Ok(group)
    }

    async fn advance(&mut self) -> Result<(), AuditError> {
        let row = self.rows.try_next().await?;
        let head = row.map(|row| (self.key)(&row).map(|key| (key, row))).transpose()?;
        // A merge of rows out of order would compare what does not belong together.
        if let (Some((last, _)), Some((next, _))) = (&self.head, &head)
            && next < last
        {
            return Err(AuditError::Order);
        }
        self.head = head;
        Ok(())
    }
}
