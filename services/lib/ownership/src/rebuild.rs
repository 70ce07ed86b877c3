use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::Run;

use crate::{Aggregate, Broken, Damaged, Stored, Version};

/// A run put together from what the journal holds of it. That takes a while for a run that much has happened on, and the
/// owner's other runs sell on meanwhile: it is done where a thread may take its time.
pub struct Rebuilt<A> {
    /// The version of the last batch in it, or of the snapshot; none when no batch concerns the run.
    pub touched: Option<Version>,
    /// Whether a snapshot was used.
    pub from_snapshot: bool,
    /// The state, and how many records came after the snapshot.
    pub state: Result<(A, u32), Broken>,
}

impl<A: Aggregate> Rebuilt<A> {
    /// The run of what is stored; broken where that cannot be read or contradicts itself.
    pub fn of(run: Run, stored: &Stored) -> Self {
        let snapshot = stored.snapshot.as_ref().map(|(version, _)| *version);
        Self {
            touched: stored.batches.last().map(|(version, _)| *version).max(snapshot),
            from_snapshot: snapshot.is_some(),
            state: rebuild(run, stored),
        }
    }
}

fn rebuild<A: Aggregate>(run: Run, stored: &Stored) -> Result<(A, u32), Broken> {
    let damaged = |error: Damaged| Broken { id: "I6", message: error.to_string() };
    guarded(|| {
        let mut aggregate = match &stored.snapshot {
            Some((_, payload)) => A::restore(run, payload).map_err(damaged)?,
            None => A::new(run),
        };
        let mut since_snapshot = 0;
        let from = stored.snapshot.as_ref().map(|(version, _)| *version);
        for (version, payload) in stored.batches.iter().filter(|(version, _)| Some(*version) > from) {
            since_snapshot += aggregate.replay(*version, payload).map_err(damaged)?;
        }
        Ok((aggregate, since_snapshot))
    })
}

/// Runs code of the aggregate; a panic is a broken invariant of its run, and of nothing else.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panicked".to_owned());
        Err(Broken { id: "panic", message })
    })
}
