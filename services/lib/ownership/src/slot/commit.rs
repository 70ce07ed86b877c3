use domain::Run;

use super::{Entry, Slot, Stage};
use crate::batch::{Batch, Gated};
use crate::shared::Shared;
use crate::{
    Action, Aggregate, AppendOutcome, BatchId, Committed, Epoch, Failure, Head, Now, Protocol, SlotAppend, Uptime,
    Version,
};

/// Why uncommitted state cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Another owner has the slot.
    Fenced,
    /// A commit got no answer.
    Unknown,
}

impl<A: Aggregate, R> Slot<A, R> {
    /// Closes the open batch and sends it, unless there is nothing in it or another commit is under way.
    pub fn close_batch<P: Protocol>(&mut self, now: Now, shared: &mut Shared<A, R>) -> Option<SlotAppend> {
        if !self.is_owned() || self.open.records == 0 || self.in_flight.len() >= P::COMMITS_IN_FLIGHT {
            return None;
        }
        let version = self.open_version();
        let expected = match self.in_flight.back() {
            Some(before) => Head { version: before.version, tail: before.id },
            None => self.head,
        };
        let next = self.open.next();
        let mut batch = std::mem::replace(&mut self.open, next);
        batch.id = shared.batch_id();
        batch.version = version;
        batch.sent_at = now.uptime;
        for run in &batch.runs {
            // Between two batches the state is exactly what the journal will hold: the only moment for a snapshot of a run
            // that is never idle.
            let Some(Entry::Live(live)) = self.runs.get_mut(run) else { continue };
            if P::SNAPSHOT_COMMITTED && live.wants_snapshot(&shared.limits) {
                batch.snapshots.push(live.take_snapshot(*run));
            }
        }
        let append = SlotAppend {
            slot: self.id,
            epoch: self.epoch,
            head: expected,
            batch: batch.id,
            payload: std::mem::take(&mut batch.payload).into(),
            runs: batch.runs.clone(),
        };
        self.in_flight.push_back(batch);
        // What was refused for want of room has room now.
        self.pump::<P>(now, shared);
        Some(append)
    }

    /// The journal has answered, or has not.
    pub fn appended<P: Protocol>(&mut self, now: Now, id: BatchId, outcome: AppendOutcome, shared: &mut Shared<A, R>) {
        let position = self.in_flight.iter().position(|batch| !P::MATCH_BATCHES || batch.id == id);
        let Some(position) = position else { return };
        match outcome {
            AppendOutcome::Committed { time } => {
                shared.saw_time(time);
                self.committed::<P>(now, position, shared);
            }
            AppendOutcome::Unknown if !P::UNKNOWN_IS_NOT_COMMITTED => self.committed::<P>(now, position, shared),
            AppendOutcome::Fenced => self.doubt::<P>(now, Doubt::Fenced, shared),
            AppendOutcome::Unknown => self.doubt::<P>(now, Doubt::Unknown, shared),
        }
        self.pump::<P>(now, shared);
    }

    fn committed<P: Protocol>(&mut self, now: Now, position: usize, shared: &mut Shared<A, R>) {
        let Some(batch) = self.in_flight.remove(position) else { return };
        if batch.version > self.head.version {
            self.head = Head { version: batch.version, tail: batch.id };
        }
        self.prove::<P>(now.uptime, batch.sent_at, shared);
        shared.actions.push(Action::Committed(Committed {
            slot: self.id,
            epoch: self.epoch,
            version: batch.version,
            time: shared.time,
            runs: batch.runs,
        }));
        for gated in batch.replies {
            self.answer::<P>(now.uptime, gated, shared);
        }
        shared.actions.extend(batch.snapshots.into_iter().map(Action::Snapshot));
    }

    /// Ownership was proved by something sent at `sent_at` that has been answered now.
    pub(super) fn prove<P: Protocol>(&mut self, now: Uptime, sent_at: Uptime, shared: &mut Shared<A, R>) {
        self.proved_until = self.proof_from::<P>(now, sent_at, shared);
        self.answer_unproved::<P>(now, shared);
    }

