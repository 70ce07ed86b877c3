use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::{
    HoldRequest, HoldStreamAnswer, HoldStreamItem, HoldStreamRequest, HoldStreamResponse, ReleaseRequest,
};
use rpc::{CallContext, Failure, reason};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::router::Shard;

/// Holds in one message: the wire contract's bound.
const BATCH_ITEMS_MAX: usize = 256;
/// Holds that wait to be sent.
const QUEUE_ITEMS_MAX: usize = 4_096;
/// Holds sent and not answered yet.
const IN_FLIGHT_MAX: usize = 16_384;
/// A stream that is not open after so long has failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after a stream that failed; meanwhile holds go as unary calls.
const REOPEN_PAUSE: Duration = Duration::from_millis(250);
/// How long a caller waits when the call brings no deadline.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How long a stream on which nothing more is sent waits for the answers to what was: no caller waits longer.
const DRAIN_MAX: Duration = TIMEOUT_DEFAULT;
/// A stream is replaced by a new one after so long: before the shard would end it in the middle of its answers.
const STREAM_AGE_MAX: Duration = Duration::from_secs(20 * 60);

/// The sending end of one shard's stream.
#[derive(Debug)]
pub(crate) struct Line {
    queue: mpsc::Sender<Waiting>,
    up: Arc<AtomicBool>,
}

/// What may be asked on a line.
#[derive(Clone)]
pub(crate) enum Asked {
    Hold(HoldRequest),
    Release(ReleaseRequest),
}

/// What came of giving a request to a line.
pub(crate) enum Sent {
    /// The stream answered, or broke: then the answer is UNAVAILABLE.
    Answered(Box<Result<Outcome, Status>>),
    /// The stream is not up: nothing was sent, and what was asked may be asked otherwise.
    Down(Asked),
}

/// A request and who waits for its answer.
struct Waiting {
    asked: Asked,
    deadline: Instant,
    traceparent: String,
    ring_version: u64,
    answer: Asker,
}

/// Who waits for an answer.
type Asker = oneshot::Sender<Told>;

/// What those who wait are told.
enum Told {
    Answer(Result<Outcome, Status>),
    /// The request was never sent.
    Unsent(Asked),
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By itself: the next one may fare no better.
    Broken,
    /// In order: everything that was sent was answered, or had its time.
    Drained,
}

/// The task behind a line.
pub(crate) struct LineDriver {
    shard: Arc<Shard>,
    queue: mpsc::Receiver<Waiting>,
    up: Arc<AtomicBool>,
}

impl Line {
    pub fn new(shard: Arc<Shard>) -> (Self, LineDriver) {
        let (sender, receiver) = mpsc::channel(QUEUE_ITEMS_MAX);
        let up = Arc::new(AtomicBool::new(false));
        (Self { queue: sender, up: Arc::clone(&up) }, LineDriver { shard, queue: receiver, up })
    }

    pub async fn ask(&self, asked: Asked) -> Sent {
        if !self.up.load(Ordering::Acquire) {
            return Sent::Down(asked);
        }
        let context = CallContext::current();
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + TIMEOUT_DEFAULT);
        let traceparent = context.trace.map(|trace| trace.to_string()).unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        let ring_version = context.ring_version.unwrap_or(0);
        let waiting = Waiting { asked, deadline, traceparent, ring_version, answer };
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(waiting)) => return Sent::Down(waiting.asked),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let message = "as many holds wait for the shard as may wait";
                return answered_with(Failure::unavailable(reason::OVERLOADED, message, 200));
            }
        }
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(Told::Answer(answer))) => Sent::Answered(Box::new(answer)),
            Ok(Ok(Told::Unsent(asked))) => Sent::Down(asked),
            Ok(Err(_)) => answered_with(broken()),
            Err(_) => answered_with(Failure::new(
                Code::DeadlineExceeded,
                reason::DEADLINE_EXCEEDED,
                "the deadline passed before the shard answered",
            )),
        }
    }
}

fn answered_with(failure: Failure) -> Sent {
    Sent::Answered(Box::new(Err(failure.into())))
}

/// Nobody knows whether the hold was taken, or given back: repeating its id tells.
pub(crate) fn broken() -> Failure {
    Failure::unavailable(reason::UNREACHABLE, "the stream to the shard broke before it answered", 0)
}

