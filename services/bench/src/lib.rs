//! Drives one workload through the fleet's hold path and through the designs it was chosen over, and compares.
//!
//! Every design answers the same two calls, [`Seats`]: hold a place for an interval, and give it back. Each is driven from
//! three [`Entry`]s: from inside the gateway's process, through a unary edge, and through a streaming edge. Clients, edges
//! and shards have a thread each, as if each were a process of its own; the databases are processes anyway. What is
//! compared takes turns, round after round, so that whatever else the machine does hits all of them alike.

pub mod appending;
mod bare_line;
mod cpu;
mod databases;
mod designs;
mod edge;
mod front;
pub mod hop;
mod ledger;
mod load;
mod observed_journal;
mod plan;
pub mod purchases;
mod report;
mod seats;
pub mod shards;
mod stage;
mod workload;

pub use cpu::Processes;
pub use designs::{Design, Engines};
pub use edge::Entry;
pub use load::{Load, Measured};
pub use plan::{Cell, CommitsSeen, Options, Outcome, Restart, run};
pub use report::{Findings, print, to_json};
pub use seats::Seats;
pub use workload::Workload;

/// What keeps a measurement from being made.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct BenchError {
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl BenchError {
    /// What is in the way, in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// Says what was being done when something failed.
    pub(crate) fn because<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self { what: what.to_owned(), source: Some(source.into()) }
    }
}
