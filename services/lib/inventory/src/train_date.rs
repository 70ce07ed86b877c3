use domain::{HoldId, Interval, Run, SeatClass, Time};

use crate::answer::Executed;
use crate::board::Board;
use crate::command::{Command, CommandMeta};
use crate::event::{Event, Record};
use crate::hold::HoldView;
use crate::plan::Plan;
use crate::refusal::Refusal;

/// The aggregate of one train-date: seats, holds, quotas and the line. One writer, no clock, no chance: the same commands
/// in the same order give the same state.
#[derive(Clone, Debug)]
pub struct TrainDate {
    run: Run,
}

impl TrainDate {
    /// A run that is not on sale.
    pub fn new(run: Run) -> Self {
        Self { run }
    }

    /// Decides a command, applies what it changes, and serves the line with whatever it freed. Events are appended in order;
    /// a repeated command appends none.
    ///
    /// # Errors
    /// A refusal: no event, no change.
    pub fn execute(
        &mut self,
        meta: &CommandMeta,
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Result<Executed, Refusal> {
        todo!("{meta:?} {command:?} {events:?}")
    }

    /// Applies a record of the journal.
    ///
    /// # Errors
    /// A record that does not follow from this state: the journal or this code is broken.
    pub fn replay(&mut self, record: &Record) -> Result<(), BrokenInvariant> {
        todo!("{record:?}")
    }

    /// The train-date.
    pub fn run(&self) -> Run {
        self.run
    }

    /// The aggregate's time: the last one recorded.
    pub fn now(&self) -> Time {
        todo!()
    }

    /// What is on sale, with added carriages and the quotas in force; none before sale.
    pub fn plan(&self) -> Option<&Plan> {
        todo!()
    }

    /// When `Advance` must next be recorded: the first moment at which something expires, opens, relaxes or ends.
    pub fn next_timer(&self) -> Option<Time> {
        todo!()
    }

    /// How many seats are free over an interval, whatever quotas say.
    pub fn free_count(&self, class: SeatClass, interval: Interval) -> u16 {
        todo!("{class:?} {interval:?}")
    }

    /// How many seats are free over each interval, in the order of [`Interval::all`]. Writes as many as there are intervals.
    pub fn counts_all(&self, class: SeatClass, counts: &mut [u16]) {
        todo!("{class:?} {counts:?}")
    }

    /// What a party of one could hold now by the general online channel.
    pub fn board(&self) -> Board {
        todo!()
    }

    /// The present state of a hold.
    pub fn hold(&self, id: HoldId) -> Option<HoldView> {
        todo!("{id}")
    }

    /// Every hold there ever was, in the order in which they were made.
    pub fn holds(&self) -> impl Iterator<Item = HoldView> + '_ {
        std::iter::empty()
    }

    /// A hash of everything later decisions rest on.
    pub fn state_hash(&self) -> u64 {
        todo!()
    }

    /// The state as bytes, versioned and checksummed.
    pub fn snapshot(&self) -> Vec<u8> {
        todo!()
    }

    /// The state from bytes.
    ///
    /// # Errors
    /// Bytes of another format version, another run, or damaged ones: load from the journal instead.
    pub fn restore(run: Run, bytes: &[u8]) -> Result<Self, SnapshotError> {
        todo!("{run} {bytes:?}")
    }

    /// Recomputes everything derived and compares it.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        todo!()
    }
}

/// A bug: the state is not what its holds say. The run must stop selling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {detail}")]
pub struct BrokenInvariant {
    /// The invariant, such as `I1`.
    pub id: &'static str,
    /// What was found.
    pub detail: String,
}

/// Why a snapshot cannot be used. The journal has everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Written by a version with another format.
    #[error("snapshot format {found}, this version reads {expected}")]
    Version {
        /// What stands there.
        found: u16,
        /// What this version writes.
        expected: u16,
    },
    /// Bytes were lost or changed.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// It belongs to another run.
    #[error("the snapshot belongs to {0}")]
    OtherRun(String),
}
