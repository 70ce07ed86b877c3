use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::RetryOptions;

/// Hundredths of a retry.
const WHOLE: i64 = 100;

/// Bounds how many calls are tried again: every call earns a part of a retry, every retry costs a whole one.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    earned: AtomicI64,
    per_call: i64,
    most: i64,
}

impl RetryBudget {
    pub fn new(options: &RetryOptions) -> Self {
        let most = i64::from(options.budget_burst) * WHOLE;
        Self { earned: AtomicI64::new(most), per_call: options.budget_percent.into(), most }
    }

    /// Counts a call.
    pub fn earn(&self) {
        let earn = |earned: i64| (earned < self.most).then(|| (earned + self.per_call).min(self.most));
        // Refused where nothing more is saved, which is most of the time.
        let _ = self.earned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Takes one retry; `false` when none is left.
    pub fn take(&self) -> bool {
        let take = |earned: i64| (earned >= WHOLE).then_some(earned - WHOLE);
        self.earned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// The pause before the next attempt: doubling, shortened at random so that callers spread, never under what the server
/// asked for.
pub(crate) fn pause(options: &RetryOptions, attempt: u32, asked_ms: Option<u32>) -> Duration {
    let doubled = options.pause_ms.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let full = doubled.min(options.pause_max_ms);
    let jittered = full - rand::random_range(0..=full / 2);
    let asked = asked_ms.map_or(0, |asked| asked + rand::random_range(0..=asked / 4));
    Duration::from_millis(jittered.max(asked).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_calls_earn_ten_retries() {
        let budget =
            RetryBudget::new(&RetryOptions { budget_percent: 10, budget_burst: 20, ..RetryOptions::default() });
        assert_eq!((0..100).filter(|_| budget.take()).count(), 20, "the burst");
        (0..100).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 20, "never more than the burst is saved");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_respect_the_server() {
        let options = RetryOptions { pause_ms: 20, pause_max_ms: 100, ..RetryOptions::default() };
        for (attempt, least, most) in [(1, 10, 20), (2, 20, 40), (3, 40, 80), (4, 50, 100), (40, 50, 100)] {
            let pause = pause(&options, attempt, None).as_millis();
            assert!((least..=most).contains(&pause), "attempt {attempt}: {pause} ms");
        }
        assert!((500..=625).contains(&pause(&options, 1, Some(500)).as_millis()));
    }
}
