//! One suite on every backend: what holds on SQLite holds on Postgres.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod backend;
mod chain;
mod configuration;
mod fencing;
mod history;
mod model;
mod postgres;
