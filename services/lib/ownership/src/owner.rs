use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use domain::{Run, SlotId};

use crate::shared::Shared;
use crate::slot::Slot;
use crate::warm::WarmSlots;
use crate::{
    Action, Aggregate, Appended, ClaimOutcome, Epoch, Failure, Heartbeat, Input, LaterBatch, Limits, Now, Protocol,
    Rebuilt, Request, Sound, Ticket, Uptime, Version,
};

/// At least this long between two heartbeats, however urgently one is wanted.
const HEARTBEAT_PAUSE_MS: u64 = 5;

/// The owner of some slots: one writer each.
///
/// Tell it what happens with [`Self::handle`], call [`Self::flush`] when there is nothing more to tell for the moment, and
/// do what [`Self::actions`] says, in that order. `R` is whatever finds a client again.
pub struct Owner<A: Aggregate, R, P: Protocol = Sound> {
    slots: BTreeMap<SlotId, Slot<A, R>>,
    shared: Shared<A, R>,
    /// Slots that may have a batch to send.
    ready: BTreeSet<SlotId>,
    /// Slots that should be claimed now.
    to_claim: BTreeSet<SlotId>,
    /// Runs kept aside for slots that may soon be this owner's.
    warm: WarmSlots<A>,
    claims: BTreeMap<Ticket, Uptime>,
    heartbeat: Option<HeartbeatUnderWay>,
    heartbeat_after: Uptime,
    appends_in_flight: usize,
    append_sent_at: Uptime,
    protocol: PhantomData<P>,
}

#[derive(Debug)]
struct HeartbeatUnderWay {
    ticket: Ticket,
    sent_at: Uptime,
    slots: Vec<(SlotId, Epoch)>,
}

/// How full an owner is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Slots it may write.
    pub slots_owned: usize,
    /// Slots it is meant to own.
    pub slots_assigned: usize,
    /// Requests that wait to be executed.
    pub requests_queued: usize,
    /// Runs in memory.
    pub runs_cached: usize,
    /// Runs being loaded.
    pub runs_loading: usize,
}

impl<A: Aggregate, R, P: Protocol> Owner<A, R, P> {
    /// An owner of nothing yet. `incarnation` must differ between any two owners that ever write to one journal: the
    /// names of batches begin with it.
    pub fn new(incarnation: u64, limits: Limits) -> Self {
        Self {
            slots: BTreeMap::new(),
            shared: Shared::new(incarnation, limits),
            ready: BTreeSet::new(),
            to_claim: BTreeSet::new(),
            warm: WarmSlots::new(),
            claims: BTreeMap::new(),
            heartbeat: None,
            heartbeat_after: Uptime::default(),
            appends_in_flight: 0,
            append_sent_at: Uptime::default(),
            protocol: PhantomData,
        }
    }

    /// Takes in what happened. What is to be done about it piles up until [`Self::actions`].
    pub fn handle(&mut self, now: Now, input: Input<A, R>) {
        match input {
            Input::Submit(request) => self.submit(now, request),
            Input::Assign(slot) => self.assign(now, slot),
            Input::Warm { slot, version, runs } => {
                if !self.slots.contains_key(&slot) {
                    self.warm.keep(slot, version, runs, self.shared.limits.warm_runs_max);
                }
            }
            Input::Cool => self.warm.clear(),
            Input::Release(slot) => self.release(slot),
            Input::Reload(run) => self.reload(run),
            Input::Appended(results) => self.appended(now, results),
            Input::Claimed { ticket, slots } => self.claimed(now, ticket, slots),
            Input::CaughtUp { slot, ticket, batches } => self.caught_up(now, slot, ticket, batches),
            Input::HeartbeatDone { ticket, heartbeat } => self.heartbeat_done(now, ticket, heartbeat),
            Input::Proved { sent_at, slots, heartbeat } => self.proved(now, sent_at, slots, heartbeat),
            Input::Loaded { run, ticket, rebuilt } => self.loaded(now, run, ticket, rebuilt),
            Input::Listed { slot, epoch, runs } => {
                if let Some(slot) = self.slots.get_mut(&slot) {
                    slot.listed(now, epoch, runs);
                }
            }
            Input::Tick => self.tick(now),
        }
    }

    /// Sends what has come together: claims, heartbeats, and one batch of every slot that has none under way.
    pub fn flush(&mut self, now: Now) {
        self.send_claims(now);
        self.send_heartbeat(now);
        self.send_batches(now);
        self.shared.start_loads();
    }

