mod convoys;
mod peers;
mod perform;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use domain::{Run, SlotId, Time};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use journal::{ChainHash, Journal};
use ownership::{
    Action, Epoch, Failure, Heartbeat, Input, Now, Occupancy, Owner, Rebuilt, Reply, Request, Sound, Uptime, Version,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use train_date::OwnedTrainDate;

pub(crate) use crate::lane::peers::Peers;

use crate::handovers::Handovers;
use crate::lane::convoys::Convoys;
use crate::lane::perform::Done;
use crate::metrics::EngineMetrics;
use crate::{Changes, EngineError, EngineOptions, HandoverKind, ReplyQueue, RunChange, uptime};

/// Messages taken from the inbox at once.
const MESSAGES_AT_ONCE: usize = 1_024;
/// Requests decided before the lane looks whether a commit has ended: the next one begins at once then, and storage and
/// lane work at the same time.
const REQUESTS_AT_ONCE: usize = 128;
/// How often an owner is told that time passes.
const TICK: Duration = Duration::from_millis(25);
/// The same while slots are being taken: their runs sell nothing meanwhile.
const TAKING_TICK: Duration = Duration::from_millis(5);

/// What a lane is told.
pub(crate) enum Message {
    Submit(Request<OwnedTrainDate, ReplyTo>),
    SubmitAll(Vec<Request<OwnedTrainDate, ReplyTo>>),
    Own {
        slots: BTreeSet<SlotId>,
        alive: Option<Arc<BTreeSet<String>>>,
        /// Told once the lane shows what it is meant to own.
        noted: oneshot::Sender<()>,
    },
    Warm {
        slot: SlotId,
        version: Version,
        runs: Vec<(Run, Rebuilt<OwnedTrainDate>)>,
    },
    Cool,
    Reload(Run),
    /// A proof of ownership that another lane asked for.
    Proved {
        sent_at: Uptime,
        slots: Vec<(SlotId, Epoch)>,
        heartbeat: Heartbeat,
    },
    /// Leave everything as it is: tell those who wait, and end.
    Stop,
}

/// Who waits for an answer.
pub(crate) enum ReplyTo {
    Command(oneshot::Sender<Result<Reply<OwnedTrainDate>, Failure>>),
    Queue { queue: ReplyQueue, correlation: u64 },
}

impl Message {
    /// How many requests it brings.
    fn requests(&self) -> usize {
        match self {
            Self::Submit(_) => 1,
            Self::SubmitAll(requests) => requests.len(),
            _ => 0,
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Submit(_) => "Submit",
            Self::SubmitAll(_) => "SubmitAll",
            Self::Own { .. } => "Own",
            Self::Warm { .. } => "Warm",
            Self::Cool => "Cool",
            Self::Reload(_) => "Reload",
            Self::Proved { .. } => "Proved",
            Self::Stop => "Stop",
        })
    }
}

impl ReplyTo {
    fn send(self, result: Result<Reply<OwnedTrainDate>, Failure>) {
        match self {
            // Whoever has stopped waiting needs no answer.
            Self::Command(sender) => drop(sender.send(result)),
            Self::Queue { queue, correlation } => match result {
                Ok(reply) => {
                    let valid_until = reply.valid_until;
                    queue.push(correlation, Ok(crate::handle::decision(reply)), valid_until);
                }
                Err(failure) => queue.push(correlation, Err(failure.into()), None),
            },
        }
    }

    pub(crate) fn fail(self, error: EngineError) {
        match (self, error) {
            (Self::Command(sender), EngineError::NotAnswered(failure)) => drop(sender.send(Err(failure))),
            // The receiver sees that the sender is gone.
            (Self::Command(sender), EngineError::Closed) => drop(sender),
            (Self::Queue { queue, correlation }, error) => queue.push(correlation, Err(error), None),
        }
    }
}

/// One worker: the single writer of its slots.
pub(crate) struct Lane {
    index: usize,
    peers: Arc<Peers>,
    owner: Owner<OwnedTrainDate, ReplyTo, Sound>,
    /// Empty between two rounds; kept for its room.
    actions: Vec<Action<OwnedTrainDate, ReplyTo>>,
    journal: Arc<dyn Journal>,
    options: EngineOptions,
    inbox: mpsc::Receiver<Message>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    convoys: Convoys,
    snapshots_in_flight: usize,
    lists_in_flight: usize,
    /// Slots whose runs are still to be listed: at most each once.
    lists_waiting: VecDeque<(SlotId, Epoch)>,
    /// The hash chain of each owned slot up to its last committed batch.
    chains: BTreeMap<SlotId, ChainHash>,
    slots: BTreeSet<SlotId>,
    /// The owners that are alive, where that is known.
    alive: Option<Arc<BTreeSet<String>>>,
    /// Since when a slot is being taken or given away.
    taking: BTreeMap<SlotId, Uptime>,
    giving: BTreeMap<SlotId, Uptime>,
    /// Slots whose giving up is on its way to the journal.
    giving_up: usize,
    shown: Shown,
    metrics: Arc<EngineMetrics>,
}

