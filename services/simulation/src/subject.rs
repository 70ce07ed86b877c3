//! What the simulation needs of an aggregate to drive and to judge it.

use domain::{Run, Time};
use ownership::Aggregate;

use crate::chance::Chance;

/// An aggregate as the simulation drives it, and a naive second opinion of what it writes.
pub trait Subject: Aggregate<Command: Clone> {
    /// What the journal says about one run, told in the simplest way.
    type Naive: Default + Clone;

    /// The runs of the simulated world: few, and two of them on one slot.
    fn runs() -> &'static [Run];

    /// What every run is sent first, if it must be put on sale.
    fn opening(id: u64) -> Option<Self::Command>;

    /// Something a client might ask.
    fn random_command(chance: &mut Chance, id: u64) -> Self::Command;

    /// Something harmless that must be answered, one way or the other.
    fn probe(id: u64) -> Self::Command;

    /// What the same client might ask after its command was accepted.
    fn follow_up(chance: &mut Chance, command: &Self::Command, answer: &Self::Answer, id: u64)
    -> Option<Self::Command>;

    /// The same id with another payload.
    fn with_other_payload(command: &Self::Command) -> Option<Self::Command>;

    /// Whether this command has an id of its own that makes repeating it answer the same, and that nothing else bears.
    fn has_own_id(command: &Self::Command) -> bool;

    /// A look at what is occupied.
    fn query() -> Self::Query;

    /// What was seen, as [`Self::naive_digest`] puts it.
    fn view_digest(view: Self::View) -> u64;

    /// What an answer says, as [`Decoded::answer`] puts it.
    fn answer_digest(answer: &Self::Answer) -> u64;

    /// The records of a batch that concern a run.
    ///
    /// # Errors
    /// Bytes that are no batch.
    fn decode(run: &Run, payload: &[u8]) -> Result<Vec<Decoded<Self>>, String>;

    /// Adds a record.
    ///
    /// # Errors
    /// A broken invariant with its id: I1, I4, an early release.
    fn note(naive: &mut Self::Naive, record: &Decoded<Self>, committed_at: Time) -> Result<(), String>;

    /// What is occupied.
    fn naive_digest(naive: &Self::Naive) -> u64;

    /// Whether a refusal of this command is right in this state, as far as can be told.
    fn is_justified(naive: &Self::Naive, command: &Self::Command, refusal: &Self::Refusal) -> bool;

    /// Something that should have ended by itself long before `now`, if there is any.
    fn overdue(naive: &Self::Naive, now: Time) -> Option<String>;

    /// The simulated client's number of the request that a command bears.
    fn id_of(command: &Self::Command) -> u64;
}

/// One record of a batch.
pub struct Decoded<S: Subject> {
    /// The request's id; none where time moved by itself.
    pub id: Option<u64>,
    /// What it was answered.
    pub answer: u64,
    /// The database's time as the owner knew it.
    pub decided_at: Time,
    /// What changed.
    pub changes: Vec<Change>,
    /// Of which subject.
    pub subject: std::marker::PhantomData<S>,
}

/// A change of a run in the simulation's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody got a place over some segments until a moment.
    Taken {
        /// Whose.
        hold: u64,
        /// The place.
        place: u16,
        /// One bit per segment.
        segments: u64,
        /// Until when, unless it is paid.
        until: Time,
        /// Whether the line was served: the hold's id is then the entry's.
        from_line: bool,
    },
    /// A hold has another deadline.
    Prolonged {
        /// Whose.
        hold: u64,
        /// Until when.
        until: Time,
    },
    /// A hold was paid.
    Paid {
        /// Whose.
        hold: u64,
    },
    /// A hold was given back.
    GivenBack {
        /// Whose.
        hold: u64,
    },
    /// A hold's time ran out.
    Lapsed {
        /// Whose.
        hold: u64,
    },
    /// Somebody waits.
    Queued {
        /// Who.
        entry: u64,
        /// One bit per segment.
        segments: u64,
    },
    /// Somebody waits no more.
    LeftLine {
        /// Who.
        entry: u64,
    },
    /// Something that must never be written down.
    Poisoned,
}
