//! Holds and their releases on one long-lived stream: a hold costs a share of a message instead of a call.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use domain::Run;
use engine::{Answered, Decision, EngineHandle, ReplyQueue, Submission};
use inventory::{Answer, Command, Refusal, Segments};
use proto::common::v1 as common;
use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::{
    HoldResponse, HoldStreamAnswer, HoldStreamItem, HoldStreamRequest, HoldStreamResponse, ReleaseResponse,
};
use rpc::context::TraceContext;
use rpc::{Failure, encode_status};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::error::Error;
use crate::grpc::{Bounds, answer, answered_in_time, command};
use crate::ownership::Ownership;

/// The most holds in one message.
const ITEMS_MAX: usize = 256;
/// Refusals of sold-out intervals that a stream remembers in the words of the wire.
const SOLD_OUT_MAX: usize = 1_024;
/// How long a hold waits for the ring that its caller knows already.
const EARLY_WAIT_MAX: Duration = Duration::from_secs(1);

/// One stream of one caller. Nothing is spawned: it works while it is asked for its next message.
pub struct HoldStream {
    requests: Streaming<HoldStreamRequest>,
    /// Whether the caller may still send.
    open: bool,
    engine: EngineHandle,
    ownership: Ownership,
    replies: ReplyQueue,
    unanswered: usize,
    /// Holds of callers that know a newer ring than this shard, with until when they wait for it. Counted as unanswered.
    early: Vec<(HoldStreamItem, Instant)>,
    ring_versions: watch::Receiver<u64>,
    /// Cancelled when the shard leaves, and whether the caller was told.
    leaving: CancellationToken,
    told_leaving: bool,
    unanswered_max: usize,
    timeout_default: Duration,
    sold_out: SoldOut,
    /// The run that was named last: in a rush the next one is mostly the same.
    last_run: Option<(common::Run, Run)>,
}

impl HoldStream {
    /// Answers these requests. It reads no further while as many holds as the bounds allow have no answer.
    pub fn new(
        requests: Streaming<HoldStreamRequest>,
        engine: EngineHandle,
        ownership: Ownership,
        leaving: CancellationToken,
        bounds: Bounds,
    ) -> Self {
        let ring_versions = ownership.versions();
        Self {
            requests,
            open: true,
            engine,
            ownership,
            replies: ReplyQueue::new(),
            unanswered: 0,
            early: Vec::new(),
            ring_versions,
            leaving,
            told_leaving: false,
            unanswered_max: bounds.stream_holds_max,
            timeout_default: bounds.timeout_default,
            sold_out: SoldOut::default(),
            last_run: None,
        }
    }

    /// The next answers, or that the shard leaves; none once the caller has ended its side and everything is answered.
    pub async fn next(&mut self) -> Option<Result<HoldStreamResponse, Status>> {
        loop {
            let may_read = self.open && self.unanswered + ITEMS_MAX <= self.unanswered_max;
            if !may_read && self.unanswered == 0 {
                return None;
            }
            let answers = tokio::select! {
                () = self.leaving.cancelled(), if !self.told_leaving => {
                    self.told_leaving = true;
                    return Some(Ok(HoldStreamResponse { answers: Vec::new(), leaving: true }));
                }
                answered = self.replies.next(), if self.unanswered > self.early.len() => self.answers(answered),
                () = newer_ring(&mut self.ring_versions, &self.early), if !self.early.is_empty() => self.submit_early(),
                message = self.requests.message(), if may_read => match message {
                    Ok(Some(message)) => match self.submit(message) {
                        Ok(answers) => answers,
                        Err(failure) => {
                            self.open = false;
                            return Some(Err(failure.into()));
                        }
                    },
                    Ok(None) => {
                        self.open = false;
                        continue;
                    }
                    Err(status) => {
                        self.open = false;
                        return Some(Err(status));
                    }
                },
            };
            if !answers.is_empty() {
                return Some(Ok(HoldStreamResponse { answers, leaving: false }));
            }
        }
    }

    /// Hands the holds of a message to the engine; those that cannot be asked are answered at once.
    fn submit(&mut self, message: HoldStreamRequest) -> Result<Vec<HoldStreamAnswer>, Failure> {
        if message.items.len() > ITEMS_MAX {
            return Err(Failure::bad_field("items", format!("at most {ITEMS_MAX} holds in one message")));
        }
        let mut items = message.items;
        let until = Instant::now() + EARLY_WAIT_MAX;
        let early = items.extract_if(.., |item| self.is_early(item)).map(|item| (item, until)).collect::<Vec<_>>();
        self.unanswered += early.len();
        self.early.extend(early);
        Ok(self.hand_over(items))
    }

    /// Whether the caller knows a newer ring, by which the run may be this shard's.
    fn is_early(&self, item: &HoldStreamItem) -> bool {
        if !self.ownership.is_behind(Some(item.ring_version)) {
            return false;
        }
        let named = item.hold.as_ref().map(|hold| &hold.run).or(item.release.as_ref().map(|release| &release.run));
        let run = named.and_then(|run| command::run(run.as_ref()).ok());
        run.is_some_and(|run| self.ownership.check(run).is_err())
    }

