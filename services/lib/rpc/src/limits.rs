use domain::Invalid;
use serde::Deserialize;

/// Bounds of a server. The defaults are the public gateway's; [`Limits::internal`] suits calls between roles.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Deadline of a unary call that brings none.
    pub deadline_default_ms: u32,
    /// No unary call is worked on for longer, whatever deadline it brings.
    pub deadline_max_ms: u32,
    /// The largest message a caller may send.
    pub message_bytes_max: u32,
    /// The largest metadata (all names and values together) a caller may send.
    pub metadata_bytes_max: u32,
    /// Unary calls in work at once; more are refused at once.
    pub calls_in_flight_max: u32,
    /// Streams open at once; more are refused at once.
    pub streams_open_max: u32,
    /// A stream is ended after so long; callers open a new one.
    pub stream_age_max_ms: u32,
    /// Connections open at once; more are closed at once.
    pub connections_max: u32,
    /// Calls in flight on one connection.
    pub connection_calls_max: u32,
    /// A connection is asked to go away after so long, so that load spreads again after a deployment.
    pub connection_age_max_ms: u32,
    /// A silent connection is asked for a sign of life after so long.
    pub keepalive_interval_ms: u32,
    /// A connection without a sign of life for so long after being asked is closed.
    pub keepalive_timeout_ms: u32,
    /// How long calls in flight may take to end when the server drains.
    pub drain_ms: u32,
    /// What RetryInfo tells those who were refused for load.
    pub overload_retry_after_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline_default_ms: 5_000,
            deadline_max_ms: 5_000,
            message_bytes_max: 64 * 1024,
            metadata_bytes_max: 8 * 1024,
            calls_in_flight_max: 4_096,
            streams_open_max: 4_096,
            stream_age_max_ms: 30 * 60_000,
            connections_max: 4_096,
            connection_calls_max: 1_024,
            connection_age_max_ms: 30 * 60_000,
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms: 5_000,
            drain_ms: 15_000,
            overload_retry_after_ms: 200,
        }
    }
}

impl Limits {
    /// Bounds for calls between roles: larger messages, more of them at once.
    pub fn internal() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            calls_in_flight_max: 16_384,
            connection_calls_max: 16_384,
            stream_age_max_ms: 6 * 3_600_000,
            ..Self::default()
        }
    }

    /// Refuses bounds that no server could work with.
    ///
    /// # Errors
    /// The first field that is out of its range, in its own words.
    pub fn validate(&self) -> Result<(), Invalid> {
        at_least("deadline_max_ms", self.deadline_max_ms, 10, "10 or more")?;
        let default = self.deadline_default_ms;
        if !(10..=self.deadline_max_ms).contains(&default) {
            return Err(Invalid::new("deadline_default_ms", "10 to deadline_max_ms", &default.to_string()));
        }
        if !(1_024..=4 * 1024 * 1024).contains(&self.message_bytes_max) {
            let got = self.message_bytes_max.to_string();
            return Err(Invalid::new("message_bytes_max", "1024 to 4194304", &got));
        }
        if !(1_024..=32 * 1024).contains(&self.metadata_bytes_max) {
            let got = self.metadata_bytes_max.to_string();
            return Err(Invalid::new("metadata_bytes_max", "1024 to 32768", &got));
        }
        at_least("calls_in_flight_max", self.calls_in_flight_max, 1, "1 or more")?;
        at_least("streams_open_max", self.streams_open_max, 1, "1 or more")?;
        at_least("stream_age_max_ms", self.stream_age_max_ms, 1_000, "1000 or more")?;
        at_least("connections_max", self.connections_max, 1, "1 or more")?;
        at_least("connection_calls_max", self.connection_calls_max, 1, "1 or more")?;
        at_least("connection_age_max_ms", self.connection_age_max_ms, 1_000, "1000 or more")?;
        at_least("keepalive_interval_ms", self.keepalive_interval_ms, 100, "100 or more")?;
        at_least("keepalive_timeout_ms", self.keepalive_timeout_ms, 100, "100 or more")
    }
}

/// How a caller connects over the network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkOptions {
    /// A connection that is not up after so long has failed.
    pub connect_timeout_ms: u32,
    /// A silent connection is asked for a sign of life after so long: without this, calls hang after a healed partition.
    pub keepalive_interval_ms: u32,
    /// A connection without a sign of life for so long after being asked is closed.
    pub keepalive_timeout_ms: u32,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { connect_timeout_ms: 1_000, keepalive_interval_ms: 5_000, keepalive_timeout_ms: 2_000 }
    }
}

impl LinkOptions {
    /// Refuses times that no link could work with.
    ///
    /// # Errors
    /// The first field that is out of its range, in its own words.
    pub fn validate(&self) -> Result<(), Invalid> {
        at_least("connect_timeout_ms", self.connect_timeout_ms, 10, "10 or more")?;
        at_least("keepalive_interval_ms", self.keepalive_interval_ms, 100, "100 or more")?;
        at_least("keepalive_timeout_ms", self.keepalive_timeout_ms, 100, "100 or more")
    }
}

fn at_least(field: &'static str, value: u32, least: u32, allowed: &'static str) -> Result<(), Invalid> {
    if value >= least { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_zero_is_refused_by_name() {
        Limits::default().validate().unwrap();
        Limits::internal().validate().unwrap();
        LinkOptions::default().validate().unwrap();
        let wrong = Limits { deadline_default_ms: 6_000, ..Limits::default() }.validate().unwrap_err();
        assert_eq!(wrong.what, "deadline_default_ms");
        let wrong = Limits { streams_open_max: 0, ..Limits::default() }.validate().unwrap_err();
        assert_eq!(wrong.what, "streams_open_max");
    }
}
