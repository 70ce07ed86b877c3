//! Keeps [`Boards`] up to date, and proves again and again that what was sent still holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Run, ServiceDate, SlotId, Time};
use engine::{EngineError, EngineHandle, Epoch, Failure, Viewed};
use futures::StreamExt;
use inventory::Board;
use jiff::tz::TimeZone;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::boards::Boards;
use crate::grpc::board_to_wire;
use crate::metrics;
use crate::ownership::Ownership;

/// Runs looked at between two messages to watchers; the rest waits for the next round, and the proof with it.
const ROUND_RUNS_MAX: usize = 2_048;
/// Runs looked at at once.
const READS_IN_FLIGHT_MAX: usize = 64;
/// How long one look may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// A slot that could not be proved for so long is left: another shard may have it.
const UNPROVED_MAX: Duration = Duration::from_secs(3);
/// How often boards of past dates are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Recomputes the boards of changed runs.
#[derive(Debug)]
pub struct Keeper {
    boards: Arc<Boards>,
    engine: EngineHandle,
    ownership: Ownership,
    timing: Timing,
    /// How far the engine's changes have been taken in.
    cursor: u64,
    /// Runs whose board may be out of date.
    dirty: HashSet<Run>,
    slots: HashMap<SlotId, Proof>,
    caught_up: bool,
}

/// When the keeper does what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two rounds of new boards.
    pub board_interval: Duration,
    /// Between two proofs.
    pub verify_interval: Duration,
    /// Days after its service date that a run's board is kept.
    pub keep_past_days: u32,
}

/// What is known of a slot that has boards.
#[derive(Debug)]
struct Proof {
    /// A run to ask for the next proof: any will do.
    run: Run,
    epoch: Epoch,
    /// The database's time of the last answer; the boards hold then, once no run of the slot is dirty.
    asked: Time,
    /// The last time at which every board of the slot is known to hold.
    proved: Time,
    answered_at: Instant,
}

/// What one look at a run shows.
struct Look {
    board: Board,
    has_line: bool,
    is_sold: bool,
}

impl Keeper {
    /// A keeper that has seen nothing.
    pub fn new(boards: Arc<Boards>, engine: EngineHandle, ownership: Ownership, timing: Timing) -> Self {
        let (dirty, slots) = (HashSet::new(), HashMap::new());
        Self { boards, engine, ownership, timing, cursor: 0, dirty, slots, caught_up: false }
    }

