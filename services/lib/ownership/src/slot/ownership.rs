use domain::Time;

use super::{Entry, Slot, Stage};
use crate::shared::Shared;
use crate::{Action, Aggregate, Claimed, Epoch, Failure, Limits, Now, Protocol, Ticket, Uptime};

impl<A: Aggregate, R> Slot<A, R> {
    /// Whether a claim is due.
    pub fn wants_claim(&self, now: Now) -> bool {
        self.stage == Stage::Unowned && !self.draining && now.uptime >= self.claim_after
    }

    /// A claim is being sent.
    pub fn claim(&mut self, now: Now, ticket: Ticket, limits: &Limits) {
        self.stage = Stage::Claiming(ticket);
        self.claim_after = next_claim(now, limits);
    }

    /// A claim was answered, or was not.
    pub fn claimed<P: Protocol>(
        &mut self,
        now: Now,
        ticket: Ticket,
        sent_at: Uptime,
        claimed: Option<Claimed>,
        shared: &mut Shared<A, R>,
    ) {
        if self.stage != Stage::Claiming(ticket) {
            return;
        }
        let Some(claimed) = claimed else {
            // Whether or not the epoch was raised, a later claim raises it further.
            self.stage = Stage::Unowned;
            self.journal_silent = true;
            self.fail_waiting(shared.unavailable(), shared);
            return;
        };
        shared.saw_time(claimed.time);
        let unmoved = claimed.head == self.head || self.doubtful.contains(&claimed.head);
        if !unmoved && P::DROP_WHEN_HEAD_MOVED {
            self.drop_runs(shared);
        }
        self.stage = Stage::Owned;
        self.journal_silent = false;
        self.epoch = claimed.epoch;
        self.head = claimed.head;
        self.doubtful.clear();
        self.list_after = Some(now.uptime);
        self.prove::<P>(now.uptime, sent_at, shared);
        self.pump::<P>(now, shared);
    }

    /// Another owner has claimed the slot: leave it alone for a while.
    pub(super) fn lose(&mut self, now: Now, shared: &Shared<A, R>) {
        self.stage = Stage::Unowned;
        self.timers.clear();
        self.list_after = None;
        self.claim_after = self.claim_after.max(next_claim(now, &shared.limits));
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

    /// Writes down what the next owner would otherwise replay, and gives the slot up.
    pub fn leave(&mut self, shared: &mut Shared<A, R>) {
        for (run, entry) in std::mem::take(&mut self.runs) {
            shared.cached -= 1;
            if let Entry::Live(mut live) = entry
                && live.records_since_snapshot > 0
            {
                shared.actions.push(Action::Snapshot(live.take_snapshot(run)));
            }
        }
        let epoch = self.owned_epoch();
        shared.actions.push(Action::Released { slot: self.id, epoch });
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
    let jitter = u64::from(now.jitter) * limits.claim_jitter_ms / u64::from(u32::MAX);
    now.uptime.plus_millis(limits.claim_interval_ms + jitter)
}
