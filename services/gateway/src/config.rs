use domain::Invalid;
use rpc::Limits;
use serde::Deserialize;

/// Configuration of a gateway. What the railway rules is in the policy file; this is how the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Orders of one stream worked on at once; more wait in the stream.
    pub stream_orders_max: usize,
    /// How long one order of a stream is worked on.
    pub stream_order_timeout_ms: u32,
    /// Runs put on sale at once.
    pub opening_runs_max: usize,
    /// How long putting one run on sale may take.
    pub opening_timeout_ms: u32,
    /// What an account may send.
    pub limiter: LimiterOptions,
    /// Bounds of the server.
    pub limits: Limits,
}

/// What an account may send. Payments, cancellations and refunds are never limited.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimiterOptions {
    /// Calls per second of an account that stands for one person, in the long run.
    pub person_per_second: u32,
    /// Calls such an account may make at once after a pause.
    pub person_burst: u32,
    /// Calls of such an account in work at once at one gateway.
    pub person_in_flight: u32,
    /// Calls per second of an account that sells for others: a window, an agency.
    pub business_per_second: u32,
    /// Calls such an account may make at once after a pause.
    pub business_burst: u32,
    /// Calls of such an account in work at once at one gateway.
    pub business_in_flight: u32,
    /// Accounts remembered at once.
    pub accounts_max: u64,
    /// A shared limit that does not answer in so long is replaced by the local one.
    pub redis_timeout_ms: u32,
    /// For so long after that, Redis is not asked.
    pub redis_pause_ms: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stream_orders_max: 64,
            stream_order_timeout_ms: 5_000,
            opening_runs_max: 32,
            opening_timeout_ms: 5_000,
            limiter: LimiterOptions::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self {
            person_per_second: 20,
            person_burst: 100,
            person_in_flight: 16,
            business_per_second: 5_000,
            business_burst: 10_000,
            business_in_flight: 4_096,
            accounts_max: 1_000_000,
            redis_timeout_ms: 50,
            redis_pause_ms: 1_000,
        }
    }
}

impl Options {
    /// Refuses a configuration that could not work.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        within("stream_orders_max", "1 to 4096", self.stream_orders_max as u64, 1..=4_096)?;
        within("stream_order_timeout_ms", "10 to 60000", self.stream_order_timeout_ms.into(), 10..=60_000)?;
        within("opening_runs_max", "1 to 1024", self.opening_runs_max as u64, 1..=1_024)?;
        within("opening_timeout_ms", "10 to 60000", self.opening_timeout_ms.into(), 10..=60_000)?;
        let limiter = &self.limiter;
        within("person_per_second", "1 to 1000000", limiter.person_per_second.into(), 1..=1_000_000)?;
        within("person_burst", "1 to 1000000", limiter.person_burst.into(), 1..=1_000_000)?;
        within("person_in_flight", "1 to 1000000", limiter.person_in_flight.into(), 1..=1_000_000)?;
        within("business_per_second", "1 to 1000000", limiter.business_per_second.into(), 1..=1_000_000)?;
        within("business_burst", "1 to 1000000", limiter.business_burst.into(), 1..=1_000_000)?;
        within("business_in_flight", "1 to 1000000", limiter.business_in_flight.into(), 1..=1_000_000)?;
        within("accounts_max", "1 to 100000000", limiter.accounts_max, 1..=100_000_000)?;
        within("redis_timeout_ms", "1 to 5000", limiter.redis_timeout_ms.into(), 1..=5_000)?;
        within("redis_pause_ms", "1 to 600000", limiter.redis_pause_ms.into(), 1..=600_000)?;
        self.limits.validate()
    }
}

fn within(
    field: &'static str,
    allowed: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), Invalid> {
    if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        Options::default().validate().unwrap();
        let wrong = Options { stream_orders_max: 0, ..Options::default() }.validate().unwrap_err();
        assert_eq!((wrong.what, wrong.got.as_str()), ("stream_orders_max", "0"));
    }
}
