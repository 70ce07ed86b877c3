use domain::Invalid;
use rpc::Limits;
use serde::Deserialize;

/// Configuration of the waitlist. What the railway rules is in the policy file; this is how the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Another worker takes an entry over that nobody has gone on with for so long.
    pub lease_ms: u32,
    /// How long one call to a shard or to order may take in the background.
    pub call_timeout_ms: u32,
    /// How often due entries are looked for.
    pub sweep_poll_ms: u64,
    /// The most entries worked on at once.
    pub sweep_in_flight_max: usize,
    /// The shortest wait before something is tried again.
    pub retry_min_ms: u32,
    /// The longest.
    pub retry_max_ms: u32,
    /// A shard's feed that is silent for so long is given up and opened again.
    pub feed_silence_max_ms: u32,
    /// How often cursors are kept while nothing concerns the waitlist: how much is read again after a restart.
    pub cursor_interval_ms: u32,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_ms: 6_000,
            call_timeout_ms: 3_000,
            sweep_poll_ms: 250,
            sweep_in_flight_max: 64,
            retry_min_ms: 100,
            retry_max_ms: 5_000,
            feed_silence_max_ms: 10_000,
            cursor_interval_ms: 1_000,
            limits: Limits::internal(),
        }
    }
}

impl Options {
    /// Refuses a configuration that could not work.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |field, allowed, value: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
        };
        within("lease_ms", "1000 to 60000", self.lease_ms.into(), 1_000..=60_000)?;
        within("call_timeout_ms", "100 to 60000", self.call_timeout_ms.into(), 100..=60_000)?;
        within("sweep_poll_ms", "10 to 60000", self.sweep_poll_ms, 10..=60_000)?;
        within("sweep_in_flight_max", "1 to 4096", self.sweep_in_flight_max as u64, 1..=4_096)?;
        within("retry_min_ms", "10 to 60000", self.retry_min_ms.into(), 10..=60_000)?;
        let longest = u64::from(self.retry_min_ms)..=3_600_000;
        within("retry_max_ms", "retry_min_ms to 3600000", self.retry_max_ms.into(), longest)?;
        within("feed_silence_max_ms", "1000 to 600000", self.feed_silence_max_ms.into(), 1_000..=600_000)?;
        within("cursor_interval_ms", "10 to 60000", self.cursor_interval_ms.into(), 10..=60_000)?;
        self.limits.validate()
    }

    /// How long to wait before the next attempt, after so many in vain.
    pub(crate) fn pause_ms(&self, attempts: u32) -> i64 {
        let doubled = i64::from(self.retry_min_ms) << attempts.min(20);
        doubled.min(i64::from(self.retry_max_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        Options::default().validate().unwrap();
        let wrong = Options { retry_max_ms: 1, ..Options::default() }.validate().unwrap_err();
        assert_eq!((wrong.what, wrong.got.as_str()), ("retry_max_ms", "1"));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<i64> = [0, 1, 2, 3, 6, 99].map(|attempts| Options::default().pause_ms(attempts)).into();
        assert_eq!(pauses, [100, 200, 400, 800, 5_000, 5_000]);
    }
}
