//! Which shards count: the operators' settings, the shards that live, and how far each is trusted. Pure: no I/O, no
//! clock, no randomness.
//!
//! The [`RingRecord`] is what all roles share: the operators' [`RingSettings`] and, for each member, whether it counts.
//! Its version counts up with each change of either, so every role that has read the same version has the same ring, and
//! an older one never replaces a newer. Each process that hosts shards watches which of them live and lets its [`Judge`]
//! say what the record should become; whoever is first writes it by compare-and-set.
//!
//! A member that is gone for longer than a grace is left out, one that leaves in order at once. One that comes back is
//! trusted after it has served for a while, twice as long after each time it was lost. When nobody is to be seen, the
//! fault is the observer's until the contrary is shown: the last ring stands, and it is never empty.

mod judge;
mod record;
mod registration;
mod settings;

pub use judge::{Damping, Judge};
pub use record::{RingRecord, Standing};
pub use registration::{Membership, Registration, ShardState};
pub use settings::RingSettings;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
