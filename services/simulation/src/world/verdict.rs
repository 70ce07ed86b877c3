//! The verdict: what was answered and written down, against the invariants.

use std::collections::BTreeMap;

use domain::Run;
use ownership::{Outcome, Protocol, Reply, Version};

use super::clients::Said;
use super::{World, slots};
use crate::subject::Subject;

/// How late a refusal or read may be after a take-over, in µs.
const LATE_MAX_US: u64 = 1_000_000;

/// A run's states one after the other, with the version that each belongs to.
type States<N> = Vec<(Version, N)>;

impl<S: Subject, P: Protocol> World<S, P> {
    /// A refusal, read or repeat leaves a node: for at most a second after another node has claimed the slot.
    pub(super) fn check_proof(&mut self, node: usize, run: &Run, reply: &Reply<S>) {
        if matches!(reply.outcome, Outcome::Accepted(_)) {
            return;
        }
        let incarnation = self.nodes[node].incarnation;
        let Some(stream) = self.journal.streams.get(&run.slot()) else { return };
        let own = stream.claims.iter().rposition(|claim| claim.owner == incarnation && claim.epoch <= reply.epoch);
        let after = own.map_or(0, |own| own + 1);
        let taken = stream.claims[after..].iter().find(|claim| claim.owner != incarnation);
        if let Some(claim) = taken
            && self.now > claim.applied_at + LATE_MAX_US
        {
            let late = (self.now - claim.applied_at) / 1_000;
            self.breaks(format!("a refusal or read left {late} ms after another owner had claimed the slot"));
        }
    }

    /// Whatever an answer rests on must be durable when it leaves.
    pub(super) fn check_durable(&mut self, run: &Run, reply: &Reply<S>) {
        let durable = self.journal.streams.get(&run.slot()).map_or(Version(0), |stream| stream.head.version);
        if reply.version > durable {
            self.breaks(format!("an answer rests on version {}, the journal ends at {durable}", reply.version));
        }
    }

    pub(super) fn judge(&mut self) {
        let verdict = self.verdict();
        if let Err(broken) = verdict {
            self.breaks(broken);
        }
    }

    fn verdict(&self) -> Result<(), String> {
        self.check_chains()?;
        let mut states = BTreeMap::new();
        for run in S::runs() {
            states.insert(*run, self.retell(run)?);
        }
        self.check_promises()?;
        self.check_refused()?;
        self.check_answers(&states)?;
        self.check_replay()?;
        self.check_liveness()
    }

    /// I7: contiguous versions, and every batch follows the one its writer believed in.
    fn check_chains(&self) -> Result<(), String> {
        for (slot, stream) in &self.journal.streams {
            let mut tail = ownership::BatchId::default();
            for (expected, (version, batch)) in (1..).zip(&stream.batches) {
                if version.0 != expected {
                    return Err(format!("I7: slot {slot} lacks version {expected}"));
                }
                if batch.previous != tail {
                    return Err(format!(
                        "I7: version {version} of slot {slot} follows another batch than its writer knew"
                    ));
                }
                tail = batch.id;
            }
        }
        Ok(())
    }

    /// I1, I4 and time: the run's story, told naively.
    fn retell(&self, run: &Run) -> Result<States<S::Naive>, String> {
        let mut naive = S::Naive::default();
        let mut states = vec![(Version(0), naive.clone())];
        let Some(stream) = self.journal.streams.get(&run.slot()) else { return Ok(states) };
        for (version, batch) in stream.batches.iter().filter(|(_, batch)| batch.runs.contains(run)) {
            for record in S::decode(run, &batch.payload)? {
                S::note(&mut naive, &record, batch.time)
                    .map_err(|broken| format!("{run} version {version}: {broken}"))?;
                states.push((*version, naive.clone()));
            }
        }
        Ok(states)
    }

    /// I7: what was promised is durable still.
    fn check_promises(&self) -> Result<(), String> {
        for op in self.ops.iter().filter(|op| op.promised.is_some()) {
            let Some(command) = &op.command else { continue };
            let id = S::id_of(command);
            let held = self.accepted.get(&(op.run, id)).copied();
            let stream = self.journal.streams.get(&op.run.slot());
            let still = held.zip(stream).is_some_and(|((version, _), stream)| stream.batches.contains_key(&version));
            if !still {
                return Err(format!("I7: request {id} was accepted and is in the journal no more"));
            }
        }
        Ok(())
    }

    /// I10: what was refused has left nothing behind.
    fn check_refused(&self) -> Result<(), String> {
        // With one message alone nothing else can have been accepted.
        for op in self.ops.iter().filter(|op| op.refused && op.messages == 1 && !op.is_forgery) {
            let Some(command) = &op.command else { continue };
            let id = S::id_of(command);
            if S::has_own_id(command) && self.accepted.contains_key(&(op.run, id)) {
                return Err(format!("I10: request {id} was refused and is in the journal"));
            }
        }
        Ok(())
    }

