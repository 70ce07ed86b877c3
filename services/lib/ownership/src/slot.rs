mod commit;
mod execute;
mod load;
mod ownership;

use std::collections::{BTreeMap, VecDeque};

use domain::{Run, SlotId, Time};
use smallvec::SmallVec;

use crate::batch::{Batch, Gated};
use crate::shared::Shared;
use crate::timers::Timers;
use crate::waiting::Waiting;
use crate::warm::WarmSlot;
use crate::{Aggregate, Epoch, Failure, Head, Now, Outcome, Protocol, Reply, Request, Ticket, Uptime, Version};

/// Timers of one slot that are looked after in one tick.
const TIMERS_PER_TICK: usize = 64;
/// A commit under way for longer than this is looked at in every tick: those who wait may have no more time.
const SLOW_COMMIT_MS: u64 = 50;
/// After a load or a list failed, timers cause no other one for so long.
const LOAD_PAUSE_MS: u64 = 1_000;

/// One slot: its place in the journal, its runs in memory, and the answers that wait.
pub(crate) struct Slot<A: Aggregate, R> {
    id: SlotId,
    /// Nothing new is admitted; the slot is forgotten once nothing is under way.
    pub draining: bool,
    stage: Stage,
    epoch: Epoch,
    /// The last batch known to be committed.
    head: Head,
    /// Where the stream may also end: batches of this owner whose outcome is not known.
    doubtful: SmallVec<[Head; 2]>,
    in_flight: VecDeque<Batch<A, R>>,
    open: Batch<A, R>,
    runs: BTreeMap<Run, Entry<A, R>>,
    /// How many of them are loading.
    loading: usize,
    timers: Timers,
    /// Requests that wait for the slot to be claimed, or for room in a batch.
    waiting: Waiting<A, R>,
    /// Answers that rest on durable state and wait for a proof of ownership.
    unproved: Vec<Gated<A, R>>,
    proved_until: Uptime,
    claim_after: Uptime,
    /// Since when it is meant to be this owner's.
    wanted_since: Uptime,
    /// From then on the slot is taken from an owner that has not given it up.
    take_after: Uptime,
    /// Runs that are being brought up to date.
    warm: Option<WarmSlot<A>>,
    /// The last claim got no answer: requests need not wait for the next.
    journal_silent: bool,
    /// The list of runs is still wanted, not before this moment.
    list_after: Option<Uptime>,
    load_after: Uptime,
    /// Quarantined runs that may come back once their last records are durable.
    repaired: Vec<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unowned,
    Claiming(Ticket),
    /// Claimed; the runs kept aside are being brought up to date.
    CatchingUp(Ticket),
    Owned,
}

enum Entry<A: Aggregate, R> {
    /// On its way from the journal; the requests execute in order when it is there.
    Loading {
        ticket: Ticket,
        waiting: Vec<Request<A, R>>,
    },
    Live(Live<A>),
    /// An invariant broke, or its journal could not be read. Its earlier records may still be on their way into the
    /// journal, up to this version: before that it must not be loaded.
    Quarantined {
        touched: Version,
    },
}

#[derive(Debug)]
struct Live<A> {
    aggregate: A,
    /// The version of the last batch that changed it, committed or not.
    touched: Version,
    next_timer: Option<Time>,
    last_use: u64,
    records_since_snapshot: u32,
    records_since_check: u32,
}

impl<A: Aggregate, R> Slot<A, R> {
    pub fn new(id: SlotId) -> Self {
        Self {
            id,
            draining: false,
            stage: Stage::Unowned,
            epoch: Epoch::default(),
            head: Head::default(),
            doubtful: SmallVec::new(),
            in_flight: VecDeque::new(),
            open: Batch::new(),
            runs: BTreeMap::new(),
            loading: 0,
            timers: Timers::default(),
            waiting: Waiting::new(),
            unproved: Vec::new(),
            proved_until: Uptime::default(),
            claim_after: Uptime::default(),
            wanted_since: Uptime::default(),
            take_after: Uptime::default(),
            warm: None,
            journal_silent: false,
            list_after: None,
            load_after: Uptime::default(),
            repaired: Vec::new(),
        }
    }

    /// Admits a request, or sheds it before any work is done for it.
    pub fn submit<P: Protocol>(&mut self, now: Now, request: Request<A, R>, shared: &mut Shared<A, R>) {
        if self.draining {
            shared.fail(request.reply_to, Failure::NotOwner);
        } else if request.deadline < now.uptime {
            shared.fail(request.reply_to, Failure::DeadlineExceeded);
        } else if self.stage == Stage::Owned && self.waiting.is_empty() && !self.is_batch_full(shared) {
            self.work::<P>(now, request, shared);
        } else if self.stage != Stage::Owned && self.journal_silent {
            let failure = shared.unavailable();
            shared.fail(request.reply_to, failure);
        } else {
            self.enqueue(request, shared);
        }
    }

