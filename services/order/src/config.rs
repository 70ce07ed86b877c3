use domain::Invalid;
use rpc::Limits;
use serde::Deserialize;

/// Configuration of the order service. What the railway rules is in the policy file; this is how the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How often a client may try to pay one order.
    pub pay_attempts_max: u32,
    /// How often seats that were lost before they could be confirmed are held again.
    pub hold_again_max: u8,
    /// The sweeper takes over an order that nobody has gone on with for so long.
    pub lease_ms: u32,
    /// How often the sweeper looks for due orders.
    pub sweep_poll_ms: u64,
    /// The most orders the sweeper works on at once.
    pub sweep_in_flight_max: usize,
    /// The shortest wait before something is tried or asked again.
    pub retry_min_ms: u32,
    /// The longest.
    pub retry_max_ms: u32,
    /// How often a watched order is read again, for changes made by other replicas.
    pub watch_poll_ms: u64,
    /// The most orders watched at once.
    pub watched_orders_max: usize,
    /// The most transactions that wait for a commit.
    pub commit_queue_max: usize,
    /// The most transactions of one commit.
    pub commit_group_max: usize,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pay_attempts_max: 5,
            hold_again_max: 2,
            lease_ms: 6_000,
            sweep_poll_ms: 500,
            sweep_in_flight_max: 64,
            retry_min_ms: 2_000,
            // Well under the minute after which no order may still be stuck.
            retry_max_ms: 20_000,
            watch_poll_ms: 1_000,
            watched_orders_max: 20_000,
            commit_queue_max: 1_024,
            commit_group_max: 256,
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
        within("pay_attempts_max", "1 to 100", self.pay_attempts_max.into(), 1..=100)?;
        // The round of a hold is counted in half a byte of its id.
        within("hold_again_max", "0 to 14", self.hold_again_max.into(), 0..=14)?;
        within("lease_ms", "1000 to 60000", self.lease_ms.into(), 1_000..=60_000)?;
        within("sweep_poll_ms", "10 to 60000", self.sweep_poll_ms, 10..=60_000)?;
        within("sweep_in_flight_max", "1 to 4096", self.sweep_in_flight_max as u64, 1..=4_096)?;
        within("retry_min_ms", "100 to 60000", self.retry_min_ms.into(), 100..=60_000)?;
        let longest = u64::from(self.retry_min_ms)..=3_600_000;
        within("retry_max_ms", "retry_min_ms to 3600000", self.retry_max_ms.into(), longest)?;
        within("watch_poll_ms", "50 to 60000", self.watch_poll_ms, 50..=60_000)?;
        within("watched_orders_max", "1 to 1000000", self.watched_orders_max as u64, 1..=1_000_000)?;
        within("commit_queue_max", "1 to 100000", self.commit_queue_max as u64, 1..=100_000)?;
        within("commit_group_max", "1 to 10000", self.commit_group_max as u64, 1..=10_000)?;
        self.limits.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        Options::default().validate().unwrap();
        let wrong = Options { hold_again_max: 15, ..Options::default() }.validate().unwrap_err();
        assert_eq!((wrong.what, wrong.got.as_str()), ("hold_again_max", "15"));
    }
}
