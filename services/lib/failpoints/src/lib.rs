//! Named places where a process can be told to die, to wait or to fail, for tests with real processes.
//!
//! Every durable write and every call of the saga has one before and one after it. Switched off, which is the only state
//! without an explicit permission at start, a place costs one relaxed load.
//!
//! ```
//! let plan = failpoints::Plan::parse("order.after_open_recorded=kill@3, payment.before_told=delay:200").unwrap();
//! assert_eq!(plan.to_string(), "order.after_open_recorded=kill@3,payment.before_told=delay:200");
//! ```

mod plan;
mod point;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use plan::{Action, Armed, Plan, PlanError};
pub use point::Point;

static ON: AtomicBool = AtomicBool::new(false);
static ARMED: OnceLock<Vec<(Armed, AtomicU64)>> = OnceLock::new();

/// A failure that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("told to fail at {}", .0.name())]
pub struct Injected(pub Point);

/// Why failpoints were not switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// Nobody permitted it.
    #[error("failpoints are set but not allowed: they make this process die or fail on purpose")]
    NotAllowed,
    /// They are set once in a process's life.
    #[error("failpoints are set already")]
    Twice,
}

/// Switches failpoints on for the rest of the process's life, loudly.
///
/// # Errors
/// See [`ArmError`].
pub fn arm(plan: Plan, allowed: bool) -> Result<(), ArmError> {
    if !allowed {
        return Err(ArmError::NotAllowed);
    }
    for armed in plan.points() {
        tracing::warn!(failpoint = armed.point.name(), action = %armed.action, "THIS PROCESS WILL FAIL ON PURPOSE");
    }
    let counted = plan.into_points().into_iter().map(|armed| (armed, AtomicU64::new(0))).collect();
    ARMED.set(counted).map_err(|_| ArmError::Twice)?;
    ON.store(true, Ordering::Relaxed);
    Ok(())
}

/// The process is at a point: it dies, waits or fails there where it was told to.
///
/// # Errors
/// The failure that was asked for.
#[inline]
pub async fn at(point: Point) -> Result<(), Injected> {
    if ON.load(Ordering::Relaxed) { happen(point).await } else { Ok(()) }
}

#[cold]
async fn happen(point: Point) -> Result<(), Injected> {
    let armed = ARMED.get().into_iter().flatten().filter(|(armed, _)| armed.point == point);
    for (armed, count) in armed {
        let hit = count.fetch_add(1, Ordering::Relaxed) + 1;
        if armed.only_hit.is_some_and(|only| only != hit) {
            continue;
        }
        tracing::warn!(failpoint = point.name(), hit, action = %armed.action, "failpoint");
        match armed.action {
            // Nothing is flushed, closed or told, as when power is cut.
            Action::Kill => std::process::abort(),
            Action::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Action::Fail => return Err(Injected(point)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_point_fails_at_the_hit_it_was_told_and_only_with_permission() {
        let plan = || Plan::parse("order.before_confirm=fail@2").unwrap();
        assert_eq!(at(Point::OrderBeforeConfirm).await, Ok(()));
        assert_eq!(arm(plan(), false), Err(ArmError::NotAllowed));
        assert_eq!(arm(plan(), true), Ok(()));
        assert_eq!(arm(plan(), true), Err(ArmError::Twice));
        let mut hits = Vec::new();
        for _ in 0..3 {
            hits.push(at(Point::OrderBeforeConfirm).await.is_ok());
        }
        assert_eq!(hits, [true, false, true]);
        assert_eq!(at(Point::OrderAfterConfirm).await, Ok(()));
    }
}
