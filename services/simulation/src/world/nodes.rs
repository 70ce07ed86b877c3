//! Nodes: owners with a shell around them, whose calls on the journal are delayed, lost and repeated.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Run, SlotId};
use ownership::{
    Action, AppendOutcome, Appended, ClaimOutcome, Claimed, Epoch, Heartbeat, Heartbeats, Input, Now, Owner, Protocol,
    Rebuilt, SlotAppend, Version,
};

use super::heartbeats::SharedHeartbeat;
use super::{Event, LOAD_TIMEOUT_US, STATEMENT_TIMEOUT_US, Statement, World};
use crate::subject::Subject;

/// Between two ticks of a node, in µs.
const TICK_US: u64 = 50_000;

pub(super) struct Node<S: Subject, P: Protocol> {
    /// None while it is down.
    pub owner: Option<Owner<S, u64, P>>,
    pub incarnation: u64,
    /// Until when it stands still, in µs.
    pub frozen_until: u64,
    /// How long it has stood still altogether.
    pub suspended_us: u64,
    /// Its clock of uptime began so long before the world did.
    pub booted_before_us: u64,
    /// How wrong its clock of the day is, in ms.
    pub wall_clock_off_ms: i64,
    pub assigned: BTreeSet<SlotId>,
    /// Calls on the journal that wait for an answer.
    pub calls: BTreeSet<u64>,
    /// Heartbeats that are under way, by call.
    pub heartbeats: BTreeMap<u64, SharedHeartbeat>,
    /// What it was told last about each of its slots' claims.
    last_claims: Vec<(SlotId, Claimed)>,
}

impl<S: Subject, P: Protocol> Node<S, P> {
    pub const fn down() -> Self {
        Self {
            owner: None,
            incarnation: 0,
            frozen_until: 0,
            suspended_us: 0,
            booted_before_us: 0,
            wall_clock_off_ms: 0,
            assigned: BTreeSet::new(),
            calls: BTreeSet::new(),
            heartbeats: BTreeMap::new(),
            last_claims: Vec::new(),
        }
    }
}

impl<S: Subject, P: Protocol> World<S, P> {
    pub(super) fn start(&mut self, process: usize) {
        let booted_before_us = self.chance.below(1 << 40);
        self.heartbeats[process] = Heartbeats::new(self.weather.lanes);
        for index in self.nodes_of(process) {
            self.incarnations += 1;
            let incarnation = self.incarnations;
            let node = &mut self.nodes[index];
            node.incarnation = incarnation;
            node.owner = Some(Owner::new(incarnation, self.weather.limits.clone()));
            node.frozen_until = 0;
            node.suspended_us = 0;
            node.booted_before_us = booted_before_us;
            node.calls.clear();
            node.heartbeats.clear();
            self.after(TICK_US, Event::Tick { node: index, incarnation });
            for slot in self.nodes[index].assigned.clone() {
                self.tell_soon(index, Input::Assign(slot));
            }
        }
    }

    pub(super) fn assign(&mut self, slot: SlotId, node: usize) {
        if self.nodes[node].assigned.insert(slot) {
            self.tell_soon(node, Input::Assign(slot));
        }
    }

    pub(super) fn release(&mut self, slot: SlotId, node: usize) {
        if self.nodes[node].assigned.remove(&slot) {
            self.tell_soon(node, Input::Release(slot));
        }
    }

    fn tell_soon(&mut self, node: usize, input: Input<S, u64>) {
        // All words to one node take equally long, so that the last one counts.
        let incarnation = self.nodes[node].incarnation;
        self.after(1_000, Event::Tell { node, incarnation, call: None, input: Box::new(input) });
    }

    /// A node reads runs of a slot that it may be meant to own later, or forgets those it has.
    pub(super) fn warm(&mut self, slot: SlotId, node: usize) {
        if self.chance.per_mille(150) {
            return self.tell_soon(node, Input::Cool);
        }
        let version = self.journal.streams.get(&slot).map_or(Version(0), |stream| stream.head.version);
        let runs: Vec<Run> = S::runs().iter().copied().filter(|run| run.slot() == slot).collect();
        let runs = runs.into_iter().map(|run| (run, Rebuilt::of(run, &self.journal.load(&run, true)))).collect();
        self.tell_soon(node, Input::Warm { slot, version, runs });
    }

    /// An owner that has given a slot up says and writes nothing more under that epoch.
    pub(super) fn check_not_given_up(&mut self, node: usize, slot: SlotId, epoch: Epoch, did: &str) {
        let incarnation = self.nodes[node].incarnation;
        if self.given_up.get(&(incarnation, slot)).is_some_and(|given_up| epoch <= *given_up) {
            self.breaks(format!("node {node} {did} under epoch {epoch} of slot {slot} after it had given the slot up"));
        }
    }

