//! Starting real processes and talking to them.

pub mod client;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod shard;

/// Prints why a story is left out, in the form that the test command collects.
pub fn skipped(what: &str, reason: &str) {
    eprintln!("SKIPPED {what}: {reason}");
}