    /// What is to be done, in order, since the last call.
    pub fn actions(&mut self) -> std::vec::Drain<'_, Action<A, R>> {
        self.shared.actions.drain(..)
    }

    /// The same without moving each: the list is exchanged for an empty one, whose room is used next.
    pub fn swap_actions(&mut self, empty: &mut Vec<Action<A, R>>) {
        debug_assert!(empty.is_empty(), "actions would be done twice");
        std::mem::swap(&mut self.shared.actions, empty);
    }

    /// How full it is.
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            slots_owned: self.slots.values().filter(|slot| slot.is_owned()).count(),
            slots_assigned: self.slots.len(),
            requests_queued: self.shared.queued,
            runs_cached: self.shared.cached,
            runs_loading: self.shared.loading,
        }
    }

    /// The slots it may write, with the epochs of its claims: what a heartbeat asks about.
    pub fn owned(&self) -> Vec<(SlotId, Epoch)> {
        self.slots.iter().filter_map(|(id, slot)| Some((*id, slot.owned_epoch()?))).collect()
    }

    /// The state of a run in memory, and the version of the last batch that changed it, durable or not: for comparing it
    /// with what the journal gives.
    pub fn peek(&self, run: &Run) -> Option<(&A, Version)> {
        self.slots.get(&run.slot())?.peek(run)
    }

    fn submit(&mut self, now: Now, request: Request<A, R>) {
        let id = request.run.slot();
        let Some(slot) = self.slots.get_mut(&id) else {
            self.shared.fail(request.reply_to, Failure::NotOwner);
            return;
        };
        slot.submit::<P>(now, request, &mut self.shared);
        self.ready.insert(id);
    }

    fn assign(&mut self, now: Now, id: SlotId) {
        let slot = self.slots.entry(id).or_insert_with(|| Slot::new(id));
        slot.assign(now, &self.shared.limits);
        self.to_claim.insert(id);
    }

    fn release(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.drain(&mut self.shared);
            self.forget_if_drained(id);
        }
    }

    fn reload(&mut self, run: Run) {
        if let Some(slot) = self.slots.get_mut(&run.slot()) {
            slot.reload(&run, &mut self.shared);
        }
    }

    fn appended(&mut self, now: Now, results: Vec<Appended>) {
        self.appends_in_flight = self.appends_in_flight.saturating_sub(1);
        for result in results {
            let Some(slot) = self.slots.get_mut(&result.slot) else { continue };
            slot.appended::<P>(now, result.batch, result.outcome, &mut self.shared);
            self.ready.insert(result.slot);
            self.forget_if_drained(result.slot);
        }
    }

    fn claimed(&mut self, now: Now, ticket: Ticket, slots: Vec<(SlotId, Option<ClaimOutcome>)>) {
        let Some(sent_at) = self.claims.remove(&ticket) else { return };
        for (id, outcome) in slots {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            match outcome {
                Some(ClaimOutcome::Claimed(claimed)) => {
                    let warm = self.warm.take(id);
                    slot.claimed::<P>(now, ticket, sent_at, claimed, warm, &mut self.shared);
                }
                Some(ClaimOutcome::Held { by_one_gone }) => {
                    slot.held_by_another(now, ticket, by_one_gone);
                    if slot.wants_claim(now) {
                        self.to_claim.insert(id);
                    }
                }
                None => slot.claim_unanswered(ticket, &mut self.shared),
            }
            self.ready.insert(id);
            self.forget_if_drained(id);
        }
    }

    fn caught_up(&mut self, now: Now, id: SlotId, ticket: Ticket, batches: Option<Vec<LaterBatch>>) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.caught_up::<P>(now, ticket, batches, &mut self.shared);
        self.ready.insert(id);
        self.forget_if_drained(id);
    }

    fn heartbeat_done(&mut self, now: Now, ticket: Ticket, heartbeat: Option<Heartbeat>) {
        if self.heartbeat.as_ref().is_none_or(|under_way| under_way.ticket != ticket) {
            return;
        }
        let Some(HeartbeatUnderWay { sent_at, slots, .. }) = self.heartbeat.take() else { return };
        if let Some(heartbeat) = heartbeat {
            self.proved(now, sent_at, slots, heartbeat);
        }
    }

    fn proved(&mut self, now: Now, sent_at: Uptime, slots: Vec<(SlotId, Epoch)>, heartbeat: Heartbeat) {
        self.shared.saw_time(heartbeat.time);
        let next = sent_at.plus_millis(self.shared.limits.heartbeat_every_ms);
        self.heartbeat_after = self.heartbeat_after.max(next);
        let lost: BTreeSet<SlotId> = heartbeat.lost.into_iter().collect();
        for (id, epoch) in slots {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.proved::<P>(now, epoch, sent_at, !lost.contains(&id), &mut self.shared);
            self.forget_if_drained(id);
        }
    }

    fn loaded(&mut self, now: Now, run: Run, ticket: Ticket, rebuilt: Option<Rebuilt<A>>) {
        self.shared.loading = self.shared.loading.saturating_sub(1);
        let id = run.slot();
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.loaded::<P>(now, run, ticket, rebuilt, &mut self.shared);
            self.ready.insert(id);
        }
        if self.shared.cached > self.shared.limits.cache_runs_max {
            self.evict();
        }
    }

    fn tick(&mut self, now: Now) {
        // A shard has hundreds of slots, and most of them nothing to do.
        let time = self.shared.time;
        let busy = self.slots.iter().filter(|(_, slot)| !slot.is_quiet(time)).map(|(id, _)| *id);
        for id in busy.collect::<Vec<SlotId>>() {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.tick::<P>(now, &mut self.shared);
            if slot.wants_claim(now) {
                self.to_claim.insert(id);
            }
            if slot.has_batch() {
                self.ready.insert(id);
            }
            self.forget_if_drained(id);
        }
        if self.shared.cached > self.shared.limits.cache_runs_max {
            self.evict();
        }
    }

    /// Drops runs from memory, the ones unused longest first, until a sixteenth of the room is free.
    fn evict(&mut self) {
        let max = self.shared.limits.cache_runs_max;
        let surplus = self.shared.cached.saturating_sub(max - max / 16);
        let mut candidates: Vec<(u64, SlotId, Run)> = self
            .slots
            .iter()
            .flat_map(|(id, slot)| slot.evictable::<P>().map(|(used, run)| (used, *id, run)))
            .collect();
        candidates.sort_unstable();
        for (_, id, run) in candidates.into_iter().take(surplus) {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.evict(&run, &mut self.shared);
            }
        }
    }

    fn forget_if_drained(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.is_drained() {
            slot.leave(&mut self.shared);
            if P::RELEASE_FORGETS {
                self.slots.remove(&id);
            } else {
                slot.draining = false;
            }
        }
    }

    fn send_claims(&mut self, now: Now) {
        if self.to_claim.is_empty() {
            return;
        }
        let tickets = [self.shared.ticket(), self.shared.ticket()];
        let mut claimed = [Vec::new(), Vec::new()];
        for id in std::mem::take(&mut self.to_claim) {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            if slot.wants_claim(now) {
                let kind = usize::from(slot.takes_from_others(now));
                slot.claim(now, tickets[kind], &self.shared.limits);
                claimed[kind].push(id);
            }
        }
        for ((ticket, slots), from_others) in tickets.into_iter().zip(claimed).zip([false, true]) {
            if !slots.is_empty() {
                self.claims.insert(ticket, now.uptime);
                self.shared.actions.push(Action::Claim { ticket, slots, from_others });
            }
        }
    }

    fn send_heartbeat(&mut self, now: Now) {
        let due = now.uptime >= self.heartbeat_after;
        let pause = self.shared.limits.heartbeat_every_ms.saturating_sub(HEARTBEAT_PAUSE_MS);
        let urgent = self.shared.proof_wanted && now.uptime.plus_millis(pause) >= self.heartbeat_after;
        if self.heartbeat.is_some() || !(due || urgent) {
            return;
        }
        let slots = self.owned();
        if slots.is_empty() {
            return;
        }
        let ticket = self.shared.ticket();
        self.shared.proof_wanted = false;
        self.heartbeat_after = now.uptime.plus_millis(self.shared.limits.heartbeat_every_ms);
        self.heartbeat = Some(HeartbeatUnderWay { ticket, sent_at: now.uptime, slots: slots.clone() });
        self.shared.actions.push(Action::Heartbeat { ticket, slots });
    }

    fn send_batches(&mut self, now: Now) {
        if !self.may_append(now.uptime) {
            return;
        }
        let mut appends = Vec::new();
        let slots = &mut self.slots;
        let shared = &mut self.shared;
        // A slot that cannot send yet comes back when its commit is answered.
        for id in std::mem::take(&mut self.ready) {
            if let Some(slot) = slots.get_mut(&id) {
                appends.extend(slot.close_batch::<P>(now, shared));
            }
        }
        if !appends.is_empty() {
            self.appends_in_flight += 1;
            self.append_sent_at = now.uptime;
            self.shared.actions.push(Action::Append(appends));
        }
    }

    fn may_append(&self, now: Uptime) -> bool {
        let limits = &self.shared.limits;
        let none_under_way = self.appends_in_flight == 0;
        let last_is_slow = now.millis_since(self.append_sent_at) >= limits.append_alone_ms;
        none_under_way || (self.appends_in_flight < limits.appends_in_flight_max && last_is_slow)
    }
}