    /// The event again, if a node can act on it now. A frozen one gets it when it goes on.
    pub(super) fn awake(&mut self, node: usize, incarnation: u64, event: Event<S>) -> Option<Event<S>> {
        let it = &self.nodes[node];
        if it.incarnation != incarnation || it.owner.is_none() {
            return None;
        }
        if it.frozen_until > self.now {
            self.at(it.frozen_until, event);
            return None;
        }
        Some(event)
    }

    pub(super) fn tell(&mut self, node: usize, incarnation: u64, call: Option<u64>, input: Box<Input<S, u64>>) {
        let event = Event::Tell { node, incarnation, call, input };
        let Some(Event::Tell { input, .. }) = self.awake(node, incarnation, event) else { return };
        let late = call.is_some_and(|call| !self.nodes[node].calls.remove(&call));
        // Late answers to appends reach the owner too; others end in the shell.
        if late && !matches!(*input, Input::Appended(_)) {
            return;
        }
        if let Input::Appended(results) = &*input {
            let unknown = results.iter().filter(|result| result.outcome == AppendOutcome::Unknown);
            self.counts.unknown += if late { 0 } else { unknown.count() as u64 };
        }
        self.remember(node, &input);
        if let (Input::HeartbeatDone { heartbeat, .. }, Some(call)) = (&*input, call) {
            self.share(node, call, heartbeat.as_ref());
        }
        self.tell_now(node, *input);
    }

    pub(super) fn tell_now(&mut self, node: usize, input: Input<S, u64>) {
        let now = self.now_of(node);
        if matches!(input, Input::Proved { .. }) {
            self.proved(node, now, input);
        } else if let Some(owner) = &mut self.nodes[node].owner {
            owner.handle(now, input);
        }
        if self.chance.per_mille(700) {
            self.flush_now(node);
        } else {
            let incarnation = self.nodes[node].incarnation;
            let delay = self.chance.between(100, 5_000);
            self.after(delay, Event::Flush { node, incarnation });
        }
    }

    fn remember(&mut self, node: usize, input: &Input<S, u64>) {
        let Input::Claimed { slots, .. } = input else { return };
        for (slot, claimed) in slots {
            let Some(ClaimOutcome::Claimed(claimed)) = claimed else { continue };
            let known = &mut self.nodes[node].last_claims;
            known.retain(|(other, _)| other != slot);
            known.push((*slot, *claimed));
        }
    }

    pub(super) fn flush(&mut self, node: usize, incarnation: u64) {
        if self.awake(node, incarnation, Event::Flush { node, incarnation }).is_some() {
            self.flush_now(node);
        }
    }

    pub(super) fn tick(&mut self, node: usize, incarnation: u64) {
        if self.awake(node, incarnation, Event::Tick { node, incarnation }).is_none() {
            return;
        }
        let now = self.now_of(node);
        if let Some(owner) = &mut self.nodes[node].owner {
            owner.handle(now, Input::Tick);
        }
        self.flush_now(node);
        self.after(TICK_US, Event::Tick { node, incarnation });
    }

    fn now_of(&mut self, node: usize) -> Now {
        Now { uptime: self.uptime_of(node), jitter: self.chance.bits() as u32 }
    }

    fn flush_now(&mut self, node: usize) {
        let now = self.now_of(node);
        let Some(owner) = &mut self.nodes[node].owner else { return };
        owner.flush(now);
        let actions: Vec<_> = owner.actions().collect();
        for action in actions {
            self.perform(node, action);
        }
    }

    fn perform(&mut self, node: usize, action: Action<S, u64>) {
        match action {
            Action::Append(appends) => {
                for append in &appends {
                    self.check_not_given_up(node, append.slot, append.epoch, "appended");
                }
                self.send(node, Statement::Append(appends));
            }
            Action::Claim { ticket, slots, from_others } => {
                self.send(node, Statement::Claim(ticket, slots, from_others));
            }
            Action::CatchUp { slot, ticket, after, batches } => {
                self.send(node, Statement::CatchUp(slot, ticket, after, batches));
            }
            Action::Released { slot, epoch: Some(epoch) } => {
                self.counts.given_up += 1;
                self.given_up.insert((self.nodes[node].incarnation, slot), epoch);
                self.say(17, node as u64, epoch.0, || format!("node {node} gives slot {slot} up: epoch {epoch}"));
                self.send(node, Statement::GiveUp(slot, epoch));
            }
            Action::Owned { runs_warm, .. } => self.counts.warm += runs_warm as u64,
            Action::Heartbeat { ticket, slots } => self.heartbeat(node, ticket, slots),
            Action::Load { run, ticket, with_snapshot } => self.send(node, Statement::Load(run, ticket, with_snapshot)),
            Action::List { slot, epoch } if self.rules.shell.list_runs => self.send(node, Statement::List(slot, epoch)),
            Action::Snapshot(snapshot) => self.send(node, Statement::Snapshot(snapshot.write())),
            Action::Reply { to, result } => self.replied(node, to, result),
            Action::List { .. } | Action::Committed(_) | Action::Released { .. } => {}
            Action::Quarantined { run, broken } => {
                self.counts.quarantined += 1;
                self.say(1, node as u64, 0, || format!("node {node} quarantines {run}: {broken}"));
                if broken.message != "poisoned" {
                    self.breaks(format!("{run} quarantined: {broken}"));
                }
                let incarnation = self.nodes[node].incarnation;
                let input = Box::new(Input::Reload(run));
                self.after(300_000, Event::Tell { node, incarnation, call: None, input });
            }
        }
    }

