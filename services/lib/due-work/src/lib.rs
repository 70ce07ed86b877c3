//! Drives rows of a database that are due: outboxes, sweepers, retries.
//!
//! The rows are the queue: whatever a crash interrupts is due again. [`drive`] reads the ones that are due, performs up
//! to a bound of them at once, never two of one key, and ends when it is cancelled, after what it had begun.

use std::collections::HashSet;
use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Rows that become due, and what to do with one.
pub trait DueWork: Sync {
    /// A row.
    type Item: Send;
    /// What must not be worked on twice at once.
    type Key: Clone + Eq + Hash + Send;
    /// Why rows could not be read.
    type Error: Display;

    /// The name in logs.
    fn name(&self) -> &'static str;
    /// The key of a row.
    fn key(&self, item: &Self::Item) -> Self::Key;
    /// At most `limit` rows that are due, longest due first. A row stays due until its work has moved it on.
    fn due(&self, limit: usize) -> impl Future<Output = Result<Vec<Self::Item>, Self::Error>> + Send;
    /// Works on one row and records the outcome, a failure included: it must be due later, or not at all.
    fn perform(&self, item: Self::Item) -> impl Future<Output = ()> + Send;
}

/// Rows are not read more often than this, however often the driver is woken: rows in flight are read along each time.
const READ_PAUSE: Duration = Duration::from_millis(5);

/// Bounds of [`drive`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most rows worked on at once.
    pub in_flight_max: usize,
    /// How often rows are read when nobody wakes the driver, in ms.
    pub poll_ms: u64,
}

/// Drives due rows until cancelled. `wake` tells it that a row has become due just now.
pub async fn drive<W: DueWork>(work: &W, limits: Limits, wake: &Notify, stop: &CancellationToken) {
    let poll = Duration::from_millis(limits.poll_ms);
    let mut running = FuturesUnordered::new();
    let mut keys = HashSet::new();
    let mut next_poll = Instant::now();
    let mut next_read = next_poll;
    // Whether there may be due rows that were not read yet.
    let mut more = true;
    while !stop.is_cancelled() {
        if more && keys.len() < limits.in_flight_max && Instant::now() >= next_read {
            // Rows in flight are still due: asking for the whole bound leaves enough new ones to fill it.
            let items = match work.due(limits.in_flight_max).await {
                Ok(items) => items,
                Err(error) => {
                    tracing::warn!(work = work.name(), %error, "due rows could not be read");
                    Vec::new()
                }
            };
            more = items.len() >= limits.in_flight_max;
            (next_poll, next_read) = (Instant::now() + poll, Instant::now() + READ_PAUSE);
            for item in items {
                let key = work.key(&item);
                if keys.len() < limits.in_flight_max && keys.insert(key.clone()) {
                    running.push(async move {
                        work.perform(item).await;
                        key
                    });
                }
            }
        }
        let wants_more = more && keys.len() < limits.in_flight_max;
        tokio::select! {
            Some(key) = running.next() => { keys.remove(&key); }
            () = sleep_until(next_read), if wants_more => {}
            () = wake.notified() => more = true,
            () = sleep_until(next_poll) => more = true,
            () = stop.cancelled() => {}
        }
        // All that has ended is cleared before rows are read again.
        while let Some(Some(key)) = futures::FutureExt::now_or_never(running.next()) {
            keys.remove(&key);
        }
    }
    while running.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Rows (key, number) that stay due until performed.
    #[derive(Default)]
    struct Rows {
        rows: Mutex<Vec<(u8, u32)>>,
        done: Mutex<Vec<(u8, u32)>>,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
    }

    impl DueWork for Rows {
        type Item = (u8, u32);
        type Key = u8;
        type Error = Infallible;

        fn name(&self) -> &'static str {
            "rows"
        }

        fn key(&self, item: &Self::Item) -> u8 {
            item.0
        }

        async fn due(&self, limit: usize) -> Result<Vec<Self::Item>, Infallible> {
            Ok(self.rows.lock().unwrap().iter().copied().take(limit).collect())
        }

        async fn perform(&self, item: Self::Item) {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.rows.lock().unwrap().retain(|row| *row != item);
            self.done.lock().unwrap().push(item);
            self.at_once.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_row_is_done_once_in_order_of_its_key_and_within_the_bound() {
        let work = Rows::default();
        let rows: Vec<_> = (0..200).map(|number| ((number % 10) as u8, number)).collect();
        work.rows.lock().unwrap().clone_from(&rows);
        let (wake, stop) = (Notify::new(), CancellationToken::new());
        let limits = Limits { in_flight_max: 4, poll_ms: 1_000 };
        let driver = drive(&work, limits, &wake, &stop);
        let watcher = async {
            while !work.rows.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // Rows that come later are taken up at the wake, not at the next poll.
            work.rows.lock().unwrap().push((1, 1_000));
            let before = Instant::now();
            wake.notify_one();
            while !work.rows.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            assert!(before.elapsed() < Duration::from_millis(1_000));
            stop.cancel();
        };
        tokio::join!(driver, watcher);
        let done = work.done.lock().unwrap();
        let mut sorted = done.clone();
        sorted.sort_by_key(|row| row.1);
        assert_eq!(sorted[..200], rows[..], "each row once");
        for key in 0..10 {
            assert!(done.iter().filter(|row| row.0 == key).map(|row| row.1).is_sorted(), "key {key}");
        }
        assert!(work.most_at_once.load(Ordering::SeqCst) <= 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_finished_when_cancelled() {
        let work = Rows::default();
        work.rows.lock().unwrap().push((1, 1));
        let (wake, stop) = (Notify::new(), CancellationToken::new());
        let driver = drive(&work, Limits { in_flight_max: 4, poll_ms: 10 }, &wake, &stop);
        let canceller = async {
            while work.at_once.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(driver, canceller);
        assert_eq!(*work.done.lock().unwrap(), [(1, 1)]);
    }
}
