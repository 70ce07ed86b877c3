use domain::Time;
use inventory::{Answer, Refusal};
use ownership::{Epoch, Failure, Version};

/// What the shard says to a command, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Accepted, accepted before, or refused.
    pub outcome: Outcome,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The slot's journal version it rests on, durable. A new acceptance is in exactly this one; a repeated one rests on
    /// whatever came since, and the version that an answer shows is part of the answer.
    pub version: Version,
    /// The database's time it rests on.
    pub time: Time,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted and is durable.
    Accepted(Answer),
    /// The same command had been accepted before: the original answer.
    Repeated(Answer),
    /// It was refused, and left nothing behind. Sold out is one of these: an ordinary answer.
    Refused(Refusal),
}

impl Decision {
    /// The answer, whether it was given now or before.
    ///
    /// # Errors
    /// The refusal.
    pub fn answer(self) -> Result<Answer, Refusal> {
        match self.outcome {
            Outcome::Accepted(answer) | Outcome::Repeated(answer) => Ok(answer),
            Outcome::Refused(refusal) => Err(refusal),
        }
    }
}

/// What was seen of a run, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewed<T> {
    /// What was seen.
    pub value: T,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The slot's journal version it shows, durable.
    pub version: Version,
    /// The database's time it shows.
    pub time: Time,
}

/// Why a request has no answer. Repeating it with the same id is safe in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nothing can be said about the request, for the reason given.
    #[error(transparent)]
    NotAnswered(#[from] Failure),
    /// The engine is shut down.
    #[error("the engine is shut down")]
    Closed,
}

impl EngineError {
    /// The journal does not answer, or somebody else is taking over.
    pub(crate) const UNAVAILABLE: Self = Self::NotAnswered(Failure::Unavailable { retry_after_ms: 1_000 });
    /// Too much is waiting.
    pub(crate) const OVERLOADED: Self = Self::NotAnswered(Failure::Overloaded { retry_after_ms: 100 });
}
