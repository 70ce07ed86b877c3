use std::collections::{BTreeMap, BTreeSet};

use domain::{Run, Time};

/// When each run of a slot has something to do next, in memory or not.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Time, Run)>,
    by_run: BTreeMap<Run, Time>,
}

impl Timers {
    /// Sets or clears a run's timer.
    pub fn set(&mut self, run: Run, at: Option<Time>) {
        let before = match at {
            Some(at) => self.by_run.insert(run, at),
            None => self.by_run.remove(&run),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, run));
        }
        if let Some(at) = at {
            self.by_time.insert((at, run));
        }
    }

    pub fn contains(&self, run: &Run) -> bool {
        self.by_run.contains_key(run)
    }

    /// Whether any run's time has come.
    pub fn is_due(&self, time: Time) -> bool {
        self.by_time.first().is_some_and(|(at, _)| *at <= time)
    }

    /// The runs whose time has come, at most so many.
    pub fn due(&self, time: Time, max: usize) -> impl Iterator<Item = Run> {
        self.by_time.iter().take_while(move |(at, _)| *at <= time).take(max).map(|(_, run)| *run)
    }

    pub fn clear(&mut self) {
        self.by_time.clear();
        self.by_run.clear();
    }
}