impl LineDriver {
    /// Keeps the stream up until it is stopped; then what was sent is waited for, and what was not goes back.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = self.one_stream(&stop).await;
            self.up.store(false, Ordering::Release);
            // Whoever slipped in while the stream went down.
            while let Ok(waiting) = self.queue.try_recv() {
                reply(waiting.answer, Told::Unsent(waiting.asked));
            }
            if ended == Ended::Broken {
                // Whether it is stopped meanwhile is asked next.
                let _ = stop.run_until_cancelled(tokio::time::sleep(REOPEN_PAUSE)).await;
            }
        }
        self.queue.close();
        while let Some(waiting) = self.queue.recv().await {
            reply(waiting.answer, Told::Unsent(waiting.asked));
        }
    }

    /// Opens a stream and drives it until it ends.
    async fn one_stream(&mut self, stop: &CancellationToken) -> Ended {
        let (messages, outgoing) = mpsc::channel(1);
        let mut client = self.shard.client();
        let opening = tokio::time::timeout(OPEN_TIMEOUT, client.hold_stream(ReceiverStream::new(outgoing)));
        let answers = match stop.run_until_cancelled(opening).await {
            Some(Ok(Ok(answers))) => answers.into_inner(),
            Some(Ok(Err(status))) => {
                tracing::debug!(shard = %self.shard.id, %status, "the stream of holds could not be opened");
                return Ended::Broken;
            }
            Some(Err(_)) | None => return Ended::Broken,
        };
        self.up.store(true, Ordering::Release);
        self.drive(messages, answers, stop).await
    }

    async fn drive(
        &mut self,
        messages: mpsc::Sender<HoldStreamRequest>,
        mut answers: Streaming<HoldStreamResponse>,
        stop: &CancellationToken,
    ) -> Ended {
        let mut unanswered = Unanswered::default();
        let mut batch = Vec::with_capacity(BATCH_ITEMS_MAX);
        let old = tokio::time::sleep(STREAM_AGE_MAX);
        tokio::pin!(old);
        let ended = loop {
            if unanswered.waiters.len() >= IN_FLIGHT_MAX {
                unanswered.forget_the_gone();
            }
            let room = unanswered.waiters.len() < IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                message = answers.message() => match message {
                    Ok(Some(message)) => {
                        let leaving = message.leaving;
                        unanswered.settle_all(message);
                        if leaving {
                            tracing::info!(shard = %self.shard.id, "the shard leaves: its stream of holds is drained");
                            // One that comes back is found by the next stream, after the usual pause.
                            break Ended::Broken;
                        }
                    }
                    // Dropping the waiters tells them.
                    Ok(None) | Err(_) => return Ended::Broken,
                },
                () = stop.cancelled() => break Ended::Drained,
                () = &mut old => break Ended::Drained,
                permit = gather(&messages, &mut self.queue, &mut batch), if room => {
                    let Some(permit) = permit else { return Ended::Broken };
                    let mut items = Vec::with_capacity(batch.len());
                    let now = Instant::now();
                    items.extend(batch.drain(..).filter_map(|waiting| unanswered.number(waiting, now)));
                    permit.send(HoldStreamRequest { items });
                }
            }
        };
        self.drain(messages, answers, unanswered).await;
        ended
    }

    /// Sends nothing more, and waits for the answers to what was sent: the shard ends the stream after the last. What comes
    /// meanwhile goes back to its callers.
    async fn drain(
        &mut self,
        messages: mpsc::Sender<HoldStreamRequest>,
        mut answers: Streaming<HoldStreamResponse>,
        mut unanswered: Unanswered,
    ) {
        self.up.store(false, Ordering::Release);
        // Ends this side of the stream, once what was given to it has left.
        drop(messages);
        let answered = async {
            loop {
                tokio::select! {
                    biased;
                    message = answers.message() => {
                        let Ok(Some(message)) = message else { return };
                        unanswered.settle_all(message);
                    }
                    Some(waiting) = self.queue.recv() => reply(waiting.answer, Told::Unsent(waiting.asked)),
                }
            }
        };
        // Whoever is not answered by then has given up.
        let _ = tokio::time::timeout(DRAIN_MAX, answered).await;
    }
}

/// Waits until a message can go out and there is something to put in it: what came meanwhile goes together.
async fn gather<'a>(
    messages: &'a mpsc::Sender<HoldStreamRequest>,
    queue: &mut mpsc::Receiver<Waiting>,
    batch: &mut Vec<Waiting>,
) -> Option<mpsc::Permit<'a, HoldStreamRequest>> {
    let permit = messages.reserve().await.ok()?;
    // Safe to drop while it waits: nothing has been taken from the queue then.
    if queue.recv_many(batch, BATCH_ITEMS_MAX).await == 0 { None } else { Some(permit) }
}

/// Who waits, by correlation number.
#[derive(Default)]
struct Unanswered {
    waiters: HashMap<u64, Asker>,
    last: u64,
}

impl Unanswered {
    /// Gives a request its number; none when its caller has gone or its deadline has passed.
    fn number(&mut self, waiting: Waiting, now: Instant) -> Option<HoldStreamItem> {
        let Waiting { asked, deadline, traceparent, ring_version, answer } = waiting;
        let timeout = deadline.saturating_duration_since(now);
        if answer.is_closed() || timeout.is_zero() {
            return None;
        }
        self.last += 1;
        self.waiters.insert(self.last, answer);
        // At least 1: 0 would mean the default.
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        let (hold, release) = match asked {
            Asked::Hold(hold) => (Some(hold), None),
            Asked::Release(release) => (None, Some(release)),
        };
        Some(HoldStreamItem { correlation: self.last, timeout_ms, hold, traceparent, release, ring_version })
    }

    fn settle_all(&mut self, message: HoldStreamResponse) {
        message.answers.into_iter().for_each(|answer| self.settle(answer));
    }

    fn settle(&mut self, answer: HoldStreamAnswer) {
        let Some(waiter) = self.waiters.remove(&answer.correlation) else { return };
        let outcome = match answer.outcome {
            Some(outcome @ (Outcome::Held(_) | Outcome::Released(_))) => Ok(outcome),
            Some(Outcome::Status(encoded)) => Err(rpc::decode_status(&encoded)),
            None => Err(broken().into()),
        };
        reply(waiter, Told::Answer(outcome));
    }

    fn forget_the_gone(&mut self) {
        self.waiters.retain(|_, waiter| !waiter.is_closed());
    }
}

fn reply(waiter: Asker, told: Told) {
    // A caller that has gone needs no answer: its hold lapses, or its repetition finds it.
    let _ = waiter.send(told);
}
