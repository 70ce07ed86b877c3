use bytes::Bytes;
use domain::{Run, SlotId, Time};
use smallvec::SmallVec;

use crate::{Aggregate, BatchId, Broken, Epoch, Head, Rebuilt, Ticket, Uptime, Version};

/// When something happens, and a fresh random number for whatever should not happen to two owners at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The moment.
    pub uptime: Uptime,
    /// A random number.
    pub jitter: u32,
}

/// What goes first when not everything can go. Lower ones are shed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody looks.
    Read,
    /// Somebody wants to buy, or waits in line.
    Hold,
    /// Somebody has paid, or gives back: confirm, open, release, refund.
    Settle,
}

/// A request to an owner. `R` is whatever the caller needs to find the asker again.
pub struct Request<A: Aggregate, R> {
    /// The train-date.
    pub run: Run,
    /// What is asked.
    pub work: Work<A>,
    /// Who asks: comes back with the reply, exactly once.
    pub reply_to: R,
    /// Until when the asker waits.
    pub deadline: Uptime,
    /// What goes first.
    pub priority: Priority,
}

/// What is asked of a run.
pub enum Work<A: Aggregate> {
    /// To change it.
    Command(A::Command),
    /// To look at it.
    Query(A::Query),
}

/// What an owner is told.
pub enum Input<A: Aggregate, R> {
    /// A client asks.
    Submit(Request<A, R>),
    /// This owner is meant to own the slot from now on. It claims it as soon as nobody else has it.
    Assign(SlotId),
    /// Runs of a slot that this owner may soon be meant to own, as the journal holds them: kept aside, and brought up to
    /// date when the slot is claimed.
    Warm {
        /// The slot.
        slot: SlotId,
        /// The slot's version before the runs were read: they show at least that much.
        version: Version,
        /// The runs.
        runs: Vec<(Run, Rebuilt<A>)>,
    },
    /// Runs that were kept aside are not wanted any more.
    Cool,
    /// This owner is meant to give the slot up: what is under way is finished, nothing new admitted.
    Release(SlotId),
    /// A quarantined run has been repaired in the journal: load it anew when it is next asked for.
    Reload(Run),
    /// The answer to [`Action::Append`].
    Appended(Vec<Appended>),
    /// The answer to [`Action::Claim`].
    Claimed {
        /// The action's.
        ticket: Ticket,
        /// Per slot what the journal said; `None` when there was no answer.
        slots: Vec<(SlotId, Option<ClaimOutcome>)>,
    },
    /// The answer to [`Action::CatchUp`].
    CaughtUp {
        /// The slot.
        slot: SlotId,
        /// The action's.
        ticket: Ticket,
        /// The batches in order, without a gap; `None` when there was no answer.
        batches: Option<Vec<LaterBatch>>,
    },
    /// The answer to [`Action::Heartbeat`].
    HeartbeatDone {
        /// The action's.
        ticket: Ticket,
        /// What the journal said; `None` when there was no answer.
        heartbeat: Option<Heartbeat>,
    },
    /// A proof of ownership that another owner of the same process asked for, for these slots too.
    Proved {
        /// When it was asked for.
        sent_at: Uptime,
        /// The slots it was asked about, with the epochs they were believed to have.
        slots: Vec<(SlotId, Epoch)>,
        /// What the journal said.
        heartbeat: Heartbeat,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// The run.
        run: Run,
        /// The action's.
        ticket: Ticket,
        /// The run; `None` when there was no answer.
        rebuilt: Option<Rebuilt<A>>,
    },
    /// The answer to [`Action::List`].
    Listed {
        /// The slot.
        slot: SlotId,
        /// The claim's epoch, as in the action.
        epoch: Epoch,
        /// The runs it has batches of; `None` when there was no answer.
        runs: Option<Vec<Run>>,
    },
    /// Time passes. Wanted at least every 50 ms or so.
    Tick,
}

/// What became of one slot's part of an append.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// The slot.
    pub slot: SlotId,
    /// The batch.
    pub batch: BatchId,
    /// What became of it.
    pub outcome: AppendOutcome,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is durable.
    Committed {
        /// The database's time of the commit.
        time: Time,
    },
    /// Version, tail or epoch did not match: somebody else owns the slot, and nothing was written.
    Fenced,
    /// No answer: it may be durable, it may become so yet, it may be lost.
    Unknown,
}

/// What came of claiming a slot.
#[derive(Clone, Copy, Debug)]
pub enum ClaimOutcome {
    /// It is this owner's.
    Claimed(Claimed),
    /// Another owner has it and has not given it up. Never the answer to a claim that takes slots from others.
    Held {
        /// Whether that owner is known to be gone: it will never give the slot up.
        by_one_gone: bool,
    },
}

/// A batch that came after what is in memory.
#[derive(Clone, Debug)]
pub struct LaterBatch {
    /// Its version.
    pub version: Version,
    /// The runs it concerns.
    pub runs: Vec<Run>,
    /// Its records.
    pub payload: Bytes,
}

/// A slot that was claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    /// The epoch, higher than any before.
    pub epoch: Epoch,
    /// Where the stream ends.
    pub head: Head,
    /// The database's time.
    pub time: Time,
}

/// A proof of ownership.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The database's time.
    pub time: Time,
    /// The slots that have another epoch by now.
    pub lost: Vec<SlotId>,
}