    /// Every refusal and view must be right for a state that was durable, and not older than it may be.
    fn check_answers(&self, states: &BTreeMap<Run, States<S::Naive>>) -> Result<(), String> {
        for answered in &self.answered {
            let Some(states) = states.get(&answered.run) else { continue };
            let Some(stream) = self.journal.streams.get(&answered.run.slot()) else { continue };
            let missed = stream.batches.range(answered.version.next()..).find(|(_, batch)| {
                let allowed = if batch.epoch > answered.epoch { LATE_MAX_US } else { 0 };
                batch.runs.contains(&answered.run) && batch.applied_at + allowed < answered.submitted_at
            });
            if let Some((version, _)) = missed {
                return Err(format!(
                    "an answer about {} from version {} missed version {version}, which was durable before it was asked",
                    answered.run, answered.version
                ));
            }
            // The state before the version, and every one within it.
            let after = states.partition_point(|(version, _)| *version <= answered.version);
            let last = states[after - 1].0;
            let first = states.partition_point(|(version, _)| *version < last).saturating_sub(1);
            let from = if last == answered.version { first } else { after - 1 };
            let possible = states[from..after].iter().map(|(_, state)| state);
            let mut possible = possible;
            let right = match (&answered.said, &self.ops[answered.op].command) {
                (Said::Viewed(digest), _) => possible.any(|state| S::naive_digest(state) == *digest),
                (Said::Refused(refusal), Some(command)) => {
                    possible.any(|state| S::is_justified(state, command, refusal))
                }
                (Said::Refused(_), None) => true,
            };
            if !right {
                let what = if matches!(answered.said, Said::Viewed(_)) { "view" } else { "refusal" };
                return Err(format!(
                    "a {what} of {} at version {} fits no state there was",
                    answered.run, answered.version
                ));
            }
        }
        Ok(())
    }

    /// I6: replayed from the first batch, from each snapshot, and in an owner's memory, a run is the same.
    fn check_replay(&self) -> Result<(), String> {
        for run in S::runs() {
            let from_zero = self.replay(run, None)?;
            let whole = from_zero.state_hash();
            for (at, snapshot) in self.journal.snapshots.range((*run, Version(0))..=(*run, Version(u64::MAX))) {
                let Ok(restored) = S::restore(*run, &snapshot.payload) else { continue };
                let later = self.replay(run, Some((at.1, restored)))?;
                if later.state_hash() != whole {
                    return Err(format!("I6: {run} from its snapshot of version {} differs from its journal", at.1));
                }
            }
            let Some(owner) = self.routes.get(&run.slot()).and_then(|node| self.nodes[*node].owner.as_ref()) else {
                continue;
            };
            let head = self.journal.streams.get(&run.slot()).map_or(Version(0), |stream| stream.head.version);
            if owner.peek(run).is_some_and(|(live, touched)| touched <= head && live.state_hash() != whole) {
                return Err(format!("I6: {run} in memory differs from its journal"));
            }
        }
        Ok(())
    }

    fn replay(&self, run: &Run, snapshot: Option<(Version, S)>) -> Result<S, String> {
        let (after, mut state) = snapshot.unwrap_or_else(|| (Version(0), S::new(*run)));
        let Some(stream) = self.journal.streams.get(&run.slot()) else { return Ok(state) };
        for (version, batch) in stream.batches.range(after.next()..).filter(|(_, batch)| batch.runs.contains(run)) {
            state
                .replay(*version, &batch.payload)
                .map_err(|damaged| format!("I6: {run} version {version}: {damaged}"))?;
        }
        Ok(state)
    }

    /// After the storm everything works again: probes are answered.
    fn check_liveness(&self) -> Result<(), String> {
        if let Some(probe) = self.ops.iter().find(|op| op.is_probe && !op.answered) {
            return Err(format!("a probe of {} was not answered though the storm is long over", probe.run));
        }
        for slot in slots::<S>() {
            if !self.journal.streams.contains_key(&slot) {
                return Err(format!("slot {slot} was never claimed"));
            }
        }
        Ok(())
    }

    /// What should have lapsed has lapsed, though nobody has asked for the run since the storm.
    pub(super) fn check_overdue(&mut self) {
        let now = self.database_time();
        for run in S::runs() {
            let last = self.retell(run).map(|states| states.into_iter().next_back());
            let broken = match last {
                Ok(last) => last.and_then(|(_, state)| S::overdue(&state, now)).map(|late| format!("{run}: {late}")),
                Err(broken) => Some(broken),
            };
            if let Some(broken) = broken {
                self.breaks(broken);
            }
        }
    }
}
