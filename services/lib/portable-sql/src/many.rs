use crate::{Sql, Value};

/// A statement done for many rows of parameters at once. Its text reads them from a table named `sent`.
///
/// Postgres gets them as arrays in one statement, SQLite, which runs within the process, row by row.
#[derive(Debug)]
pub struct Many {
    sqlite: String,
    postgres: String,
    columns: Vec<Type>,
}

/// The type of a column of [`Many`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `BIGINT`.
    Int,
    /// `TEXT`.
    Text,
    /// `BYTEA` or `BLOB`.
    Bytes,
}

impl Many {
    /// A statement whose text has `{sent}` where the table of parameters stands, with the columns of that table.
    pub fn new(text: &str, columns: &[(&str, Type)]) -> Self {
        let numbered = || (1..).zip(columns);
        let arrays: Vec<_> = numbered().map(|(number, (_, of))| format!("${number}::{}[]", of.on_postgres())).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = numbered().map(|(number, (name, _))| format!("${number} AS {name}")).collect();
        Self {
            sqlite: text.replace("{sent}", &format!("(SELECT {}) AS sent", values.join(", "))),
            postgres: text.replace("{sent}", &format!("UNNEST({}) AS sent ({})", arrays.join(", "), names.join(", "))),
            columns: columns.iter().map(|(_, of)| *of).collect(),
        }
    }

    /// A statement that inserts rows with these columns into a table.
    pub fn insert(table: &str, columns: &[(&str, Type)]) -> Self {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Self::new(&format!("INSERT INTO {table} ({names}) SELECT {names} FROM {{sent}}"), columns)
    }

    /// The same `SELECT`, whose rows stay locked until the transaction ends; see [`locking!`](crate::locking).
    #[must_use]
    pub fn locking(self) -> Self {
        Self { postgres: self.postgres + " FOR UPDATE", ..self }
    }

    /// The statement for one row on SQLite, for arrays on Postgres.
    pub(crate) fn sql(&'static self) -> Sql {
        Sql { sqlite: &self.sqlite, postgres: &self.postgres }
    }

    /// The columns of such rows.
    pub(crate) fn arrays(&self, rows: Vec<Vec<Value>>) -> Vec<Array> {
        let mut arrays: Vec<_> = self.columns.iter().map(|of| Array::new(*of, rows.len())).collect();
        for row in rows {
            assert_eq!(row.len(), arrays.len(), "a row has a value for each column");
            for (array, value) in arrays.iter_mut().zip(row) {
                array.push(value);
            }
        }
        arrays
    }
}

/// The values of one column.
pub(crate) enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn new(of: Type, rows: usize) -> Self {
        match of {
            Type::Int => Self::Int(Vec::with_capacity(rows)),
            Type::Text => Self::Text(Vec::with_capacity(rows)),
            Type::Bytes => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Int(values), Value::Int(value)) => values.push(value),
            (Self::Text(values), Value::Text(value)) => values.push(value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            (_, value) => panic!("a value of another type than its column: {value:?}"),
        }
    }
}

impl Type {
    const fn on_postgres(self) -> &'static str {
        match self {
            Self::Int => "BIGINT",
            Self::Text => "TEXT",
            Self::Bytes => "BYTEA",
        }
    }
}
