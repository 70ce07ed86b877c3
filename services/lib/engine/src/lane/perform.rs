//! The calls on the journal that an owner's actions ask for. Each is answered by one [`Done`], after a time-out at the
//! latest.

use std::future::Future;
use std::time::Duration;

use domain::{Run, SlotId, Time};
use failpoints::Point;
use journal::{FreeClaim, JournalError, SlotEpoch};
use ownership::{
    AppendOutcome, Appended, BatchId, ClaimOutcome, Claimed, Epoch, FrozenRun, Head, Heartbeat, Input, OfOthers,
    SlotAppend, Ticket, Uptime, Version,
};
use tokio::time::Instant;
use train_date::OwnedTrainDate;

use super::{Lane, ReplyTo, now};
use crate::metrics::EngineMetrics;
use crate::{HandoverKind, RunChange, history, uptime};

/// Snapshots under way at once; further ones are left out, which costs nothing but time when the run is next loaded.
const SNAPSHOTS_IN_FLIGHT_MAX: usize = 32;
/// Lists of runs under way at once. A shard that starts claims hundreds of slots in one statement; asking for the runs of
/// all of them at once would take every connection from those who buy.
const LISTS_IN_FLIGHT_MAX: usize = 4;

/// What has come of a call. Without an answer within the time-out, or with an error, there is `None`.
pub(super) enum Done {
    Appended {
        began: Instant,
        names: Vec<(SlotId, BatchId)>,
        outcomes: Option<Vec<journal::AppendOutcome>>,
    },
    Claimed {
        ticket: Ticket,
        slots: Vec<SlotId>,
        claimed: Option<Vec<FreeClaim>>,
    },
    Heartbeat {
        ticket: Ticket,
        sent_at: Uptime,
        others: OfOthers,
        heartbeat: Option<journal::Heartbeat>,
    },
    /// Another lane's heartbeat asks for this one too.
    Joined {
        ticket: Ticket,
    },
    Listed {
        slot: SlotId,
        epoch: Epoch,
        runs: Option<Vec<Run>>,
    },
    Input(Box<Input<OwnedTrainDate, ReplyTo>>),
    Snapshot,
    GivenUp {
        slots: Vec<SlotId>,
    },
}

impl Lane {
    pub(super) fn finished(&mut self, done: Done) {
        let input = match done {
            Done::Appended { began, names, outcomes } => {
                self.convoys.commit_ended(began, Instant::now());
                Input::Appended(self.appended(names, outcomes))
            }
            Done::Claimed { ticket, slots, claimed } => Input::Claimed { ticket, slots: self.claimed(slots, claimed) },
            Done::Heartbeat { ticket, sent_at, others, heartbeat } => {
                let counter =
                    if heartbeat.is_some() { &self.metrics.heartbeats } else { &self.metrics.heartbeats_failed };
                EngineMetrics::add(counter, 1);
                let heartbeat = heartbeat.map(|beat| Heartbeat { time: beat.time, lost: beat.lost });
                self.peers.answered(sent_at);
                if let Some(heartbeat) = &heartbeat {
                    self.peers.tell(others, sent_at, heartbeat);
                }
                Input::HeartbeatDone { ticket, heartbeat }
            }
            Done::Joined { ticket } => Input::HeartbeatDone { ticket, heartbeat: None },
            Done::Listed { slot, epoch, runs } => {
                self.lists_in_flight -= 1;
                self.start_lists();
                if let Some(runs) = &runs {
                    self.note_found(epoch, runs);
                    self.shown.handovers.note_runs(slot, runs.len());
                }
                Input::Listed { slot, epoch, runs }
            }
            Done::Input(input) => *input,
            Done::Snapshot => {
                self.snapshots_in_flight -= 1;
                return;
            }
            Done::GivenUp { slots } => return self.given_up(&slots),
        };
        self.owner.handle(now(), input);
    }

