use domain::Time;

const SECOND_US: i64 = 1_000_000;

/// A rate of calls with a burst, by the generic cell rate algorithm (ITU-T I.371): one number per account says when its
/// bucket would be empty again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// What one call costs.
    pub interval_us: i64,
    /// How far ahead of the clock an account may be before a call.
    pub tolerance_us: i64,
}

impl Rate {
    /// So many calls per second in the long run, and so many at once after a pause.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval_us = SECOND_US / i64::from(per_second.max(1));
        Self { interval_us, tolerance_us: interval_us * (i64::from(burst.max(1)) - 1) }
    }

    /// The next arrival time when a call is admitted, else how long to wait in ms, at least 1.
    pub fn admit(self, arrival_us: i64, now: Time) -> Result<i64, u32> {
        let now_us = now.millis().saturating_mul(1_000);
        let arrival_us = arrival_us.max(now_us);
        let early_us = arrival_us - now_us - self.tolerance_us;
        if early_us <= 0 {
            Ok(arrival_us + self.interval_us)
        } else {
            Err(u32::try_from((early_us + 999) / 1_000).unwrap_or(u32::MAX))
        }
    }
}
