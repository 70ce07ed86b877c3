//! Starting real processes and talking to them.

pub mod client;
pub mod load;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod ring_fleet;
pub mod shard;

/// Prints why a story is left out, in the form that the test command collects.
pub fn skipped(what: &str, reason: &str) {
    eprintln!("SKIPPED {what}: {reason}");
}
