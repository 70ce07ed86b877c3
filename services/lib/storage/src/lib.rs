//! Opens Postgres and SQLite, migrates them, and commits transactions in groups.