    /// Keeps boards until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next_proof = Instant::now();
        let mut next_forgetting = Instant::now() + FORGET_EVERY;
        while !stop.is_cancelled() {
            // Proofs are asked for before the changes are taken in, a whole round earlier: whatever was committed before
            // a proof's time is among the changes then.
            if next_proof <= Instant::now() {
                next_proof = Instant::now() + self.timing.verify_interval;
                self.ask_for_proofs().await;
            }
            if stop.run_until_cancelled(tokio::time::sleep(self.timing.board_interval)).await.is_none() {
                return;
            }
            self.take_changes();
            self.look_at_dirty_runs().await;
            self.publish();
            if next_forgetting <= Instant::now() {
                next_forgetting = Instant::now() + FORGET_EVERY;
                self.forget_past();
            }
        }
    }

    /// Asks every slot that has boards whether it is still this shard's, and leaves those that are not.
    async fn ask_for_proofs(&mut self) {
        let owned = self.ownership.slots();
        let questions: Vec<(SlotId, Run)> = self.slots.iter().map(|(slot, proof)| (*slot, proof.run)).collect();
        let engine = &self.engine;
        let answers: Vec<(SlotId, Result<Viewed<()>, EngineError>)> = futures::stream::iter(questions)
            .map(|(slot, run)| async move { (slot, engine.read(run, READ_TIMEOUT, |_| ()).await) })
            .buffer_unordered(READS_IN_FLIGHT_MAX)
            .collect()
            .await;
        for (slot, answer) in answers {
            let Some(proof) = self.slots.get_mut(&slot) else { continue };
            match answer {
                Ok(seen) if owned.contains(&slot) => {
                    if seen.epoch != proof.epoch {
                        // Somebody else may have written in between.
                        proof.epoch = seen.epoch;
                        self.dirty.extend(self.boards.runs_of(slot));
                    }
                    proof.asked = seen.time;
                    proof.answered_at = Instant::now();
                }
                Err(error) if owned.contains(&slot) => {
                    let lost = error == EngineError::NotAnswered(Failure::NotOwner);
                    if lost || proof.answered_at.elapsed() > UNPROVED_MAX {
                        // Sent again as soon as somebody can say what they are.
                        self.dirty.extend(self.boards.runs_of(slot));
                        self.leave(slot);
                    }
                }
                _ => {
                    self.dirty.retain(|run| run.slot() != slot);
                    self.leave(slot);
                }
            }
        }
    }

    fn leave(&mut self, slot: SlotId) {
        tracing::info!(%slot, "the boards of a slot are not vouched for any more");
        self.slots.remove(&slot);
        self.boards.leave(slot);
    }

    fn take_changes(&mut self) {
        let since = self.engine.changes().since(self.cursor);
        self.cursor = since.cursor;
        if since.incomplete {
            tracing::warn!("changes were forgotten before boards took them in: every board is computed again");
            self.dirty.extend(self.boards.state.lock().by_run.keys().copied());
        }
        self.dirty.extend(since.runs.iter().map(|change| change.run));
    }

    async fn look_at_dirty_runs(&mut self) {
        let owned = self.ownership.slots();
        self.dirty.retain(|run| owned.contains(&run.slot()));
        let round: Vec<Run> = self.dirty.iter().take(ROUND_RUNS_MAX).copied().collect();
        let engine = &self.engine;
        let mut looks = futures::stream::iter(round)
            .map(|run| async move {
                let look = engine.read(run, READ_TIMEOUT, |train_date| Look {
                    board: train_date.board(),
                    has_line: train_date.waiting() > 0,
                    is_sold: train_date.is_taken(),
                });
                (run, look.await)
            })
            .buffer_unordered(READS_IN_FLIGHT_MAX);
        while let Some((run, look)) = looks.next().await {
            match look {
                Ok(seen) => {
                    self.dirty.remove(&run);
                    show(&self.boards, &mut self.slots, run, seen);
                }
                Err(EngineError::NotAnswered(Failure::Quarantined)) => {
                    // Nothing can be bought of it; the proofs of other runs must not wait for its repair.
                    self.dirty.remove(&run);
                    self.boards.withdraw(run);
                }
                // It stays dirty, and its slot without a new proof, until somebody can say.
                Err(error) => tracing::debug!(%run, %error, "a board could not be computed"),
            }
        }
    }

    fn publish(&mut self) {
        let dirty_slots: HashSet<SlotId> = self.dirty.iter().map(Run::slot).collect();
        for (slot, proof) in &mut self.slots {
            if !dirty_slots.contains(slot) {
                proof.proved = proof.proved.max(proof.asked);
            }
        }
        let occupancy = self.engine.occupancy();
        self.caught_up |=
            self.dirty.is_empty() && occupancy.slots_owned == occupancy.slots_assigned && occupancy.slots_assigned > 0;
        metrics::boards_dirty(self.dirty.len());
        self.boards.publish(self.slots.values().map(|proof| proof.proved).min(), self.caught_up);
    }

    fn forget_past(&self) {
        let Some(now) = self.slots.values().map(|proof| proof.asked).max() else { return };
        if let Some(date) = first_kept_date(now, self.timing.keep_past_days) {
            self.boards.forget_before(date);
        }
    }
}

fn show(boards: &Boards, slots: &mut HashMap<SlotId, Proof>, run: Run, seen: Viewed<Look>) {
    let Viewed { value: Look { board, has_line, is_sold }, epoch, version, time } = seen;
    // A run that is in the journal but was never put on sale has no board.
    if board.stops == 0 {
        return;
    }
    slots.entry(run.slot()).or_insert_with(|| Proof {
        run,
        epoch,
        asked: time,
        proved: time,
        answered_at: Instant::now(),
    });
    boards.put(run, board_to_wire(run, &board, epoch.0, version.0, time.millis()), has_line, is_sold);
}

/// The earliest service date whose boards are kept. Dates are counted in UTC: half a day more or less does not matter.
fn first_kept_date(now: Time, keep_days: u32) -> Option<ServiceDate> {
    let today = jiff::Timestamp::from_millisecond(now.millis()).ok()?.to_zoned(TimeZone::UTC).date();
    Some(ServiceDate::new(today).ok()?.plus_days(-i32::try_from(keep_days).ok()?))
}
