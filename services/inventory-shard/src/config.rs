use std::time::Duration;

use domain::Invalid;
use engine::{EngineOptions, HousekeepingOptions};
use ring::ShardId;
use rpc::Limits;
use serde::Deserialize;

/// Configuration of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The shard's stable name in the ring.
    pub shard: String,
    /// Worker lanes; each commits for its slots in one statement.
    pub lanes: usize,
    /// Runs in memory per lane; more only while they have uncommitted state.
    pub cache_runs_max: usize,
    /// Requests that may wait to be executed, per lane; further ones are shed.
    pub queue_requests_max: usize,
    /// How long a statement of the journal may take before its outcome counts as unknown, in ms.
    pub journal_timeout_ms: u64,
    /// How long a caller without a deadline waits, in ms.
    pub timeout_default_ms: u64,
    /// Holds of one stream that may be unanswered; the stream is read no further until some are answered.
    pub stream_holds_max: usize,
    /// Between two rounds of new boards, in ms: a run's board is sent at most that often.
    pub board_interval_ms: u64,
    /// Between two proofs that boards still hold, in ms; each replica of query shows counts at most that much later.
    pub verify_interval_ms: u64,
    /// How many days after its service date a run's board is forgotten.
    pub board_keep_past_days: u32,
    /// How long the feed waits for batches of runs nobody waits for in line, in ms.
    pub feed_interval_ms: u64,
    /// Between two looks at what the journal has of this shard's slots, in ms.
    pub housekeeping_interval_ms: u64,
    /// Batches of a slot after its last checkpoint that make a new one.
    pub checkpoint_batches: u64,
    /// How long a batch behind a checkpoint stays readable, in hours: longer than any reader of the feed may be away, and
    /// than any run takes from its first event to its last, since audits follow a run from its first event.
    pub journal_retention_hours: u64,
    /// How long slots may take to be given up in order when the shard stops, in ms.
    pub drain_ms: u64,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shard: "inventory-shard-0".to_owned(),
            lanes: 2,
            cache_runs_max: 4_096,
            queue_requests_max: 16_384,
            journal_timeout_ms: 5_000,
            timeout_default_ms: 5_000,
            stream_holds_max: 8_192,
            board_interval_ms: 100,
            verify_interval_ms: 250,
            board_keep_past_days: 4,
            feed_interval_ms: 500,
            housekeeping_interval_ms: 60_000,
            checkpoint_batches: 10_000,
            journal_retention_hours: 60 * 24,
            drain_ms: 10_000,
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
        self.shard_id()?;
        within("lanes", "1 to 64", self.lanes as u64, 1..=64)?;
        within("cache_runs_max", "1 to 1000000", self.cache_runs_max as u64, 1..=1_000_000)?;
        within("queue_requests_max", "1 to 1000000", self.queue_requests_max as u64, 1..=1_000_000)?;
        within("journal_timeout_ms", "100 to 60000", self.journal_timeout_ms, 100..=60_000)?;
        within("timeout_default_ms", "10 to 60000", self.timeout_default_ms, 10..=60_000)?;
        // A message of the stream has up to 256 holds.
        within("stream_holds_max", "256 to 65536", self.stream_holds_max as u64, 256..=65_536)?;
        within("board_interval_ms", "10 to 10000", self.board_interval_ms, 10..=10_000)?;
        within("verify_interval_ms", "10 to 10000", self.verify_interval_ms, 10..=10_000)?;
        within("board_keep_past_days", "1 to 365", self.board_keep_past_days.into(), 1..=365)?;
        within("feed_interval_ms", "10 to 10000", self.feed_interval_ms, 10..=10_000)?;
        within("housekeeping_interval_ms", "100 to 3600000", self.housekeeping_interval_ms, 100..=3_600_000)?;
        within("checkpoint_batches", "10 to 10000000", self.checkpoint_batches, 10..=10_000_000)?;
        within("journal_retention_hours", "24 to 87600", self.journal_retention_hours, 24..=87_600)?;
        within("drain_ms", "0 to 60000", self.drain_ms, 0..=60_000)?;
        self.limits.validate()
    }

    /// The shard's name.
    ///
    /// # Errors
    /// A name that no shard can have.
    pub fn shard_id(&self) -> Result<ShardId, Invalid> {
        self.shard.parse()
    }

    pub(crate) fn engine(&self) -> EngineOptions {
        let mut options = EngineOptions::named(&self.shard);
        options.lanes = self.lanes;
        options.journal_timeout = Duration::from_millis(self.journal_timeout_ms);
        options.housekeeping = HousekeepingOptions {
            interval: Duration::from_millis(self.housekeeping_interval_ms),
            checkpoint_batches: self.checkpoint_batches,
            retention: Duration::from_secs(self.journal_retention_hours * 3_600),
        };
        options.limits.cache_runs_max = self.cache_runs_max;
        options.limits.queue_requests_max = self.queue_requests_max;
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        Options::default().validate().unwrap();
        let wrong = |options: Options| options.validate().unwrap_err().what;
        assert_eq!(wrong(Options { lanes: 0, ..Options::default() }), "lanes");
        assert_eq!(wrong(Options { shard: "Shard 1".into(), ..Options::default() }), "shard");
        assert_eq!(wrong(Options { stream_holds_max: 10, ..Options::default() }), "stream_holds_max");
    }
}