    fn send(&mut self, node: usize, statement: Statement) {
        let call = self.new_call(node);
        self.send_as(node, call, statement);
    }

    /// A call on the journal that waits for its answer from now on.
    pub(super) fn new_call(&mut self, node: usize) -> u64 {
        self.calls += 1;
        self.nodes[node].calls.insert(self.calls);
        self.calls
    }

    pub(super) fn send_as(&mut self, node: usize, call: u64, statement: Statement) {
        let incarnation = self.nodes[node].incarnation;
        let lost = self.mishap(self.weather.statement_lost);
        let twice = self.mishap(self.weather.statement_twice);
        let times = if lost { 0 } else { 1 + u8::from(twice) };
        for _ in 0..times {
            let delay = self.delay();
            let statement = Box::new(statement.clone());
            self.after(delay, Event::Arrive { node, incarnation, call, statement });
        }
        if let Some(input) = self.unanswered(node, &statement) {
            let input = Box::new(input);
            let timeout = if matches!(statement, Statement::Load(..)) { LOAD_TIMEOUT_US } else { STATEMENT_TIMEOUT_US };
            self.after(timeout, Event::Tell { node, incarnation, call: Some(call), input });
        }
    }

    /// What a node hears when the journal has not answered in time.
    fn unanswered(&self, node: usize, statement: &Statement) -> Option<Input<S, u64>> {
        let given_up =
            |append: &SlotAppend| Appended { slot: append.slot, batch: append.batch, outcome: AppendOutcome::Unknown };
        let guessed = |slot: &SlotId| {
            let (_, claimed) = self.nodes[node].last_claims.iter().find(|(other, _)| other == slot)?;
            let guess = Claimed { epoch: Epoch(claimed.epoch.0 + 1), ..*claimed };
            (!self.rules.shell.claim_needs_answer).then_some(guess)
        };
        Some(match statement {
            Statement::Append(appends) => Input::Appended(appends.iter().map(given_up).collect()),
            Statement::Claim(ticket, slots, _) => {
                let guessed = |slot| guessed(slot).map(ClaimOutcome::Claimed);
                Input::Claimed { ticket: *ticket, slots: slots.iter().map(|slot| (*slot, guessed(slot))).collect() }
            }
            Statement::CatchUp(slot, ticket, ..) => Input::CaughtUp { slot: *slot, ticket: *ticket, batches: None },
            Statement::GiveUp(..) => return None,
            Statement::Heartbeat(ticket, ..) => Input::HeartbeatDone { ticket: *ticket, heartbeat: None },
            Statement::Load(run, ticket, _) => Input::Loaded { run: *run, ticket: *ticket, rebuilt: None },
            Statement::List(slot, epoch) => Input::Listed { slot: *slot, epoch: *epoch, runs: None },
            Statement::Snapshot(_) => return None,
        })
    }

    pub(super) fn arrive(&mut self, node: usize, incarnation: u64, call: u64, statement: Statement) {
        let Some(input) = self.carry_out(node, incarnation, call, statement) else { return };
        if self.mishap(self.weather.answer_lost) {
            return;
        }
        // What was read may arrive when the slot has long been lost and claimed again.
        let read = matches!(input, Input::Loaded { .. }) && self.mishap(100);
        let delay = if read { self.chance.between(50_000, LOAD_TIMEOUT_US) } else { self.delay() };
        self.after(delay, Event::Tell { node, incarnation, call: Some(call), input: Box::new(input) });
    }

