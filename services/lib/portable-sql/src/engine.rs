//! The two engines.

use futures::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Postgres, Row as _, Sqlite, TypeInfo, ValueRef};

use crate::many::{Array, Many};
use crate::{Engine, Row, Sql, Value, mismatch};

macro_rules! bind {
    ($engine:ident, $text:expr, $values:expr) => {{
        let mut query = sqlx::query::<$engine>($text);
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Rows as they came, read one value after the other by its type.
macro_rules! read {
    ($row:ty, $rows:expr) => {{
        let value = |row: &$row, index: usize| {
            let raw = row.try_get_raw(index)?;
            if raw.is_null() {
                return Ok(Value::Int(None));
            }
            match raw.type_info().name() {
                "INT8" | "INTEGER" => row.try_get(index).map(Value::Int),
                "TEXT" => row.try_get(index).map(Value::Text),
                "BYTEA" | "BLOB" => row.try_get(index).map(Value::Bytes),
                _ => Err(mismatch(index, "BIGINT, TEXT or bytes")),
            }
        };
        let read = |row: &$row| (0..row.columns().len()).map(|index| value(row, index)).collect::<Result<_, _>>();
        $rows.iter().map(|row| read(row).map(Row)).collect()
    }};
}

macro_rules! statements {
    ($engine:ident, $row:ty, $text:ident) => {
        fn execute<'c>(
            connection: &'c mut Self::Connection,
            sql: Sql,
            values: Vec<Value>,
        ) -> BoxFuture<'c, Result<u64, sqlx::Error>> {
            Box::pin(async move {
                bind!($engine, sql.$text, values).execute(connection).await.map(|done| done.rows_affected())
            })
        }

        fn fetch<'c>(
            connection: &'c mut Self::Connection,
            sql: Sql,
            values: Vec<Value>,
        ) -> BoxFuture<'c, Result<Vec<Row>, sqlx::Error>> {
            Box::pin(async move {
                let rows = bind!($engine, sql.$text, values).fetch_all(connection).await?;
                read!($row, rows)
            })
        }
    };
}

impl Engine for Sqlite {
    statements!(Sqlite, SqliteRow, sqlite);

    fn many<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static Many,
        rows: Vec<Vec<Value>>,
    ) -> BoxFuture<'c, Result<Vec<Row>, sqlx::Error>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for values in rows {
                found.append(&mut Self::fetch(connection, sql.sql(), values).await?);
            }
            Ok(found)
        })
    }
}

impl Engine for Postgres {
    statements!(Postgres, PgRow, postgres);

    fn many<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static Many,
        rows: Vec<Vec<Value>>,
    ) -> BoxFuture<'c, Result<Vec<Row>, sqlx::Error>> {
        Box::pin(async move {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let mut query = sqlx::query::<Self>(sql.sql().postgres);
            for array in sql.arrays(rows) {
                query = match array {
                    Array::Int(values) => query.bind(values),
                    Array::Text(values) => query.bind(values),
                    Array::Bytes(values) => query.bind(values),
                };
            }
            let rows = query.fetch_all(connection).await?;
            read!(PgRow, rows)
        })
    }
}