    /// Runs that another owner, or an earlier process, may have changed: those who watch look at them anew.
    fn note_found(&self, epoch: Epoch, runs: &[Run]) {
        let found = |run: &Run| RunChange { run: *run, epoch, version: Version(0), time: Time::default() };
        self.shown.changes.record(runs.iter().map(found));
    }

    pub(super) fn append(&mut self, appends: Vec<SlotAppend>) {
        let names: Vec<(SlotId, BatchId)> = appends.iter().map(|append| (append.slot, append.batch)).collect();
        let bytes: usize = appends.iter().map(|append| append.payload.len()).sum();
        EngineMetrics::add(&self.metrics.append_bytes, bytes as u64);
        EngineMetrics::add(&self.metrics.appends, 1);
        let appends = appends.into_iter().map(|append| self.expecting(append)).collect();
        let (journal, timeout, metrics) = (self.journal.clone(), self.options.journal_timeout, self.metrics.clone());
        self.convoys.commit_began();
        let began = Instant::now();
        self.under_way.push(Box::pin(async move {
            let appended = async {
                failpoints::at(Point::ShardBeforeAppend).await.ok()?;
                let outcomes = journal.append(appends).await;
                failpoints::at(Point::ShardAfterAppend).await.ok().map(|()| outcomes)
            };
            let outcomes = tokio::time::timeout(timeout, appended).await.ok().flatten();
            EngineMetrics::add(&metrics.append_us, micros_since(began));
            Done::Appended { began, names, outcomes }
        }));
    }

    fn expecting(&self, append: SlotAppend) -> journal::SlotAppend {
        journal::SlotAppend {
            slot: append.slot,
            expected: journal::Head {
                version: append.head.version.0,
                tail: journal::BatchId::from_u128(append.head.tail.0),
                epoch: append.epoch.0,
                chain: self.chains.get(&append.slot).copied().unwrap_or_default(),
            },
            batch_id: journal::BatchId::from_u128(append.batch.0),
            payload: append.payload,
            runs: append.runs.into_vec(),
        }
    }

    fn appended(
        &mut self,
        names: Vec<(SlotId, BatchId)>,
        outcomes: Option<Vec<journal::AppendOutcome>>,
    ) -> Vec<Appended> {
        let mut outcomes = outcomes.into_iter().flatten();
        let mut appended = Vec::with_capacity(names.len());
        for (slot, batch) in names {
            let outcome = match outcomes.next() {
                Some(journal::AppendOutcome::Committed { time, chain, .. }) => {
                    self.chains.insert(slot, chain);
                    AppendOutcome::Committed { time }
                }
                Some(journal::AppendOutcome::Fenced { head }) => {
                    EngineMetrics::add(&self.metrics.batches_fenced, 1);
                    tracing::warn!(%slot, epoch = head.epoch, "append fenced: another owner has the slot");
                    AppendOutcome::Fenced
                }
                Some(journal::AppendOutcome::Unknown { error }) => {
                    EngineMetrics::add(&self.metrics.batches_unknown, 1);
                    tracing::warn!(%slot, error = &*error as &dyn std::error::Error, "append without an answer");
                    AppendOutcome::Unknown
                }
                None => {
                    EngineMetrics::add(&self.metrics.batches_unknown, 1);
                    tracing::warn!(%slot, "append timed out");
                    AppendOutcome::Unknown
                }
            };
            appended.push(Appended { slot, batch, outcome });
        }
        appended
    }

    pub(super) fn claim(&mut self, ticket: Ticket, slots: Vec<SlotId>) {
        let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
        let owner = self.options.owner.clone();
        let nonce = rand::random();
        self.under_way.push(Box::pin(async move {
            let claimed = within(timeout, "claim", journal.claim(&slots, &owner, nonce)).await;
            let claimed = claimed.map(|claimed| claimed.into_iter().map(FreeClaim::Claimed).collect());
            Done::Claimed { ticket, slots, claimed }
        }));
    }