    fn carry_out(&mut self, node: usize, incarnation: u64, call: u64, statement: Statement) -> Option<Input<S, u64>> {
        let time = self.time_for(node);
        Some(match statement {
            Statement::Append(appends) => Input::Appended(self.append(node, incarnation, call, &appends)),
            Statement::Claim(ticket, slots, from_others) => {
                Input::Claimed { ticket, slots: self.claim(node, incarnation, slots, from_others) }
            }
            Statement::CatchUp(slot, ticket, after, batches) => {
                Input::CaughtUp { slot, ticket, batches: Some(self.journal.later(slot, after, batches)) }
            }
            Statement::GiveUp(slot, epoch) => {
                self.journal.give_up(slot, epoch);
                return None;
            }
            Statement::Heartbeat(ticket, mut slots, others) => {
                slots.extend(others.into_iter().flat_map(|(_, slots)| slots));
                Input::HeartbeatDone { ticket, heartbeat: Some(Heartbeat { time, lost: self.journal.lost(&slots) }) }
            }
            Statement::Load(run, ticket, with_snapshot) => {
                let mut stored = self.journal.load(&run, with_snapshot);
                if !self.rules.shell.whole_tail && stored.snapshot.is_some() && !stored.batches.is_empty() {
                    stored.batches.remove(0);
                }
                Input::Loaded { run, ticket, rebuilt: Some(Rebuilt::of(run, &stored)) }
            }
            Statement::List(slot, epoch) => Input::Listed { slot, epoch, runs: Some(self.journal.runs_of(slot)) },
            Statement::Snapshot(mut snapshot) => {
                if !self.rules.shell.snapshot_version {
                    snapshot.version = snapshot.version.next();
                }
                self.counts.snapshots += 1;
                if self.mishap(50) {
                    // A damaged snapshot must be found out and left aside.
                    snapshot.payload = snapshot.payload.slice(..snapshot.payload.len() / 2);
                }
                self.journal.snapshots.insert((snapshot.run, snapshot.version), snapshot);
                return None;
            }
        })
    }

    /// The time a node is told with an answer.
    fn time_for(&self, node: usize) -> domain::Time {
        let time = self.database_time();
        if self.rules.shell.database_time { time } else { time.plus_millis(self.nodes[node].wall_clock_off_ms) }
    }

    fn claim(
        &mut self,
        node: usize,
        incarnation: u64,
        slots: Vec<SlotId>,
        from_others: bool,
    ) -> Vec<(SlotId, Option<ClaimOutcome>)> {
        let (time, now) = (self.time_for(node), self.now);
        let mut claimed = Vec::new();
        for slot in slots {
            if let Some(holder) = self.journal.is_held_from(slot, node).filter(|_| !from_others) {
                // Sometimes one that is alive is taken for gone: that must do no harm.
                let by_one_gone = self.nodes[holder].owner.is_none() || self.mishap(20);
                claimed.push((slot, Some(ClaimOutcome::Held { by_one_gone })));
                continue;
            }
            self.counts.claims += 1;
            let one = self.journal.claim(slot, node, incarnation, time, now);
            let epoch = one.epoch;
            self.say(2, incarnation, epoch.0, || format!("slot {slot} claimed by {incarnation}: epoch {epoch}"));
            claimed.push((slot, Some(ClaimOutcome::Claimed(one))));
        }
        claimed
    }

    fn append(&mut self, node: usize, incarnation: u64, call: u64, appends: &[SlotAppend]) -> Vec<Appended> {
        let given_up = self.nodes[node].incarnation != incarnation || !self.nodes[node].calls.contains(&call);
        let mut results: Vec<Appended> = Vec::new();
        for append in appends {
            let mut outcome = self.append_one(incarnation, given_up, append);
            if let (AppendOutcome::Committed { time }, false) = (&mut outcome, self.rules.shell.database_time) {
                *time = time.plus_millis(self.nodes[node].wall_clock_off_ms);
            }
            if let (Some(first), false) = (results.first(), self.rules.shell.outcome_per_slot) {
                outcome = first.outcome;
            }
            results.push(Appended { slot: append.slot, batch: append.batch, outcome });
        }
        results
    }

    fn append_one(&mut self, incarnation: u64, given_up: bool, append: &SlotAppend) -> AppendOutcome {
        let (time, now) = (self.database_time(), self.now);
        let mut sent = append.clone();
        if !self.rules.shell.resend_as_is {
            let stream = self.journal.streams.entry(append.slot).or_default();
            if stream.epoch == append.epoch {
                sent.head = stream.head;
            }
        }
        let outcome = self.journal.append(&sent, time, now);
        let (slot, version) = (append.slot, sent.head.version.next());
        self.say(3, incarnation, version.0, || {
            format!("append of {incarnation} to slot {slot} version {version} epoch {}: {outcome:?}", append.epoch)
        });
        match outcome {
            AppendOutcome::Committed { .. } => {
                self.counts.late_commits += u64::from(given_up);
                self.index(slot, version);
            }
            AppendOutcome::Fenced => {
                self.counts.fenced += 1;
                let taken = self.journal.streams.get(&slot).is_some_and(|stream| stream.head.version >= version);
                if !self.rules.shell.unknown_stays_unknown && taken {
                    return AppendOutcome::Committed { time };
                }
            }
            AppendOutcome::Unknown => {}
        }
        outcome
    }
}
