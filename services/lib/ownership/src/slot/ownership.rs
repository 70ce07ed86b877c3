use domain::Time;

use super::{Entry, Slot, Stage};
use crate::shared::Shared;
use crate::warm::WarmSlot;
use crate::{Action, Aggregate, Claimed, Epoch, Failure, LaterBatch, Limits, Now, Protocol, Ticket, Uptime};

/// A slot that another owner has is asked for again after so long, and later after a quarter of the time it has been waited
/// for: a hand-over takes milliseconds, and whoever waits for longer need not ask as often.
const RELEASE_POLL_MIN_MS: u64 = 5;
/// But after so long at the latest.
const RELEASE_POLL_MAX_MS: u64 = 25;

impl<A: Aggregate, R> Slot<A, R> {
    /// Whether a claim is due.
    pub fn wants_claim(&self, now: Now) -> bool {
        self.stage == Stage::Unowned && !self.draining && now.uptime >= self.claim_after
    }

    /// Whether the next claim may take the slot from an owner that has not given it up: it had its time.
    pub fn takes_from_others(&self, now: Now) -> bool {
        now.uptime >= self.take_after
    }

    /// The slot is meant to be this owner's. One that was being given up goes on as if nothing had been said.
    pub fn assign(&mut self, now: Now, limits: &Limits) {
        self.draining = false;
        if self.stage == Stage::Unowned {
            self.wanted_since = now.uptime;
            self.take_after = next_take(now, limits);
        }
    }

    /// A claim is being sent.
    pub fn claim(&mut self, now: Now, ticket: Ticket, limits: &Limits) {
        self.stage = Stage::Claiming(ticket);
        self.claim_after = next_claim(now, limits);
    }

    /// The slot is claimed: what is in memory is brought up to date, and then it is answered for.
    pub fn claimed<P: Protocol>(
        &mut self,
        now: Now,
        ticket: Ticket,
        sent_at: Uptime,
        claimed: Claimed,
        warm: Option<WarmSlot<A>>,
        shared: &mut Shared<A, R>,
    ) {
        if self.stage != Stage::Claiming(ticket) {
            return;
        }
        shared.saw_time(claimed.time);
        let unmoved = claimed.head == self.head || self.doubtful.contains(&claimed.head);
        if !unmoved && P::DROP_WHEN_HEAD_MOVED {
            self.drop_runs(shared);
        }
        self.journal_silent = false;
        self.epoch = claimed.epoch;
        self.head = claimed.head;
        self.doubtful.clear();
        self.proved_until = self.proof_from::<P>(now.uptime, sent_at, shared);
        let later = |warm: &WarmSlot<A>| claimed.head.version.0.checked_sub(warm.version.0);
        match warm.and_then(|warm| Some((later(&warm)?, warm))) {
            Some((later, warm)) if later > 0 && P::CATCH_UP_WARM => {
                if later <= shared.limits.catch_up_batches_max as u64 {
                    let ticket = shared.ticket();
                    let batches = later as usize;
                    shared.actions.push(Action::CatchUp { slot: self.id, ticket, after: warm.version, batches });
                    self.stage = Stage::CatchingUp(ticket);
                    self.warm = Some(warm);
                } else {
                    self.begin::<P>(now, None, shared);
                }
            }
            warm => self.begin::<P>(now, warm.map(|(_, warm)| warm), shared),
        }
    }

    /// Another owner has the slot: it is asked for again soon, and taken once its owner has had its time or is gone.
    pub fn held_by_another(&mut self, now: Now, ticket: Ticket, by_one_gone: bool) {
        if self.stage != Stage::Claiming(ticket) {
            return;
        }
        self.stage = Stage::Unowned;
        let waited = now.uptime.millis_since(self.wanted_since);
        self.claim_after = now.uptime.plus_millis((waited / 4).clamp(RELEASE_POLL_MIN_MS, RELEASE_POLL_MAX_MS));
        if by_one_gone {
            self.claim_after = now.uptime;
            self.take_after = now.uptime;
        }
    }

    /// A claim got no answer. Whether or not the epoch was raised, a later claim raises it further.
    pub fn claim_unanswered(&mut self, ticket: Ticket, shared: &mut Shared<A, R>) {
        if self.stage != Stage::Claiming(ticket) {
            return;
        }
        self.stage = Stage::Unowned;
        self.journal_silent = true;
        self.fail_waiting(shared.unavailable(), shared);
    }

