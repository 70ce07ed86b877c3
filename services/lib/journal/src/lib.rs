//! The journal: 1,024 fenced streams of batches on SQLite or Postgres.
