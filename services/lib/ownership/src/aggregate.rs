use bytes::Bytes;
use domain::{Run, Time};

use crate::Version;

/// The state of one train-date, as its owner sees it: it decides, writes down what it decided, and can be made again
/// from what was written.
///
/// Everything here is deterministic: the same calls in the same order give the same state, answers and bytes.
pub trait Aggregate: Sized {
    /// What a client may ask to change.
    type Command;
    /// What an accepted command answers.
    type Answer: Clone;
    /// Why a command was not accepted. It has left nothing behind.
    type Refusal: Clone;
    /// What a client may ask to see.
    type Query;
    /// What is shown.
    type View;
    /// The state at one moment, apart from the run.
    type Frozen: Send + 'static;

    /// What every batch payload begins with. A payload is this, and then the records in the order they were decided.
    const BATCH_HEADER: &'static [u8];

    /// The state of a run that no batch concerns.
    fn new(run: Run) -> Self;

    /// Decides a command. An accepted one changes the state and appends exactly one record to `records`; a refused
    /// or repeated one does neither.
    fn execute(&mut self, context: Context, command: &Self::Command, records: &mut Vec<u8>) -> Execution<Self>;

    /// Moves time to the context's and appends what that caused as one record.
    fn advance(&mut self, context: Context, records: &mut Vec<u8>);

    /// When [`Self::advance`] has something to do next.
    fn next_timer(&self) -> Option<Time>;

    /// Applies the records of a batch payload that concern this run, and leaves out the others; how many those were.
    ///
    /// # Errors
    /// A payload that cannot be read or that contradicts the state.
    fn replay(&mut self, version: Version, payload: &[u8]) -> Result<u32, Damaged>;

    /// What a client asked to see.
    fn view(&self, context: Context, query: Self::Query) -> Self::View;

    /// The state now, to be written out elsewhere. Takes next to no time, however much there is of it: a run sells on
    /// while its snapshot is made.
    fn freeze(&self) -> Self::Frozen;

    /// A frozen state as bytes, for [`Self::restore`], and its [`Self::state_hash`]: on a thread that may take its time.
    fn write(frozen: Self::Frozen) -> (Bytes, u64);

    /// The state of a snapshot.
    ///
    /// # Errors
    /// Bytes of another format, or damaged ones: the run is then loaded without its snapshot.
    fn restore(run: Run, snapshot: &[u8]) -> Result<Self, Damaged>;

    /// A hash of everything later decisions depend on: equal states have equal hashes, however they came about.
    fn state_hash(&self) -> u64;

    /// How many things a snapshot of the state lists, such as holds: writing it and checking cost in proportion.
    fn size(&self) -> usize;

    /// Checks what must hold between any two commands, in a time that grows with [`Self::size`].
    ///
    /// # Errors
    /// What does not hold.
    fn check(&self) -> Result<(), Broken>;
}

/// What a decision may rest on beside the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The database's time as the owner knows it: never an own clock's.
    pub time: Time,
    /// The version at which this decision becomes durable, if it does.
    pub version: Version,
}

/// What came of a command.
pub enum Execution<A: Aggregate> {
    /// It was accepted, and a record was written.
    Accepted(A::Answer),
    /// Its id was accepted before with the same payload: the original outcome.
    Repeated(A::Answer),
    /// It was refused, and nothing has changed.
    Refused(A::Refusal),
}

/// A broken invariant: a bug. The run is quarantined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invariant {id} does not hold: {message}")]
pub struct Broken {
    /// Which invariant, such as `I1`.
    pub id: &'static str,
    /// What was seen. No personal data.
    pub message: String,
}

/// Bytes of the journal that cannot be read, or that contradict what came before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged journal data: {0}")]
pub struct Damaged(pub String);