    /// The batches since the runs were kept aside, if the journal gave them.
    pub fn caught_up<P: Protocol>(
        &mut self,
        now: Now,
        ticket: Ticket,
        batches: Option<Vec<LaterBatch>>,
        shared: &mut Shared<A, R>,
    ) {
        if self.stage != Stage::CatchingUp(ticket) {
            return;
        }
        let warm = self.warm.take();
        let caught_up = warm.zip(batches).and_then(|(warm, batches)| warm.caught_up(&batches, self.head.version));
        self.begin::<P>(now, caught_up, shared);
    }

    /// From here on the slot is answered for.
    fn begin<P: Protocol>(&mut self, now: Now, warm: Option<WarmSlot<A>>, shared: &mut Shared<A, R>) {
        self.stage = Stage::Owned;
        self.list_after = Some(now.uptime);
        let warm = warm.map(|warm| warm.runs).unwrap_or_default();
        shared.actions.push(Action::Owned { slot: self.id, runs_warm: warm.len() });
        for (run, kept) in warm {
            if !self.runs.contains_key(&run) {
                shared.cached += 1;
                self.take_in::<P>(now, run, kept.aggregate, kept.touched, kept.records_since_snapshot, shared);
            }
        }
        self.answer_unproved::<P>(now.uptime, shared);
        self.pump::<P>(now, shared);
    }

    /// Another owner has claimed the slot: leave it alone for a while.
    pub(super) fn lose(&mut self, now: Now, shared: &Shared<A, R>) {
        self.stage = Stage::Unowned;
        self.timers.clear();
        self.list_after = None;
        self.claim_after = self.claim_after.max(next_claim(now, &shared.limits));
        self.take_after = next_take(now, &shared.limits);
    }

    /// A commit got no answer: nothing is said before the slot has been claimed again.
    pub(super) fn lose_until_claimed(&mut self) {
        self.stage = Stage::Unowned;
    }

    /// Nothing new is admitted from here on.
    pub fn drain(&mut self, shared: &mut Shared<A, R>) {
        self.draining = true;
        self.fail_waiting(Failure::NotOwner, shared);
        for entry in self.runs.values_mut() {
            let Entry::Loading { waiting, .. } = entry else { continue };
            shared.queued -= waiting.len();
            for request in waiting.drain(..) {
                shared.actions.push(Action::Reply { to: request.reply_to, result: Err(Failure::NotOwner) });
            }
        }
    }

    fn fail_waiting(&mut self, failure: Failure, shared: &mut Shared<A, R>) {
        shared.queued -= self.waiting.len();
        for request in self.waiting.take_all() {
            shared.fail(request.reply_to, failure);
        }
    }

    /// Whether a drain has come to its end: everything is durable and everybody is answered.
    pub fn is_drained(&self) -> bool {
        let idle = self.in_flight.is_empty() && self.open.records == 0 && self.unproved.is_empty();
        self.draining && idle && !matches!(self.stage, Stage::Claiming(_))
    }

    /// Gives the slot up, and writes down what the next owner would otherwise replay for long. A snapshot is of durable
    /// state and true whenever it arrives, so the next owner need not wait for it.
    pub fn leave(&mut self, shared: &mut Shared<A, R>) {
        let claimed = matches!(self.stage, Stage::Owned | Stage::CatchingUp(_));
        let epoch = claimed.then_some(self.epoch);
        shared.actions.push(Action::Released { slot: self.id, epoch });
        for (run, entry) in std::mem::take(&mut self.runs) {
            shared.cached -= 1;
            if let Entry::Live(mut live) = entry
                && live.records_since_snapshot >= shared.limits.snapshot_evict_records
                && live.touched <= self.head.version
            {
                shared.actions.push(Action::Snapshot(live.take_snapshot(run)));
            }
        }
    }

    /// The runs of the slot are known: each is looked at once, for what time has brought it.
    pub fn listed(&mut self, now: Now, epoch: Epoch, runs: Option<Vec<domain::Run>>) {
        if self.owned_epoch() != Some(epoch) {
            return;
        }
        let Some(runs) = runs else {
            self.list_after = Some(super::execute::pause_after_failure(now));
            return;
        };
        for run in runs {
            if !self.runs.contains_key(&run) && !self.timers.contains(&run) {
                self.timers.set(run, Some(Time::default()));
            }
        }
    }
}

fn next_claim(now: Now, limits: &Limits) -> Uptime {
    now.uptime.plus_millis(limits.claim_interval_ms + jitter(now, limits))
}

fn next_take(now: Now, limits: &Limits) -> Uptime {
    now.uptime.plus_millis(limits.takeover_wait_ms + jitter(now, limits))
}

fn jitter(now: Now, limits: &Limits) -> u64 {
    u64::from(now.jitter) * limits.claim_jitter_ms / u64::from(u32::MAX)
}