    /// Executes what waits, as long as the batch has room.
    fn pump<P: Protocol>(&mut self, now: Now, shared: &mut Shared<A, R>) {
        while self.stage == Stage::Owned && !self.is_batch_full(shared) {
            let Some(request) = self.waiting.pop() else { return };
            shared.queued -= 1;
            if request.deadline < now.uptime {
                shared.fail(request.reply_to, Failure::DeadlineExceeded);
            } else {
                self.work::<P>(now, request, shared);
            }
        }
    }

    fn enqueue(&mut self, request: Request<A, R>, shared: &mut Shared<A, R>) {
        if shared.queued >= shared.limits.queue_requests_max {
            let Some(displaced) = self.waiting.displace(request.priority) else {
                shared.fail(request.reply_to, overloaded());
                return;
            };
            shared.queued -= 1;
            shared.fail(displaced.reply_to, overloaded());
        }
        shared.queued += 1;
        self.waiting.push(request);
    }

    /// What time brings: deadlines that passed, timers that are due, lists and loads to repeat.
    pub fn tick<P: Protocol>(&mut self, now: Now, shared: &mut Shared<A, R>) {
        self.expire_requests(now.uptime, shared);
        if self.stage != Stage::Owned {
            return;
        }
        if self.list_after.is_some_and(|after| after <= now.uptime) {
            self.list_after = None;
            shared.actions.push(crate::Action::List { slot: self.id, epoch: self.epoch });
        }
        self.release_repaired(shared);
        self.fire_timers::<P>(now, shared);
        self.pump::<P>(now, shared);
    }

    /// Whether time brings nothing: nobody waits for anything and no timer is due.
    pub fn is_quiet(&self, time: Time) -> bool {
        self.stage == Stage::Owned
            && !self.draining
            && self.open.records == 0
            && self.open.replies.is_empty()
            && self.in_flight.is_empty()
            && self.unproved.is_empty()
            && self.waiting.is_empty()
            && self.loading == 0
            && self.list_after.is_none()
            && self.repaired.is_empty()
            && !self.timers.is_due(time)
    }

    fn expire_requests(&mut self, now: Uptime, shared: &mut Shared<A, R>) {
        for request in self.waiting.take_expired(now) {
            shared.queued -= 1;
            shared.fail(request.reply_to, Failure::DeadlineExceeded);
        }
        if self.loading > 0 {
            for entry in self.runs.values_mut() {
                let Entry::Loading { waiting, .. } = entry else { continue };
                for request in waiting.extract_if(.., |request| request.deadline < now) {
                    shared.queued -= 1;
                    shared
                        .actions
                        .push(crate::Action::Reply { to: request.reply_to, result: Err(Failure::DeadlineExceeded) });
                }
            }
        }
        let slow = self.in_flight.front().is_some_and(|batch| now.millis_since(batch.sent_at) > SLOW_COMMIT_MS);
        let unavailable = shared.unavailable();
        let gates = self.in_flight.iter_mut().map(|batch| &mut batch.replies).chain([&mut self.open.replies]);
        for replies in gates.filter(|_| slow).chain([&mut self.unproved]) {
            for gated in replies.extract_if(.., |gated| gated.deadline < now) {
                shared.fail(gated.to, unavailable);
            }
        }
    }

    fn is_batch_full(&self, shared: &Shared<A, R>) -> bool {
        self.open.records >= shared.limits.batch_records_max
            || self.open.payload.len() >= shared.limits.batch_bytes_max
            || self.open.replies.len() >= shared.limits.batch_replies_max
    }

    /// The version that the open batch has once committed.
    fn open_version(&self) -> Version {
        Version(self.head.version.0 + self.in_flight.len() as u64 + 1)
    }

    /// Answers from durable state, or waits for a proof of ownership.
    fn answer<P: Protocol>(&mut self, now: Uptime, gated: Gated<A, R>, shared: &mut Shared<A, R>) {
        let lasting = matches!(gated.outcome, Outcome::Accepted(_));
        let proof_needed = !lasting && P::PROOF_NEEDED;
        if proof_needed && now > self.proved_until {
            shared.proof_wanted = true;
            self.unproved.push(gated);
            return;
        }
        let reply = Reply {
            outcome: gated.outcome,
            epoch: self.epoch,
            version: gated.version,
            time: gated.time,
            valid_until: proof_needed.then_some(self.proved_until),
        };
        shared.actions.push(crate::Action::Reply { to: gated.to, result: Ok(reply) });
    }

    pub fn is_owned(&self) -> bool {
        self.stage == Stage::Owned
    }

    pub fn owned_epoch(&self) -> Option<Epoch> {
        (self.stage == Stage::Owned).then_some(self.epoch)
    }

    pub fn has_batch(&self) -> bool {
        self.open.records > 0
    }

    pub fn peek(&self, run: &Run) -> Option<(&A, Version)> {
        match self.runs.get(run)? {
            Entry::Live(live) => Some((&live.aggregate, live.touched)),
            Entry::Loading { .. } | Entry::Quarantined { .. } => None,
        }
    }
}

const fn overloaded() -> Failure {
    Failure::Overloaded { retry_after_ms: 100 }
}
