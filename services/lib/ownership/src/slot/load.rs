use domain::{Run, Time};

use super::commit::Doubt;
use super::execute::pause_after_failure;
use super::{Entry, Live, Slot};
use crate::shared::Shared;
use crate::{Action, Aggregate, Failure, Now, Protocol, Rebuilt, Request, Ticket, Version};

impl<A: Aggregate, R> Slot<A, R> {
    /// The journal has given a run, or nothing.
    pub fn loaded<P: Protocol>(
        &mut self,
        now: Now,
        run: Run,
        ticket: Ticket,
        rebuilt: Option<Rebuilt<A>>,
        shared: &mut Shared<A, R>,
    ) {
        let waiting = match self.runs.get_mut(&run) {
            Some(Entry::Loading { ticket: wanted, waiting }) if !P::MATCH_LOADS || *wanted == ticket => {
                std::mem::take(waiting)
            }
            _ => return,
        };
        shared.queued -= waiting.len();
        let Some(Rebuilt { touched, from_snapshot, state }) = rebuilt else {
            self.load_after = pause_after_failure(now);
            self.abandon_load(&run, waiting, shared.unavailable(), shared);
            return;
        };
        if P::MATCH_LOADS && touched > Some(self.head.version) {
            // Only another owner can have written on.
            self.abandon_load(&run, waiting, shared.unavailable(), shared);
            self.doubt::<P>(now, Doubt::Fenced, shared);
            return;
        }
        match state {
            Ok((aggregate, since_snapshot)) => {
                self.loading -= 1;
                self.take_in::<P>(now, run, aggregate, touched.unwrap_or_default(), since_snapshot, shared);
                for request in waiting {
                    self.resume::<P>(now, request, shared);
                }
            }
            Err(_) if from_snapshot => {
                // A snapshot can be discarded; the batches cannot.
                let ticket = shared.want_load(run, false);
                shared.queued += waiting.len();
                self.runs.insert(run, Entry::Loading { ticket, waiting });
            }
            Err(broken) => {
                self.loading -= 1;
                self.quarantine(run, broken, shared);
                for request in waiting {
                    shared.fail(request.reply_to, Failure::Quarantined);
                }
            }
        }
    }

    pub(super) fn take_in<P: Protocol>(
        &mut self,
        now: Now,
        run: Run,
        aggregate: A,
        touched: Version,
        records_since_snapshot: u32,
        shared: &mut Shared<A, R>,
    ) {
        let next_timer = aggregate.next_timer();
        let live = Live {
            aggregate,
            touched,
            next_timer,
            last_use: shared.next_use(),
            records_since_snapshot,
            records_since_check: 0,
        };
        self.runs.insert(run, Entry::Live(live));
        self.timers.set(run, next_timer);
        if self.is_owned() {
            self.fire_timers::<P>(now, shared);
        }
    }

    /// Executes a request that has waited for its run, or lets it wait for room in a batch.
    fn resume<P: Protocol>(&mut self, now: Now, request: Request<A, R>, shared: &mut Shared<A, R>) {
        if request.deadline < now.uptime {
            shared.fail(request.reply_to, Failure::DeadlineExceeded);
        } else if self.is_owned() && !self.is_batch_full(shared) {
            self.work::<P>(now, request, shared);
        } else {
            self.enqueue(request, shared);
        }
    }

    fn abandon_load(&mut self, run: &Run, waiting: Vec<Request<A, R>>, failure: Failure, shared: &mut Shared<A, R>) {
        self.runs.remove(run);
        self.loading -= 1;
        shared.cached -= 1;
        if !self.timers.contains(run) {
            // Nobody may ever ask for it again: it is looked at once more, for what time has brought it.
            self.timers.set(*run, Some(Time::default()));
        }
        for request in waiting {
            shared.fail(request.reply_to, failure);
        }
    }

    /// The runs that could leave memory, with when they were last used.
    pub fn evictable<P: Protocol>(&self) -> impl Iterator<Item = (u64, Run)> {
        self.runs.iter().filter_map(|(run, entry)| match entry {
            Entry::Live(live) if !P::EVICT_COMMITTED || live.touched <= self.head.version => {
                Some((live.last_use, *run))
            }
            _ => None,
        })
    }

    /// Lets a run leave memory. Its timer stays.
    pub fn evict(&mut self, run: &Run, shared: &mut Shared<A, R>) {
        let Some(Entry::Live(mut live)) = self.runs.remove(run) else { return };
        shared.cached -= 1;
        if live.records_since_snapshot >= shared.limits.snapshot_evict_records && live.touched <= self.head.version {
            shared.actions.push(Action::Snapshot(live.take_snapshot(*run)));
        }
    }
}