    pub(super) fn claim_free(&mut self, ticket: Ticket, slots: Vec<SlotId>) {
        let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
        let owner = self.options.owner.clone();
        let nonce = rand::random();
        self.under_way.push(Box::pin(async move {
            let claimed = within(timeout, "claim", journal.claim_free(&slots, &owner, nonce)).await;
            Done::Claimed { ticket, slots, claimed }
        }));
    }

    fn claimed(&mut self, slots: Vec<SlotId>, claimed: Option<Vec<FreeClaim>>) -> Vec<(SlotId, Option<ClaimOutcome>)> {
        let Some(claimed) = claimed else {
            EngineMetrics::add(&self.metrics.claims_unknown, slots.len() as u64);
            return slots.into_iter().map(|slot| (slot, None)).collect();
        };
        slots.into_iter().zip(claimed).map(|(slot, claim)| (slot, Some(self.claim_outcome(claim)))).collect()
    }

    fn claim_outcome(&mut self, claim: FreeClaim) -> ClaimOutcome {
        let one = match claim {
            FreeClaim::Claimed(claimed) => claimed,
            FreeClaim::Held { owner } => {
                // Nobody's name is empty: a slot that was just given up is asked for again.
                let gone = self.alive.as_ref().is_some_and(|alive| !owner.is_empty() && !alive.contains(&owner));
                return ClaimOutcome::Held { by_one_gone: gone };
            }
        };
        EngineMetrics::add(&self.metrics.slots_claimed, 1);
        if let Some(previous) = one.previous_owner.filter(|previous| *previous != self.options.owner) {
            EngineMetrics::add(&self.metrics.slots_taken_over, 1);
            tracing::info!(slot = %one.slot, %previous, epoch = one.head.epoch, "slot taken over");
        }
        self.chains.insert(one.slot, one.head.chain);
        let head = Head { version: Version(one.head.version), tail: BatchId(u128::from_be_bytes(one.head.tail.0)) };
        ClaimOutcome::Claimed(Claimed { epoch: Epoch(one.head.epoch), head, time: one.time })
    }

    pub(super) fn catch_up(&mut self, slot: SlotId, ticket: Ticket, after: Version, batches: usize) {
        let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
        let batches_max = u32::try_from(batches).unwrap_or(u32::MAX);
        self.under_way.push(Box::pin(async move {
            let read = within(timeout, "tail of a slot", async {
                let batches = journal.read_feed(slot, after.0, batches_max).await?;
                batches.into_iter().map(history::later_batch).collect()
            });
            Done::Input(Box::new(Input::CaughtUp { slot, ticket, batches: read.await }))
        }));
    }

    pub(super) fn heartbeat(&mut self, ticket: Ticket, slots: Vec<(SlotId, Epoch)>) {
        let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
        // A proof counts from when it was asked for.
        let sent_at = uptime::now();
        let Some(others) = self.peers.ask(self.index, &slots, sent_at) else {
            // Its answer comes from the other lane.
            self.under_way.push(Box::pin(std::future::ready(Done::Joined { ticket })));
            return;
        };
        let of_others = others.iter().flat_map(|(_, slots)| slots);
        let asked = slots.iter().chain(of_others).map(|(slot, epoch)| SlotEpoch { slot: *slot, epoch: epoch.0 });
        let asked: Vec<SlotEpoch> = asked.collect();
        self.under_way.push(Box::pin(async move {
            let heartbeat = within(timeout, "heartbeat", journal.heartbeat(&asked)).await;
            Done::Heartbeat { ticket, sent_at, others, heartbeat }
        }));
    }