/// What a lane shows of itself.
pub(crate) struct Shown {
    pub occupancy: watch::Sender<Occupancy>,
    pub changes: Changes,
    pub handovers: Handovers,
}

impl Lane {
    pub fn new(
        index: usize,
        peers: Arc<Peers>,
        journal: Arc<dyn Journal>,
        options: EngineOptions,
        inbox: mpsc::Receiver<Message>,
        shown: Shown,
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        Self {
            index,
            peers,
            owner: Owner::new(rand::random(), options.limits.clone()),
            actions: Vec::new(),
            journal,
            options,
            inbox,
            under_way: FuturesUnordered::new(),
            convoys: Convoys::default(),
            snapshots_in_flight: 0,
            lists_in_flight: 0,
            lists_waiting: VecDeque::new(),
            chains: BTreeMap::new(),
            slots: BTreeSet::new(),
            alive: None,
            taking: BTreeMap::new(),
            giving: BTreeMap::new(),
            giving_up: 0,
            shown,
            metrics,
        }
    }

    /// Works until it is told to stop, or nobody can tell it anything any more.
    pub async fn run(mut self) {
        let mut received = Vec::with_capacity(MESSAGES_AT_ONCE);
        let mut messages = VecDeque::with_capacity(MESSAGES_AT_ONCE);
        let mut told: Vec<oneshot::Sender<()>> = Vec::new();
        let mut next_tick = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => self.finished(done),
                // What has ended is only seen once the runtime has looked.
                () = yield_now(), if !messages.is_empty() => {}
                count = self.inbox.recv_many(&mut received, MESSAGES_AT_ONCE), if messages.is_empty() => {
                    if count == 0 {
                        return;
                    }
                    messages.extend(received.drain(..));
                }
                () = sleep_until(next_tick) => {}
            }
            let now = now();
            if self.take_in(now, &mut messages, &mut told).is_break() {
                return;
            }
            let ticked = next_tick <= Instant::now();
            if ticked {
                self.owner.handle(now, Input::Tick);
                next_tick = Instant::now() + TICK;
            }
            if !self.taking.is_empty() {
                next_tick = next_tick.min(Instant::now() + TAKING_TICK);
            }
            self.owner.flush(now);
            self.perform();
            if ticked || !told.is_empty() {
                self.show_occupancy();
            }
            for noted in told.drain(..) {
                // Whoever has stopped waiting need not know.
                let _ = noted.send(());
            }
        }
    }

    /// Tells the owner what has come, and decides as many requests as one round allows; breaks off where it is told to stop.
    fn take_in(
        &mut self,
        now: Now,
        messages: &mut VecDeque<Message>,
        told: &mut Vec<oneshot::Sender<()>>,
    ) -> ControlFlow<()> {
        let mut requests_left = self.requests_at_once(messages);
        while requests_left > 0
            && let Some(message) = messages.pop_front()
        {
            match message {
                Message::Submit(request) => {
                    requests_left -= 1;
                    self.owner.handle(now, Input::Submit(request));
                }
                Message::SubmitAll(mut requests) => {
                    if requests.len() > requests_left {
                        messages.push_front(Message::SubmitAll(requests.split_off(requests_left)));
                    }
                    requests_left -= requests.len();
                    requests.into_iter().for_each(|request| self.owner.handle(now, Input::Submit(request)));
                }
                Message::Own { slots, alive, noted } => {
                    self.alive = alive;
                    self.own(now, slots);
                    told.push(noted);
                }
                Message::Warm { slot, version, runs } => {
                    self.owner.handle(now, Input::Warm { slot, version, runs });
                }
                Message::Cool => self.owner.handle(now, Input::Cool),
                Message::Reload(run) => self.owner.handle(now, Input::Reload(run)),
                Message::Proved { sent_at, slots, heartbeat } => {
                    self.owner.handle(now, Input::Proved { sent_at, slots, heartbeat });
                    self.peers.note_owned(self.index, self.owner.owned());
                }
                Message::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    /// How many requests are decided before what they wrote is sent.
    fn requests_at_once(&self, messages: &VecDeque<Message>) -> usize {
        if messages.is_empty() || !self.convoys.may_break(Instant::now()) {
            return REQUESTS_AT_ONCE;
        }
        let waiting = messages.iter().map(Message::requests).sum();
        Convoys::first_part(waiting).clamp(1, REQUESTS_AT_ONCE)
    }

    fn own(&mut self, now: Now, slots: BTreeSet<SlotId>) {
        for slot in self.slots.difference(&slots) {
            self.owner.handle(now, Input::Release(*slot));
            self.taking.remove(slot);
            self.giving.insert(*slot, now.uptime);
        }
        for slot in slots.difference(&self.slots) {
            self.owner.handle(now, Input::Assign(*slot));
            self.giving.remove(slot);
            self.taking.insert(*slot, now.uptime);
        }
        self.slots = slots;
    }

    fn show_occupancy(&self) {
        let mut occupancy = self.owner.occupancy();
        // A slot is given up once the journal says so.
        occupancy.slots_assigned += self.giving_up;
        self.shown.occupancy.send_if_modified(|shown| std::mem::replace(shown, occupancy) != occupancy);
    }

    fn perform(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        self.owner.swap_actions(&mut actions);
        let mut released = Vec::new();
        for action in actions.drain(..) {
            match action {
                Action::Reply { to, result } => self.reply(to, result),
                Action::Append(appends) => self.append(appends),
                Action::Claim { ticket, slots, from_others: false } => self.claim_free(ticket, slots),
                Action::Claim { ticket, slots, from_others: true } => self.claim(ticket, slots),
                Action::CatchUp { slot, ticket, after, batches } => self.catch_up(slot, ticket, after, batches),
                Action::Owned { slot, runs_warm } => {
                    EngineMetrics::add(&self.metrics.runs_warm, runs_warm as u64);
                    if let Some(began) = self.taking.remove(&slot) {
                        self.shown.handovers.note(slot, HandoverKind::Taken, began, runs_warm);
                    }
                }
                Action::Heartbeat { ticket, slots } => self.heartbeat(ticket, slots),
                Action::Load { run, ticket, with_snapshot } => self.load(run, ticket, with_snapshot),
                Action::List { slot, epoch } => self.list(slot, epoch),
                Action::Snapshot(snapshot) => self.snapshot(snapshot),
                Action::Committed(committed) => {
                    EngineMetrics::add(&self.metrics.batches_committed, 1);
                    EngineMetrics::add(&self.metrics.runs_committed, committed.runs.len() as u64);
                    let ownership::Committed { epoch, version, time, .. } = committed;
                    self.shown.changes.record(committed.runs.iter().map(|run| RunChange {
                        run: *run,
                        epoch,
                        version,
                        time,
                    }));
                }
                Action::Quarantined { run, broken } => {
                    EngineMetrics::add(&self.metrics.quarantined_runs, 1);
                    tracing::error!(%run, invariant = broken.id, "train-date quarantined: {broken}");
                    // Those who show it look at it anew, and find that nothing can be bought of it.
                    let (epoch, version, time) = (Epoch(0), Version(0), Time::default());
                    self.shown.changes.record([RunChange { run, epoch, version, time }]);
                }
                Action::Released { slot, epoch } => released.push((slot, epoch)),
            }
        }
        self.actions = actions;
        self.give_up(released);
    }

    fn reply(&self, to: ReplyTo, result: Result<Reply<OwnedTrainDate>, Failure>) {
        let metrics = &self.metrics;
        let counter = match &result {
            Ok(Reply { outcome: ownership::Outcome::Accepted(_), .. }) => &metrics.accepted,
            Ok(Reply { outcome: ownership::Outcome::Repeated(_), .. }) => &metrics.repeated,
            Ok(Reply { outcome: ownership::Outcome::Refused(_), .. }) => &metrics.refused,
            Ok(Reply { outcome: ownership::Outcome::Viewed(_), .. }) => &metrics.viewed,
            Err(Failure::Unavailable { .. }) => &metrics.unavailable,
            Err(Failure::Overloaded { .. }) => &metrics.overloaded,
            Err(Failure::DeadlineExceeded) => &metrics.deadline_exceeded,
            Err(Failure::NotOwner) => &metrics.not_owner,
            Err(Failure::Quarantined) => &metrics.quarantined_requests,
        };
        EngineMetrics::add(counter, 1);
        to.send(result);
    }
}

fn now() -> Now {
    Now { uptime: uptime::now(), jitter: rand::random() }
}
