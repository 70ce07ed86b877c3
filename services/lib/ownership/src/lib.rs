//! The owner of slots as a state machine: who may answer what, and when.
//!
//! An owner executes commands on train-dates in memory at once, and keeps the answers back until the journal has what they
//! rest on. It is told what happened ([`Input`]), says what it wants done ([`Action`]), and touches neither network,
//! disk, clock nor chance, so that a seeded simulation can put it through every accident.
//!
//! What it promises, whatever the shell, the journal or other owners do:
//! - an acceptance leaves only after its batch is durable;
//! - a refusal or a read leaves only after what it rests on is durable, and at most [`Limits::proof_ms`] after the last
//!   proof that the slot is still this owner's;
//! - after any doubt, nothing that rests on uncommitted state is ever answered: it is dropped and loaded anew.

mod aggregate;
mod batch;
mod heartbeats;
mod identity;
mod limits;
mod message;
mod owner;
mod protocol;
mod rebuild;
mod shared;
mod slot;
mod timers;
mod waiting;
mod warm;

pub use aggregate::{Aggregate, Broken, Context, Damaged, Execution};
pub use heartbeats::{Heartbeats, OfOthers};
pub use identity::{BatchId, Epoch, Head, Ticket, Uptime, Version};
pub use limits::Limits;
pub use message::{
    Action, AppendOutcome, Appended, ClaimOutcome, Claimed, Committed, Failure, FrozenRun, Heartbeat, Input,
    LaterBatch, Now, Outcome, Priority, Reply, Request, SlotAppend, SnapshotOfRun, Stored, Work,
};
pub use owner::{Occupancy, Owner};
pub use protocol::{Protocol, Sound};
pub use rebuild::Rebuilt;
