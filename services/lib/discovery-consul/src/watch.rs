use std::sync::Arc;
use std::time::Duration;

use discovery::{StoreError, View};
use http::StatusCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ConsulOptions;
use crate::api::{Answer, Api};
use crate::wire::{self, KeyValue};

/// A blocking query that comes back at once every time is not repeated faster than this.
const BETWEEN_QUERIES: Duration = Duration::from_millis(10);

/// What the two watchers have last seen.
#[derive(Debug)]
pub struct Watched {
    view: watch::Sender<View>,
    /// Whether the health query and the record query were answered last time.
    answered: watch::Sender<[bool; 2]>,
}

#[derive(Clone, Copy, Debug)]
pub enum Subject {
    Health,
    Record,
}

impl Watched {
    pub fn new() -> Self {
        Self { view: watch::Sender::new(View::default()), answered: watch::Sender::new([false; 2]) }
    }

    pub fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Shows what a query brought, or that it failed: the rest stays as it was seen.
    fn show(&self, subject: Subject, seen: Result<impl FnOnce(&mut View), StoreError>) {
        // One watcher at a time: what is reached depends on both.
        self.answered.send_modify(|answered| {
            answered[subject as usize] = seen.is_ok();
            let reached = answered.iter().all(|answered| *answered);
            self.view.send_modify(|view| {
                if let Ok(change) = seen {
                    change(view);
                }
                view.reached = reached;
            });
        });
    }
}

/// Follows one subject until it is stopped.
pub async fn follow(
    api: Api,
    options: ConsulOptions,
    subject: Subject,
    watched: Arc<Watched>,
    stop: CancellationToken,
) {
    let path = match subject {
        Subject::Health => format!("/v1/health/service/{}", options.service()),
        Subject::Record => format!("/v1/kv/{}", options.record_key()),
    };
    let wait = Duration::from_millis(options.wait_ms.into());
    let mut index = 0;
    let mut failures = 0;
    loop {
        let query = async {
            match index {
                // The first query, and the first after a failure, does not wait: it shows what is.
                0 => api.get(&path).await,
                _ => api.get_blocking(&path, index, wait).await,
            }
        };
        let Some(answer) = stop.run_until_cancelled(query).await else { return };
        let pause = match answer {
            Ok(answer) => {
                failures = 0;
                index = next_index(index, answer.index);
                show(&watched, subject, &answer);
                BETWEEN_QUERIES
            }
            Err(error) => {
                tracing::warn!(%error, ?subject, failures, "consul does not answer: the last ring stands");
                watched.show(subject, Err::<fn(&mut View), _>(error));
                index = 0;
                let full = options.retry_ms.saturating_mul(1 << failures.min(16)).min(options.retry_max_ms);
                failures += 1;
                Duration::from_millis(u64::from(full - rand::random_range(0..=full / 2)))
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

fn show(watched: &Watched, subject: Subject, answer: &Answer) {
    match subject {
        Subject::Health => {
            let seen = wire::registrations(&answer.body);
            watched.show(subject, seen.map(|seen| move |view: &mut View| view.registrations = seen));
        }
        Subject::Record => {
            let stored = match answer.status {
                StatusCode::NOT_FOUND => None,
                _ => match KeyValue::of(&answer.body).and_then(|key| key.stored()) {
                    Ok(stored) => Some(stored),
                    Err(error) => {
                        // Left to an operator: overwriting what cannot be read could undo an edit of a newer release.
                        tracing::error!(%error, "the ring's record cannot be read: the last ring stands");
                        watched.show(subject, Err::<fn(&mut View), _>(error));
                        return;
                    }
                },
            };
            watched.show(subject, Ok(move |view: &mut View| view.stored = stored));
        }
    }
}

/// The index that the next query waits on. One that went back means another history: begin anew. Zero would not wait.
fn next_index(last: u64, answered: Option<u64>) -> u64 {
    match answered {
        Some(index) if index >= last => index.max(1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_back_begins_anew() {
        assert_eq!(next_index(0, Some(17)), 17);
        assert_eq!(next_index(17, Some(17)), 17);
        assert_eq!(next_index(17, Some(3)), 0);
        assert_eq!(next_index(17, None), 0);
        assert_eq!(next_index(0, Some(0)), 1);
    }

    #[test]
    fn a_view_is_reached_when_both_queries_were_answered() {
        let watched = Watched::new();
        let view = watched.view();
        let good = |subject| watched.show(subject, Ok(|_: &mut View| {}));
        good(Subject::Health);
        assert!(!view.borrow().reached);
        good(Subject::Record);
        assert!(view.borrow().reached);
        watched.show(Subject::Health, Err::<fn(&mut View), _>(StoreError::new("consul", "gone")));
        assert!(!view.borrow().reached);
    }
}
