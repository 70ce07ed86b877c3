use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Run, SlotId};
use inventory::{Command, TrainDate};
use journal::Journal;
use ownership::{Occupancy, Priority, Reply, Request, Work};
use tokio::sync::{mpsc, oneshot, watch};
use train_date::{Look, OwnedTrainDate, TracedCommand, priority};

use crate::handovers::Handovers;
use crate::lane::{Message, ReplyTo};
use crate::{Changes, Decision, EngineError, EngineMetrics, Handover, ReplyQueue, Viewed, uptime};

/// Asks an engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    pub(crate) lanes: Arc<[LaneHandle]>,
    pub(crate) assigned: Arc<watch::Sender<BTreeSet<SlotId>>>,
    pub(crate) changes: Changes,
    pub(crate) metrics: Arc<EngineMetrics>,
    pub(crate) handovers: Handovers,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) journal_timeout: Duration,
    pub(crate) warm_runs_max: usize,
}

#[derive(Debug)]
pub(crate) struct LaneHandle {
    pub inbox: mpsc::Sender<Message>,
    pub occupancy: watch::Receiver<Occupancy>,
}

/// One command of [`EngineHandle::submit_all`].
#[derive(Debug)]
pub struct Submission {
    /// Comes back with the answer.
    pub correlation: u64,
    /// The train-date.
    pub run: Run,
    /// The command.
    pub command: Command,
    /// W3C trace context of the request: 16 bytes of trace id, 8 of span id.
    pub trace: Option<[u8; 24]>,
    /// How long the asker waits.
    pub timeout: Duration,
}

