//! The engine on a real SQLite journal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kit;
mod ownership;
mod selling;
mod throughput;