    /// Asks for those again whose ring has come, and sends those on who have waited long enough.
    fn submit_early(&mut self) -> Vec<HoldStreamAnswer> {
        let now = Instant::now();
        let waiting = std::mem::take(&mut self.early);
        let (waiting, ripe): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(item, until)| *until > now && self.is_early(item));
        self.early = waiting;
        self.unanswered -= ripe.len();
        self.hand_over(ripe.into_iter().map(|(item, _)| item).collect())
    }

    fn hand_over(&mut self, items: Vec<HoldStreamItem>) -> Vec<HoldStreamAnswer> {
        let mut answers = Vec::new();
        let mut submissions = Vec::with_capacity(items.len());
        for item in &items {
            match self.submission(item) {
                Ok(submission) => submissions.push(submission),
                Err(error) => answers.push(refused(item.correlation, error)),
            }
        }
        self.unanswered += submissions.len();
        self.engine.submit_all(submissions, &self.replies);
        answers
    }

    fn submission(&mut self, item: &HoldStreamItem) -> Result<Submission, Error> {
        let (named, command) = match (&item.hold, &item.release) {
            (Some(hold), _) => (hold.run.as_ref(), command::hold(hold).map(Command::Hold)),
            (None, Some(release)) => (release.run.as_ref(), command::release(release)),
            (None, None) => return Err(Error::Plan { field: "hold", message: "missing".to_owned() }),
        };
        let run = self.run(named)?;
        self.ownership.check(run)?;
        let timeout = match item.timeout_ms {
            0 => self.timeout_default,
            millis => answered_in_time(Duration::from_millis(millis.into()).min(self.timeout_default)),
        };
        let trace = item.traceparent.parse().ok().map(TraceContext::bytes);
        Ok(Submission { correlation: item.correlation, run, command: command?, trace, timeout })
    }

    fn run(&mut self, named: Option<&common::Run>) -> Result<Run, Error> {
        match (&self.last_run, named) {
            (Some((last, run)), Some(named)) if last == named => Ok(*run),
            _ => {
                let run = command::run(named)?;
                self.last_run = named.map(|named| (named.clone(), run));
                Ok(run)
            }
        }
    }

    fn answers(&mut self, answered: Vec<Answered>) -> Vec<HoldStreamAnswer> {
        self.unanswered -= answered.len();
        answered
            .into_iter()
            .map(|Answered { correlation, result }| {
                let outcome = match result.map_err(|error| self.ownership.explain(error)).and_then(outcome) {
                    Ok(outcome) => outcome,
                    Err(error) => Outcome::Status(self.sold_out.encode(error)),
                };
                HoldStreamAnswer { correlation, outcome: Some(outcome) }
            })
            .collect()
    }
}

/// What was said before to those who asked for a sold-out interval: in a rush nearly every answer is one of a few.
#[derive(Default)]
struct SoldOut(HashMap<(u16, Segments), Bytes>);

impl SoldOut {
    fn encode(&mut self, error: Error) -> Bytes {
        let Error::Refused(Refusal::SoldOut { free, segments }) = error else { return encoded(error) };
        if let Some(known) = self.0.get(&(free, segments)) {
            return known.clone();
        }
        if self.0.len() >= SOLD_OUT_MAX {
            self.0.clear();
        }
        self.0.entry((free, segments)).insert_entry(encoded(error)).get().clone()
    }
}

/// Waits for a newer ring, or until the first of those who wait for one has waited long enough.
async fn newer_ring(versions: &mut watch::Receiver<u64>, early: &[(HoldStreamItem, Instant)]) {
    let first = early.iter().map(|(_, until)| *until).min().unwrap_or_else(Instant::now);
    // Whichever it is, and even if no ring will ever come: the caller looks.
    let _ = tokio::time::timeout_at(first, versions.changed()).await;
}

/// The answer to a hold or a release that was decided.
fn outcome(decision: Decision) -> Result<Outcome, Error> {
    match decision.answer()? {
        Answer::Held(held) => Ok(Outcome::Held(answer::held(&held))),
        Answer::Released => Ok(Outcome::Released(ReleaseResponse {})),
        other => unreachable!("a hold or a release is answered by {other:?}"),
    }
}

/// The answer to a hold that was decided.
///
/// # Errors
/// The refusal.
pub fn held(decision: Decision) -> Result<HoldResponse, Error> {
    match decision.answer()? {
        Answer::Held(held) => Ok(answer::held(&held)),
        other => unreachable!("a hold is answered by {other:?}"),
    }
}

fn refused(correlation: u64, error: Error) -> HoldStreamAnswer {
    HoldStreamAnswer { correlation, outcome: Some(Outcome::Status(encoded(error))) }
}

fn encoded(error: Error) -> Bytes {
    encode_status(&Status::from(error))
}
