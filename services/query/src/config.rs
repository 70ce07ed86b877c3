use domain::Invalid;
use rpc::Limits;
use serde::Deserialize;

/// Configuration of a query replica.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The most runs whose boards are kept. A national presale period has some 85,000; a board takes about 1 KiB.
    pub boards_max: usize,
    /// A shard's stream that is silent for so long is given up and opened again.
    pub silence_max_ms: u64,
    /// Answers from boards proved longer ago than this are counted as stale. They are stamped either way.
    pub stale_after_ms: u64,
    /// How long a starting replica waits for every shard's boards before it answers with those it has.
    pub ready_timeout_ms: u64,
    /// How many days after its service date a run's board is forgotten: no train is under way for longer.
    pub keep_past_days: u32,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            boards_max: 200_000,
            silence_max_ms: 3_000,
            stale_after_ms: 1_000,
            ready_timeout_ms: 10_000,
            keep_past_days: 4,
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
        within("boards_max", "1 to 10000000", self.boards_max as u64, 1..=10_000_000)?;
        within("silence_max_ms", "500 to 600000", self.silence_max_ms, 500..=600_000)?;
        within("stale_after_ms", "1 to 600000", self.stale_after_ms, 1..=600_000)?;
        within("ready_timeout_ms", "0 to 600000", self.ready_timeout_ms, 0..=600_000)?;
        within("keep_past_days", "1 to 365", self.keep_past_days.into(), 1..=365)?;
        self.limits.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        Options::default().validate().unwrap();
        let wrong = Options { boards_max: 0, ..Options::default() }.validate().unwrap_err();
        assert_eq!((wrong.what, wrong.got.as_str()), ("boards_max", "0"));
    }
}
