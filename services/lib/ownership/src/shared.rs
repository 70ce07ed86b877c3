use std::collections::VecDeque;

use domain::{Run, Time};

use crate::{Action, Aggregate, BatchId, Failure, Limits, Ticket};

/// What the slots of one owner share: bounds, counters, the database's time, and the list of things to do.
pub(crate) struct Shared<A: Aggregate, R> {
    pub limits: Limits,
    pub actions: Vec<Action<A, R>>,
    /// The last database time known. Only commits, claims and heartbeats move it, and never back.
    pub time: Time,
    /// Requests that wait in queues of slots and of loading runs.
    pub queued: usize,
    /// Runs in memory or on their way there.
    pub cached: usize,
    /// Loads under way.
    pub loading: usize,
    /// Loads that wait for their turn.
    pub loads: VecDeque<(Run, Ticket, bool)>,
    /// Somebody waits for a proof of ownership.
    pub proof_wanted: bool,
    incarnation: u64,
    batches: u64,
    tickets: u64,
    uses: u64,
}

impl<A: Aggregate, R> Shared<A, R> {
    pub fn new(incarnation: u64, limits: Limits) -> Self {
        Self {
            limits,
            actions: Vec::new(),
            time: Time::default(),
            queued: 0,
            cached: 0,
            loading: 0,
            loads: VecDeque::new(),
            proof_wanted: false,
            incarnation,
            batches: 0,
            tickets: 0,
            uses: 0,
        }
    }

    pub fn saw_time(&mut self, time: Time) {
        self.time = self.time.max(time);
    }

    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub fn batch_id(&mut self) -> BatchId {
        self.batches += 1;
        BatchId(u128::from(self.incarnation) << 64 | u128::from(self.batches))
    }

    /// Counts up with every use of a run: the smaller, the longer unused.
    pub fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    pub fn fail(&mut self, to: R, failure: Failure) {
        self.actions.push(Action::Reply { to, result: Err(failure) });
    }

    /// What a client is told when nothing can be said about its request.
    pub fn unavailable(&self) -> Failure {
        Failure::Unavailable { retry_after_ms: self.limits.claim_interval_ms }
    }

    pub fn want_load(&mut self, run: Run, with_snapshot: bool) -> Ticket {
        let ticket = self.ticket();
        self.loads.push_back((run, ticket, with_snapshot));
        ticket
    }

    pub fn start_loads(&mut self) {
        while self.loading < self.limits.loads_in_flight_max {
            let Some((run, ticket, with_snapshot)) = self.loads.pop_front() else { return };
            self.loading += 1;
            self.actions.push(Action::Load { run, ticket, with_snapshot });
        }
    }
}
