//! Runs one text of SQL on SQLite and on Postgres, so that a store is written once and tested on both.
//!
//! Both engines understand `$1` for parameters, `RETURNING`, `ON CONFLICT` and partial indexes. What differs is small: row
//! locks ([`locking!`]) and types, hence only 64-bit integers (`BIGINT`), text (`TEXT`) and bytes (`BYTEA`, `BLOB`) pass.

mod engine;
mod many;

use futures::future::BoxFuture;
use sqlx::Pool;
use storage::{GroupBackend, GroupError, GroupWriter, GroupWriterOptions, Lot, LotReader, LotWriter};

pub use many::{Many, Type};

/// How many items of one kind of work may wait or be worked on.
const LOT_ITEMS_MAX: usize = 1_024;

/// A database engine that runs portable SQL.
pub trait Engine: GroupBackend {
    /// Runs a statement and says how many rows it touched.
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        sql: Sql,
        values: Vec<Value>,
    ) -> BoxFuture<'c, Result<u64, sqlx::Error>>;

    /// Runs a statement and gathers its rows: bound them in the statement.
    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        sql: Sql,
        values: Vec<Value>,
    ) -> BoxFuture<'c, Result<Vec<Row>, sqlx::Error>>;

    /// Runs a statement for all rows of parameters, as far as the engine can at once, and gathers its rows in no order.
    /// Nothing is run where there are none.
    fn many<'c>(
        connection: &'c mut Self::Connection,
        sql: &'static Many,
        rows: Vec<Vec<Value>>,
    ) -> BoxFuture<'c, Result<Vec<Row>, sqlx::Error>>;
}

/// An open database of one engine: reads from its pool, writes in groups.
#[derive(Debug)]
pub struct Connected<E: Engine> {
    readers: Pool<E>,
    writer: GroupWriter<E>,
}

impl<E: Engine> Connected<E> {
    /// Reads from `readers` and starts a group writer on `writer`, which may be the same pool.
    pub fn new(readers: Pool<E>, writer: Pool<E>, options: GroupWriterOptions) -> Self {
        Self { readers, writer: GroupWriter::start(writer, options) }
    }

    /// Reads rows outside of any transaction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fetch(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Vec<Row>, sqlx::Error> {
        let mut connection = self.readers.acquire().await?;
        E::fetch(&mut connection, sql.into(), values).await
    }

    /// Runs a small transaction in the next group; see [`GroupWriter::submit`].
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn write<T, F, Work>(&self, work: Work) -> Result<T, GroupError<F>>
    where
        T: Send + 'static,
        F: Send + 'static,
        Work: for<'c> FnOnce(&'c mut E::Connection) -> BoxFuture<'c, Result<T, F>> + Send + 'static,
    {
        self.writer.submit(work).await
    }

    /// A way in for small transactions of one kind, whose items are written by the same statements; see [`Lot`].
    pub fn lot<L: Lot<E>>(&self, lot: L) -> LotWriter<E, L> {
        self.writer.lot(lot, LOT_ITEMS_MAX)
    }

    /// A way to reads of one kind, whose items are read by the same statements.
    pub fn reads<L: Lot<E>>(&self, lot: L) -> LotReader<E, L> {
        LotReader::start(self.readers.clone(), lot, LOT_ITEMS_MAX)
    }
}

/// A statement: mostly one text, at times one for each engine.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for Postgres.
    pub postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// A `SELECT` whose rows stay locked until the transaction ends. SQLite has one writer: a write transaction locks all.
#[macro_export]
macro_rules! locking {
    ($select:expr) => {
        $crate::Sql { sqlite: $select, postgres: concat!($select, " FOR UPDATE") }
    };
}

/// A parameter, or a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `BIGINT`.
    Int(Option<i64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BYTEA` or `BLOB`.
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($it: $from) -> Self {
                $value
            }
        })*
    };
}

value_from! {
    i64 => |it| Self::Int(Some(it)),
    Option<i64> => |it| Self::Int(it),
    u32 => |it| Self::Int(Some(i64::from(it))),
    bool => |it| Self::Int(Some(i64::from(it))),
    &str => |it| Self::Text(Some(it.to_owned())),
    String => |it| Self::Text(Some(it)),
    Option<String> => |it| Self::Text(it),
    Vec<u8> => |it| Self::Bytes(Some(it)),
}

/// The parameters of a statement, each turned into a [`Value`].
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::Value::from($value)),*]
    };
}

/// One row of an answer.
#[derive(Clone, Debug)]
pub struct Row(Vec<Value>);

impl Row {
    /// A `BIGINT` that is not null.
    ///
    /// # Errors
    /// When the column is missing, null or of another type.
    pub fn int(&self, index: usize) -> Result<i64, sqlx::Error> {
        self.optional_int(index)?.ok_or_else(|| mismatch(index, "a number"))
    }

    /// A `BIGINT` or null.
    ///
    /// # Errors
    /// When the column is missing or of another type.
    pub fn optional_int(&self, index: usize) -> Result<Option<i64>, sqlx::Error> {
        match self.0.get(index) {
            Some(Value::Int(value)) => Ok(*value),
            Some(Value::Text(None) | Value::Bytes(None)) => Ok(None),
            _ => Err(mismatch(index, "a number or null")),
        }
    }

    /// A `TEXT` that is not null.
    ///
    /// # Errors
    /// When the column is missing, null or of another type.
    pub fn text(&self, index: usize) -> Result<&str, sqlx::Error> {
        self.optional_text(index)?.ok_or_else(|| mismatch(index, "a text"))
    }

    /// A `TEXT` or null.
    ///
    /// # Errors
    /// When the column is missing or of another type.
    pub fn optional_text(&self, index: usize) -> Result<Option<&str>, sqlx::Error> {
        match self.0.get(index) {
            Some(Value::Text(value)) => Ok(value.as_deref()),
            Some(Value::Int(None) | Value::Bytes(None)) => Ok(None),
            _ => Err(mismatch(index, "a text or null")),
        }
    }

    /// Bytes that are not null.
    ///
    /// # Errors
    /// When the column is missing, null or of another type.
    pub fn bytes(&self, index: usize) -> Result<&[u8], sqlx::Error> {
        match self.0.get(index) {
            Some(Value::Bytes(Some(value))) => Ok(value),
            _ => Err(mismatch(index, "bytes")),
        }
    }
}

fn mismatch(index: usize, expected: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: index.to_string(), source: format!("expected {expected}").into() }
}
