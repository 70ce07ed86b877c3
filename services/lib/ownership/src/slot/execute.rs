use domain::{Run, Time};

use super::{Entry, LOAD_PAUSE_MS, Live, Slot, TIMERS_PER_TICK, overloaded};
use crate::batch::Gated;
use crate::rebuild::guarded;
use crate::shared::Shared;
use crate::{
    Action, Aggregate, Broken, Context, Execution, Failure, FrozenRun, Limits, Now, Outcome, Protocol, Request,
    Version, Work,
};

impl<A: Aggregate, R> Slot<A, R> {
    /// Executes a request of a slot that is owned and has room, or lets it wait for its run.
    pub(super) fn work<P: Protocol>(&mut self, now: Now, request: Request<A, R>, shared: &mut Shared<A, R>) {
        match self.runs.get_mut(&request.run) {
            Some(Entry::Live(_)) => self.execute::<P>(now, request, shared),
            Some(Entry::Quarantined { .. }) => shared.fail(request.reply_to, Failure::Quarantined),
            Some(Entry::Loading { waiting, .. }) => {
                if shared.queued >= shared.limits.queue_requests_max {
                    shared.fail(request.reply_to, overloaded());
                } else {
                    shared.queued += 1;
                    waiting.push(request);
                }
            }
            None => {
                let full = shared.cached >= 2 * shared.limits.cache_runs_max;
                if full || shared.queued >= shared.limits.queue_requests_max {
                    shared.fail(request.reply_to, overloaded());
                } else {
                    shared.queued += 1;
                    self.begin_load(request.run, vec![request], shared);
                }
            }
        }
    }

    pub(super) fn begin_load(&mut self, run: Run, waiting: Vec<Request<A, R>>, shared: &mut Shared<A, R>) {
        let ticket = shared.want_load(run, true);
        shared.cached += 1;
        self.loading += 1;
        self.runs.insert(run, Entry::Loading { ticket, waiting });
    }

    fn execute<P: Protocol>(&mut self, now: Now, request: Request<A, R>, shared: &mut Shared<A, R>) {
        let run = request.run;
        // Time first: what has run out is settled, and the line served, before anybody new is heard.
        if let Err(broken) = self.advance_if_due::<P>(run, shared) {
            self.quarantine(run, broken, shared);
        }
        let open_version = self.open_version();
        let Some(Entry::Live(live)) = self.runs.get_mut(&run) else {
            shared.fail(request.reply_to, Failure::Quarantined);
            return;
        };
        live.last_use = shared.next_use();
        let context = Context { time: shared.time, version: open_version };
        let written = self.open.payload.len();
        let decided = match request.work {
            Work::Query(query) => guarded(|| Ok(Outcome::Viewed(live.aggregate.view(context, query)))),
            Work::Command(command) => {
                guarded(|| match live.aggregate.execute(context, &command, &mut self.open.payload) {
                    Execution::Accepted(answer) => {
                        if P::QUARANTINE {
                            live.check(&shared.limits)?;
                        }
                        Ok(Outcome::Accepted(answer))
                    }
                    Execution::Repeated(answer) => Ok(Outcome::Repeated(answer)),
                    Execution::Refused(refusal) => Ok(Outcome::Refused(refusal)),
                })
            }
        };
        let outcome = match decided {
            Ok(outcome) => outcome,
            Err(broken) => {
                self.open.payload.truncate(written);
                self.quarantine(run, broken, shared);
                shared.fail(request.reply_to, Failure::Quarantined);
                return;
            }
        };
        if matches!(outcome, Outcome::Accepted(_)) {
            self.changed::<P>(run, shared);
        }
        self.gate::<P>(now, run, request.reply_to, request.deadline, outcome, shared);
    }

    /// Notes that a record of the run was added to the open batch.
    fn changed<P: Protocol>(&mut self, run: Run, shared: &mut Shared<A, R>) {
        let version = self.open_version();
        self.open.note_record(run);
        let Some(Entry::Live(live)) = self.runs.get_mut(&run) else { return };
        live.touched = version;
        live.records_since_snapshot += 1;
        live.next_timer = live.aggregate.next_timer();
        self.timers.set(run, live.next_timer);
        if !P::SNAPSHOT_COMMITTED && live.wants_snapshot(&shared.limits) {
            shared.actions.push(Action::Snapshot(live.take_snapshot(run)));
        }
    }

    /// Keeps an answer back until what it rests on is durable.
    fn gate<P: Protocol>(
        &mut self,
        now: Now,
        run: Run,
        to: R,
        deadline: crate::Uptime,
        outcome: Outcome<A>,
        shared: &mut Shared<A, R>,
    ) {
        let touched = match self.runs.get(&run) {
            Some(Entry::Live(live)) => live.touched,
            _ => self.head.version,
        };
        let accepted = matches!(outcome, Outcome::Accepted(_));
        let waits = match outcome {
            Outcome::Accepted(_) | Outcome::Repeated(_) => P::ACCEPTANCES_WAIT,
            Outcome::Refused(_) => P::REFUSALS_WAIT,
            Outcome::Viewed(_) => P::READS_WAIT,
        };
        let version = if accepted { touched } else { touched.max(self.head.version) };
        let gated = Gated { to, outcome, time: shared.time, version, deadline };
        if !waits || touched <= self.head.version {
            self.answer::<P>(now.uptime, gated, shared);
        } else if touched == self.open_version() {
            self.open.replies.push(gated);
        } else {
            match self.in_flight.iter_mut().find(|batch| batch.version == touched) {
                Some(batch) => batch.replies.push(gated),
                None => self.answer::<P>(now.uptime, gated, shared),
            }
        }
    }