impl EngineHandle {
    /// Has a command decided, and waits until the decision is certain.
    ///
    /// # Errors
    /// No decision within `timeout`, or none possible; see [`ownership::Failure`].
    pub async fn submit(
        &self,
        run: Run,
        trace: Option<[u8; 24]>,
        command: Command,
        timeout: Duration,
    ) -> Result<Decision, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let request = request(run, trace, command, timeout, ReplyTo::Command(sender));
        self.send(run.slot(), Message::Submit(request))?;
        let reply = receiver.await.map_err(|_| EngineError::Closed)??;
        still_valid(&reply)?;
        Ok(decision(reply))
    }

    /// Has many commands decided. Each answer, failures included, goes to `replies` with its number.
    pub fn submit_all(&self, submissions: impl IntoIterator<Item = Submission>, replies: &ReplyQueue) {
        let submissions = submissions.into_iter();
        let (most, _) = submissions.size_hint();
        let mut by_lane: Vec<Vec<Request<OwnedTrainDate, ReplyTo>>> = Vec::new();
        by_lane.resize_with(self.lanes.len(), Vec::new);
        for Submission { correlation, run, command, trace, timeout } in submissions {
            let reply_to = ReplyTo::Queue { queue: replies.clone(), correlation };
            let requests = &mut by_lane[self.lane_of(run.slot())];
            if requests.is_empty() {
                // In a rush all of them are for one train.
                requests.reserve_exact(most);
            }
            requests.push(request(run, trace, command, timeout, reply_to));
        }
        for (lane, requests) in by_lane.into_iter().enumerate().filter(|(_, requests)| !requests.is_empty()) {
            let error = match self.lanes[lane].inbox.try_send(Message::SubmitAll(requests)) {
                Ok(()) => continue,
                Err(mpsc::error::TrySendError::Full(message)) => (message, EngineError::OVERLOADED),
                Err(mpsc::error::TrySendError::Closed(message)) => (message, EngineError::Closed),
            };
            if let (Message::SubmitAll(requests), error) = error {
                requests.into_iter().for_each(|request| request.reply_to.fail(error));
            }
        }
    }

    /// Looks at a run, uncommitted changes included, and waits until what was seen is durable and the slot known to be
    /// still this engine's. A run that nothing was ever recorded about is shown as new.
    ///
    /// # Errors
    /// Nothing certain within `timeout`, or nothing to be known here; see [`ownership::Failure`].
    pub async fn read<T: Send + 'static>(
        &self,
        run: Run,
        timeout: Duration,
        look: impl FnOnce(&TrainDate) -> T + Send + 'static,
    ) -> Result<Viewed<T>, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let query = Box::new(move |train_date: &TrainDate| Box::new(look(train_date)) as Box<dyn Any + Send>);
        let request = Request {
            run,
            work: Work::Query(query as Look),
            reply_to: ReplyTo::Command(sender),
            deadline: uptime::now().plus_millis(millis(timeout)),
            priority: Priority::Read,
        };
        self.send(run.slot(), Message::Submit(request))?;
        let reply = receiver.await.map_err(|_| EngineError::Closed)??;
        still_valid(&reply)?;
        let Reply { outcome: ownership::Outcome::Viewed(value), epoch, version, time, .. } = reply else {
            unreachable!("a query is answered by a view");
        };
        let value = *value.downcast().expect("the view is what this query's own closure returned");
        Ok(Viewed { value, epoch, version, time })
    }

    /// Sets which slots this engine is meant to own: the ring's word. New ones are claimed as soon as their owner has given
    /// them up, or has had its time to; others are drained: nothing new is admitted, what is under way is finished, and the
    /// slot is given up.
    pub async fn own(&self, slots: BTreeSet<SlotId>) {
        self.own_among(slots, None).await;
    }

    /// As [`Self::own`], where it is known which owners are alive: a slot of one that is not among them is taken at once.
    pub async fn own_among(&self, slots: BTreeSet<SlotId>, alive: Option<Arc<BTreeSet<String>>>) {
        for (index, lane) in self.lanes.iter().enumerate() {
            let slots = slots.iter().copied().filter(|slot| self.lane_of(*slot) == index).collect();
            let (noted, taken_in) = oneshot::channel();
            // A lane that is gone owns nothing.
            let _ = lane.inbox.send(Message::Own { slots, alive: alive.clone(), noted }).await;
            let _ = taken_in.await;
        }
        self.assigned.send_replace(slots);
    }

    /// The slots that this engine took or gave away in the last `span`, oldest first.
    pub fn handovers(&self, span: Duration) -> Vec<Handover> {
        self.handovers.within(span)
    }

    /// Waits until every slot this engine is meant to own has been claimed.
    pub async fn owned(&self) {
        self.wait_for(|occupancy| occupancy.slots_owned == occupancy.slots_assigned).await;
    }

    /// Gives every slot up and waits until everything is durable and nothing under way.
    pub async fn drain(&self) {
        self.own(BTreeSet::new()).await;
        self.wait_for(|occupancy| occupancy.slots_assigned == 0).await;
    }

    /// Has a quarantined run loaded anew: it has been repaired in the journal by a compensating event.
    pub async fn reload(&self, run: Run) {
        let lane = &self.lanes[self.lane_of(run.slot())];
        // A lane that is gone has no runs.
        let _ = lane.inbox.send(Message::Reload(run)).await;
    }

    /// Which runs have changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The engine's counters.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.metrics
    }

    /// How full the engine is, all lanes together.
    pub fn occupancy(&self) -> Occupancy {
        self.lanes.iter().map(|lane| *lane.occupancy.borrow()).fold(Occupancy::default(), |sum, lane| Occupancy {
            slots_owned: sum.slots_owned + lane.slots_owned,
            slots_assigned: sum.slots_assigned + lane.slots_assigned,
            requests_queued: sum.requests_queued + lane.requests_queued,
            runs_cached: sum.runs_cached + lane.runs_cached,
            runs_loading: sum.runs_loading + lane.runs_loading,
        })
    }

    async fn wait_for(&self, reached: impl Fn(&Occupancy) -> bool) {
        for lane in self.lanes.iter() {
            // A lane that is gone has nothing left to do.
            let _ = lane.occupancy.clone().wait_for(|occupancy| reached(occupancy)).await;
        }
    }

    fn send(&self, slot: SlotId, message: Message) -> Result<(), EngineError> {
        self.lanes[self.lane_of(slot)].inbox.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EngineError::OVERLOADED,
            mpsc::error::TrySendError::Closed(_) => EngineError::Closed,
        })
    }

    pub(crate) fn lane_of(&self, slot: SlotId) -> usize {
        usize::from(slot.number()) % self.lanes.len()
    }
}

fn request(
    run: Run,
    trace: Option<[u8; 24]>,
    command: Command,
    timeout: Duration,
    reply_to: ReplyTo,
) -> Request<OwnedTrainDate, ReplyTo> {
    Request {
        run,
        priority: priority(&command),
        work: Work::Command(TracedCommand { command, trace }),
        reply_to,
        deadline: uptime::now().plus_millis(millis(timeout)),
    }
}

fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX / 2_000)
}

/// A refusal or read that was delayed on its way here may be true no more.
fn still_valid(reply: &Reply<OwnedTrainDate>) -> Result<(), EngineError> {
    match reply.valid_until {
        Some(until) if uptime::now() > until => Err(EngineError::UNAVAILABLE),
        _ => Ok(()),
    }
}

pub(crate) fn decision(reply: Reply<OwnedTrainDate>) -> Decision {
    let outcome = match reply.outcome {
        ownership::Outcome::Accepted(answer) => crate::Outcome::Accepted(answer),
        ownership::Outcome::Repeated(answer) => crate::Outcome::Repeated(answer),
        ownership::Outcome::Refused(refusal) => crate::Outcome::Refused(refusal),
        ownership::Outcome::Viewed(_) => unreachable!("a command is not answered by a view"),
    };
    Decision { outcome, epoch: reply.epoch, version: reply.version, time: reply.time }
}