    pub(super) fn proof_from<P: Protocol>(&self, now: Uptime, sent_at: Uptime, shared: &Shared<A, R>) -> Uptime {
        let from = if P::PROOF_FROM_SENDING { sent_at } else { now };
        self.proved_until.max(from.plus_millis(shared.limits.proof_ms))
    }

    pub(super) fn answer_unproved<P: Protocol>(&mut self, now: Uptime, shared: &mut Shared<A, R>) {
        for gated in std::mem::take(&mut self.unproved) {
            self.answer::<P>(now, gated, shared);
        }
    }

    /// A heartbeat was answered.
    pub fn proved<P: Protocol>(
        &mut self,
        now: Now,
        epoch: Epoch,
        sent_at: Uptime,
        owned: bool,
        shared: &mut Shared<A, R>,
    ) {
        if !P::PROOF_IS_NO_CLAIM && owned && self.stage == Stage::Unowned && self.epoch == epoch {
            self.stage = Stage::Owned;
        }
        if self.owned_epoch() != Some(epoch) {
            return;
        }
        if owned {
            self.prove::<P>(now.uptime, sent_at, shared);
        } else {
            self.doubt::<P>(now, Doubt::Fenced, shared);
        }
    }

    /// Drops what may not be so, and tells those who wait for it that nothing can be said.
    pub(super) fn doubt<P: Protocol>(&mut self, now: Now, doubt: Doubt, shared: &mut Shared<A, R>) {
        let mut dropped: Vec<Gated<A, R>> = std::mem::take(&mut self.unproved);
        let mut suspects: Vec<Run> = Vec::new();
        for batch in std::mem::take(&mut self.in_flight) {
            self.doubtful.push(Head { version: batch.version, tail: batch.id });
            dropped.extend(batch.replies);
            suspects.extend(batch.runs);
        }
        if P::DROP_ALL_UNCOMMITTED {
            let open = std::mem::replace(&mut self.open, Batch::new());
            dropped.extend(open.replies);
            suspects.extend(open.runs);
        }
        let failure = shared.unavailable();
        for gated in dropped {
            shared.fail(gated.to, failure);
        }
        match doubt {
            Doubt::Fenced => self.drop_runs(shared),
            Doubt::Unknown => {
                for run in suspects {
                    self.drop_run(&run, shared);
                }
            }
        }
        if P::MATCH_LOADS {
            self.interrupt_loads(failure, shared);
        }
        match doubt {
            Doubt::Fenced => {
                let waiting: Vec<_> = self.waiting.take_all().collect();
                shared.queued -= waiting.len();
                for request in waiting {
                    shared.fail(request.reply_to, failure);
                }
                self.lose(now, shared);
            }
            Doubt::Unknown if P::CLAIM_AFTER_UNKNOWN => self.lose_until_claimed(),
            Doubt::Unknown => {}
        }
    }

    /// What was being loaded may miss a batch of doubtful outcome: it is loaded again when it is next asked for.
    fn interrupt_loads(&mut self, failure: Failure, shared: &mut Shared<A, R>) {
        let loading: Vec<Run> =
            self.runs.iter().filter(|(_, entry)| matches!(entry, Entry::Loading { .. })).map(|(run, _)| *run).collect();
        for run in loading {
            if let Some(Entry::Loading { waiting, .. }) = self.runs.remove(&run) {
                shared.cached -= 1;
                self.loading -= 1;
                shared.queued -= waiting.len();
                for request in waiting {
                    shared.fail(request.reply_to, failure);
                }
            }
        }
    }

    /// Drops every run but the quarantined ones: those only an operator brings back.
    pub(super) fn drop_runs(&mut self, shared: &mut Shared<A, R>) {
        let runs: Vec<Run> = self.runs.keys().copied().collect();
        for run in runs {
            self.drop_run(&run, shared);
        }
    }

    fn drop_run(&mut self, run: &Run, shared: &mut Shared<A, R>) {
        if let Some(Entry::Quarantined { touched }) = self.runs.get_mut(run) {
            *touched = Version::default();
        }
        if matches!(self.runs.get(run), Some(Entry::Live(_))) {
            self.runs.remove(run);
            shared.cached -= 1;
            // What the timer was set by may never have happened: look again.
            self.timers.set(*run, Some(domain::Time::default()));
        }
    }
}