    pub(super) fn load(&mut self, run: Run, ticket: Ticket, with_snapshot: bool) {
        let (journal, timeout, metrics) = (self.journal.clone(), self.options.journal_timeout, self.metrics.clone());
        // Reading thousands of batches takes its time too: not the lane's.
        let loaded = tokio::spawn(async move {
            let started = Instant::now();
            let stored = within(timeout, "load", history::load(&*journal, &run, with_snapshot)).await?;
            let rebuilt = history::put_together(run, stored).await.ok()?;
            EngineMetrics::add(&metrics.load_us, micros_since(started));
            Some(rebuilt)
        });
        let metrics = self.metrics.clone();
        self.under_way.push(Box::pin(async move {
            let rebuilt = loaded.await.ok().flatten();
            EngineMetrics::add(if rebuilt.is_some() { &metrics.runs_loaded } else { &metrics.loads_failed }, 1);
            Done::Input(Box::new(Input::Loaded { run, ticket, rebuilt }))
        }));
    }

    pub(super) fn list(&mut self, slot: SlotId, epoch: Epoch) {
        self.lists_waiting.push_back((slot, epoch));
        self.start_lists();
    }

    fn start_lists(&mut self) {
        while self.lists_in_flight < LISTS_IN_FLIGHT_MAX {
            let Some((slot, epoch)) = self.lists_waiting.pop_front() else { return };
            self.lists_in_flight += 1;
            let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
            self.under_way.push(Box::pin(async move {
                let runs = within(timeout, "list of runs", journal.runs_of(slot)).await;
                Done::Listed { slot, epoch, runs }
            }));
        }
    }

    pub(super) fn snapshot(&mut self, frozen: FrozenRun<OwnedTrainDate>) {
        if self.snapshots_in_flight >= SNAPSHOTS_IN_FLIGHT_MAX {
            EngineMetrics::add(&self.metrics.snapshots_failed, 1);
            return;
        }
        self.snapshots_in_flight += 1;
        let (journal, timeout, metrics) = (self.journal.clone(), self.options.journal_timeout, self.metrics.clone());
        // Sending it takes its time too: not the lane's.
        let stored = tokio::spawn(async move {
            let stored = async { journal.put_snapshot(&history::write_out(frozen).await?).await };
            within(timeout, "snapshot", stored).await
        });
        self.under_way.push(Box::pin(async move {
            let stored = stored.await.ok().flatten();
            let counter = if stored.is_some() { &metrics.snapshots_stored } else { &metrics.snapshots_failed };
            EngineMetrics::add(counter, 1);
            Done::Snapshot
        }));
    }

    /// Gives all these slots up in one statement: whoever waits for them claims at once then.
    pub(super) fn give_up(&mut self, released: Vec<(SlotId, Option<Epoch>)>) {
        let mut held = Vec::with_capacity(released.len());
        for (slot, epoch) in released {
            self.chains.remove(&slot);
            match epoch {
                Some(epoch) => held.push(SlotEpoch { slot, epoch: epoch.0 }),
                None => drop(self.giving.remove(&slot)),
            }
        }
        if held.is_empty() {
            return;
        }
        self.giving_up += held.len();
        let (journal, timeout) = (self.journal.clone(), self.options.journal_timeout);
        self.under_way.push(Box::pin(async move {
            // Safety does not depend on it: without it the next owner waits a while and then claims all the same.
            let _ = within(timeout, "give-up", journal.give_up(&held)).await;
            Done::GivenUp { slots: held.iter().map(|held| held.slot).collect() }
        }));
    }

    fn given_up(&mut self, slots: &[SlotId]) {
        self.giving_up -= slots.len();
        EngineMetrics::add(&self.metrics.slots_given_up, slots.len() as u64);
        for slot in slots {
            if let Some(began) = self.giving.remove(slot) {
                self.shown.handovers.note(*slot, HandoverKind::Given, began, 0);
            }
        }
    }
}

/// The answer of a call on the journal, if there is one in time.
async fn within<T>(timeout: Duration, what: &str, call: impl Future<Output = Result<T, JournalError>>) -> Option<T> {
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "journal: {what} failed");
            None
        }
        Err(_) => {
            tracing::warn!("journal: {what} timed out");
            None
        }
    }
}

fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