/// What the journal holds of a run.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The latest snapshot and its version.
    pub snapshot: Option<(Version, Bytes)>,
    /// The payloads of later batches that concern the run, in order.
    pub batches: Vec<(Version, Bytes)>,
}

/// What an owner wants done. Every action is answered by the input of its name, once, or with "no answer" after a
/// time-out of the shell's.
pub enum Action<A: Aggregate, R> {
    /// Append these batches, each wholly or not at all.
    Append(Vec<SlotAppend>),
    /// Raise the epoch of these slots.
    Claim {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The slots.
        slots: Vec<SlotId>,
        /// Whether to take slots from owners that have not given them up.
        from_others: bool,
    },
    /// Read the batches of a slot after a version.
    CatchUp {
        /// The slot.
        slot: SlotId,
        /// Comes back with the answer.
        ticket: Ticket,
        /// The version.
        after: Version,
        /// How many there are.
        batches: usize,
    },
    /// Ask whether these slots still have these epochs.
    Heartbeat {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The slots.
        slots: Vec<(SlotId, Epoch)>,
    },
    /// Read a run.
    Load {
        /// The run.
        run: Run,
        /// Comes back with the answer.
        ticket: Ticket,
        /// Whether a snapshot may be used; not when it could not be read.
        with_snapshot: bool,
    },
    /// Find the runs of a slot: their timers are this owner's now.
    List {
        /// The slot.
        slot: SlotId,
        /// Comes back with the answer.
        epoch: Epoch,
    },
    /// Store a snapshot; nobody waits for it.
    Snapshot(FrozenRun<A>),
    /// Answer a client.
    Reply {
        /// Who asked.
        to: R,
        /// The answer.
        result: Result<Reply<A>, Failure>,
    },
    /// A batch is durable: these runs have changed.
    Committed(Committed),
    /// A run is out of service.
    Quarantined {
        /// The run.
        run: Run,
        /// Why.
        broken: Broken,
    },
    /// The slot is this owner's to answer for.
    Owned {
        /// The slot.
        slot: SlotId,
        /// Runs that were in memory from the first moment.
        runs_warm: usize,
    },
    /// The slot is another's to claim: everything is durable and nothing is under way.
    Released {
        /// The slot.
        slot: SlotId,
        /// The epoch that is over; `None` when the slot was never claimed.
        epoch: Option<Epoch>,
    },
}

/// One slot's part of an append.
#[derive(Clone, Debug)]
pub struct SlotAppend {
    /// The slot.
    pub slot: SlotId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Where the stream must end.
    pub head: Head,
    /// The new batch: the next tail.
    pub batch: BatchId,
    /// Its records.
    pub payload: Bytes,
    /// The runs it concerns, each once.
    pub runs: SmallVec<[Run; 4]>,
}

/// A run's state at a version, still to be written out.
pub struct FrozenRun<A: Aggregate> {
    /// The run.
    pub run: Run,
    /// The slot's version it shows.
    pub version: Version,
    /// The state.
    pub state: A::Frozen,
}

impl<A: Aggregate> FrozenRun<A> {
    /// Writes it out: on a thread that may take its time.
    pub fn write(self) -> SnapshotOfRun {
        let (payload, state_hash) = A::write(self.state);
        SnapshotOfRun { run: self.run, version: self.version, state_hash, payload }
    }
}

/// A run's state at a version.
#[derive(Clone, Debug)]
pub struct SnapshotOfRun {
    /// The run.
    pub run: Run,
    /// The slot's version it shows.
    pub version: Version,
    /// Hash of the state.
    pub state_hash: u64,
    /// The state.
    pub payload: Bytes,
}

/// A batch that is durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The slot.
    pub slot: SlotId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The batch's version.
    pub version: Version,
    /// The database's time of the commit.
    pub time: Time,
    /// The runs it concerns, each once.
    pub runs: SmallVec<[Run; 4]>,
}

/// What a client is told.
pub struct Reply<A: Aggregate> {
    /// The answer itself.
    pub outcome: Outcome<A>,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The slot's version the answer rests on, all of it durable; for a new acceptance the one that holds it.
    pub version: Version,
    /// The database's time the answer rests on.
    pub time: Time,
    /// After this moment the answer must not be given any more: another owner may know better. An acceptance is true
    /// for ever.
    pub valid_until: Option<Uptime>,
}

/// The answer to a command or query.
pub enum Outcome<A: Aggregate> {
    /// It was accepted and is durable.
    Accepted(A::Answer),
    /// It had been accepted before: the original outcome.
    Repeated(A::Answer),
    /// It was refused and left nothing behind.
    Refused(A::Refusal),
    /// What was asked to see.
    Viewed(A::View),
}

/// Why a request has no answer. Repeating it with the same id is safe in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The journal does not answer, or another owner is taking over; what became of the request is not known.
    #[error("the slot's owner cannot answer now; try again in {retry_after_ms} ms")]
    Unavailable {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The slot belongs to another shard.
    #[error("this shard does not own the slot")]
    NotOwner,
    /// Too much is waiting; nothing was done.
    #[error("too many requests wait; try again in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The asker's time was over before the request was looked at; nothing was done.
    #[error("the deadline passed before the request was executed")]
    DeadlineExceeded,
    /// The run is out of service since an invariant broke.
    #[error("the train-date is quarantined")]
    Quarantined,
}
