use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Decision, EngineError, uptime};

/// One answer of a [`ReplyQueue`].
#[derive(Clone, Debug)]
pub struct Answered {
    /// The request's number.
    pub correlation: u64,
    /// The answer.
    pub result: Result<Decision, EngineError>,
}

/// Where the answers to many requests of one asker come together, in the order in which they became certain: what a
/// stream of holds reads from.
///
/// It holds at most as many answers as the asker has requests unanswered; keeping those within bounds is the asker's part.
#[derive(Clone, Debug, Default)]
pub struct ReplyQueue {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    answers: Mutex<Vec<(Answered, Option<ownership::Uptime>)>>,
    arrived: Notify,
}

impl ReplyQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until there is an answer, and takes all there are.
    pub async fn next(&self) -> Vec<Answered> {
        loop {
            let answers = self.take();
            if !answers.is_empty() {
                return answers;
            }
            self.inner.arrived.notified().await;
        }
    }

    /// Takes the answers there are.
    pub fn take(&self) -> Vec<Answered> {
        let answers = {
            let mut answers = self.inner.answers.lock();
            if answers.is_empty() {
                return Vec::new();
            }
            // As much room as was needed this time.
            let room = Vec::with_capacity(answers.len());
            std::mem::replace(&mut *answers, room)
        };
        let now = uptime::now();
        answers
            .into_iter()
            .map(|(mut answered, valid_until)| {
                if valid_until.is_some_and(|until| now > until) {
                    answered.result = Err(EngineError::UNAVAILABLE);
                }
                answered
            })
            .collect()
    }

    pub(crate) fn push(
        &self,
        correlation: u64,
        result: Result<Decision, EngineError>,
        valid_until: Option<ownership::Uptime>,
    ) {
        let mut answers = self.inner.answers.lock();
        let first = answers.is_empty();
        answers.push((Answered { correlation, result }, valid_until));
        drop(answers);
        if first {
            self.inner.arrived.notify_one();
        }
    }
}
