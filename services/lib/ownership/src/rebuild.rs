use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::Run;

use crate::{Aggregate, Broken, Damaged, Stored};

/// The state of a run from what the journal holds, and how many batches came after its snapshot.
///
/// # Errors
/// What is stored cannot be read or contradicts itself.
pub fn rebuild<A: Aggregate>(run: Run, stored: &Stored) -> Result<(A, u32), Broken> {
    let damaged = |error: Damaged| Broken { id: "I6", message: error.to_string() };
    guarded(|| {
        let mut aggregate = match &stored.snapshot {
            Some((_, payload)) => A::restore(run, payload).map_err(damaged)?,
            None => A::new(run),
        };
        let mut since_snapshot = 0;
        let from = stored.snapshot.as_ref().map(|(version, _)| *version);
        for (version, payload) in stored.batches.iter().filter(|(version, _)| Some(*version) > from) {
            aggregate.replay(*version, payload).map_err(damaged)?;
            since_snapshot += 1;
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