    /// Records that time has passed, where that means something to the run.
    pub(super) fn advance_if_due<P: Protocol>(&mut self, run: Run, shared: &mut Shared<A, R>) -> Result<(), Broken> {
        let context = Context { time: shared.time, version: self.open_version() };
        let Some(Entry::Live(live)) = self.runs.get_mut(&run) else { return Ok(()) };
        if live.next_timer.is_none_or(|at| at > context.time) {
            return Ok(());
        }
        let (written, payload, time) = (self.open.payload.len(), &mut self.open.payload, context.time);
        let advanced = guarded(|| {
            live.aggregate.advance(context, payload);
            if P::QUARANTINE {
                live.check(&shared.limits)?;
            }
            match live.aggregate.next_timer() {
                Some(at) if at <= time => {
                    Err(Broken { id: "time", message: format!("still due at {at} after advancing to {time}") })
                }
                next => Ok(next),
            }
        });
        match advanced {
            Ok(next) if !P::RECORD_TIME => {
                self.open.payload.truncate(written);
                live.next_timer = next;
                self.timers.set(run, next);
                Ok(())
            }
            Ok(_) => {
                self.changed::<P>(run, shared);
                Ok(())
            }
            Err(broken) => {
                self.open.payload.truncate(written);
                Err(broken)
            }
        }
    }

    pub(super) fn fire_timers<P: Protocol>(&mut self, now: Now, shared: &mut Shared<A, R>) {
        let due: Vec<Run> = self.timers.due(shared.time, TIMERS_PER_TICK).collect();
        for run in due {
            if self.is_batch_full(shared) {
                return;
            }
            match self.runs.get(&run) {
                Some(Entry::Live(_)) => {
                    if let Err(broken) = self.advance_if_due::<P>(run, shared) {
                        self.quarantine(run, broken, shared);
                    }
                }
                Some(Entry::Loading { .. }) => {}
                Some(Entry::Quarantined { .. }) => self.timers.set(run, None),
                None => {
                    // Loads for timers take the room that clients leave.
                    let room = shared.loads.len() + shared.loading < shared.limits.loads_in_flight_max;
                    if room && now.uptime >= self.load_after {
                        self.begin_load(run, Vec::new(), shared);
                    }
                }
            }
        }
    }

    /// Takes one run out of service; the others go on.
    pub(super) fn quarantine(&mut self, run: Run, broken: Broken, shared: &mut Shared<A, R>) {
        let touched = match self.runs.get(&run) {
            Some(Entry::Live(live)) => live.touched,
            _ => Version::default(),
        };
        self.runs.insert(run, Entry::Quarantined { touched });
        self.timers.set(run, None);
        shared.actions.push(Action::Quarantined { run, broken });
    }

    /// A quarantined run was repaired in the journal: it is loaded when it is next asked for, once what this owner had
    /// written of it is durable.
    pub fn reload(&mut self, run: &Run, shared: &mut Shared<A, R>) {
        if matches!(self.runs.get(run), Some(Entry::Quarantined { .. })) {
            self.repaired.push(*run);
            self.release_repaired(shared);
        }
    }

    pub(super) fn release_repaired(&mut self, shared: &mut Shared<A, R>) {
        for run in std::mem::take(&mut self.repaired) {
            match self.runs.get(&run) {
                Some(Entry::Quarantined { touched, .. }) if *touched <= self.head.version => {
                    self.runs.remove(&run);
                    shared.cached -= 1;
                    // Its timers are found anew.
                    self.timers.set(run, Some(Time::default()));
                }
                Some(Entry::Quarantined { .. }) => self.repaired.push(run),
                _ => {}
            }
        }
    }
}

impl<A: Aggregate> Live<A> {
    /// The state now, as a snapshot of the last version that changed it.
    pub(super) fn take_snapshot(&mut self, run: Run) -> FrozenRun<A> {
        self.records_since_snapshot = 0;
        FrozenRun { run, version: self.touched, state: self.aggregate.freeze() }
    }

    /// Whether enough has happened for a snapshot of a run of its size.
    pub(super) fn wants_snapshot(&self, limits: &Limits) -> bool {
        self.is_worth(self.records_since_snapshot, limits.snapshot_records, limits)
    }

    fn check(&mut self, limits: &Limits) -> Result<(), Broken> {
        self.records_since_check += 1;
        if !self.is_worth(self.records_since_check, limits.check_every_records, limits) {
            return Ok(());
        }
        self.records_since_check = 0;
        self.aggregate.check()
    }

    /// Whether so many records are worth going through the whole run once.
    fn is_worth(&self, records: u32, every: u32, limits: &Limits) -> bool {
        records >= every && records as usize >= self.aggregate.size() / limits.upkeep_things_per_record.max(1)
    }
}

/// Timers and lists wait so long after the journal gave no answer.
pub(super) const fn pause_after_failure(now: Now) -> crate::Uptime {
    now.uptime.plus_millis(LOAD_PAUSE_MS)
}
