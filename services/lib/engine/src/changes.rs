use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::{Run, Time};
use ownership::{Epoch, Version};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Which runs have changed since when: what keeps boards up to date. A run that changes often is listed once; a run that was
/// found in the journal when its slot was taken over is listed like one that changed, at version 0.
#[derive(Clone, Debug)]
pub struct Changes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Mutex<Log>,
    changed: Notify,
    runs_max: usize,
}

#[derive(Debug, Default)]
struct Log {
    sequence: u64,
    /// The sequence number up to which changes have been forgotten.
    forgotten: u64,
    by_sequence: BTreeMap<u64, RunChange>,
    by_run: HashMap<Run, u64>,
}

/// A run's last durable change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunChange {
    /// The run.
    pub run: Run,
    /// The owner's epoch; with the version, orders the states of a run.
    pub epoch: Epoch,
    /// The slot's version of the change.
    pub version: Version,
    /// The database's time of the change.
    pub time: Time,
}

/// The answer of [`Changes::since`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesSince {
    /// Where to go on from.
    pub cursor: u64,
    /// The runs that have changed, each once, the one that changed last at the end.
    pub runs: Vec<RunChange>,
    /// Whether changes between the two cursors have been forgotten: look at every run again.
    pub incomplete: bool,
}

impl Changes {
    pub(crate) fn new(runs_max: usize) -> Self {
        let inner = Inner { log: Mutex::default(), changed: Notify::new(), runs_max };
        Self { inner: Arc::new(inner) }
    }

    /// The runs that have changed since a cursor; 0 to begin with.
    pub fn since(&self, cursor: u64) -> ChangesSince {
        let log = self.inner.log.lock();
        ChangesSince {
            cursor: log.sequence,
            runs: log.by_sequence.range(cursor + 1..).map(|(_, change)| *change).collect(),
            incomplete: cursor < log.forgotten,
        }
    }

    /// Waits until something has changed since a cursor.
    pub async fn changed_since(&self, cursor: u64) {
        loop {
            let notified = self.inner.changed.notified();
            tokio::pin!(notified);
            // Listens before it looks, so that no change in between is missed.
            notified.as_mut().enable();
            if self.inner.log.lock().sequence > cursor {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn record(&self, changes: impl IntoIterator<Item = RunChange>) {
        let mut log = self.inner.log.lock();
        for change in changes {
            log.sequence += 1;
            let sequence = log.sequence;
            if let Some(before) = log.by_run.insert(change.run, sequence) {
                log.by_sequence.remove(&before);
            }
            log.by_sequence.insert(sequence, change);
            if log.by_sequence.len() > self.inner.runs_max
                && let Some((forgotten, change)) = log.by_sequence.pop_first()
            {
                log.forgotten = forgotten;
                log.by_run.remove(&change.run);
            }
        }
        drop(log);
        self.inner.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(train: &str, version: u64) -> RunChange {
        let run = format!("{train}@2026-12-01").parse().unwrap();
        RunChange { run, epoch: Epoch(1), version: Version(version), time: Time::from_millis(0) }
    }

    #[test]
    fn a_run_that_changes_often_is_listed_once() {
        let changes = Changes::new(10);
        changes.record([change("G1", 1), change("G2", 1), change("G1", 2)]);
        let since = changes.since(0);
        assert_eq!(since.runs, [change("G2", 1), change("G1", 2)]);
        assert!(!since.incomplete);
        assert!(changes.since(since.cursor).runs.is_empty());
    }

    #[test]
    fn whoever_reads_too_late_is_told() {
        let changes = Changes::new(2);
        changes.record([change("G1", 1), change("G2", 1), change("G3", 1)]);
        let since = changes.since(0);
        assert!(since.incomplete);
        assert_eq!(since.runs, [change("G2", 1), change("G3", 1)]);
        assert!(!changes.since(1).incomplete);
    }
}
