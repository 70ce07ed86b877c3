use std::path::PathBuf;

use domain::Invalid;
use http::Uri;
use secrecy::SecretString;
use serde::Deserialize;

/// How Consul is reached and what it is asked to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsulOptions {
    /// The agent of this machine, such as `http://127.0.0.1:8500`.
    pub address: String,
    /// The certificate authority of an `https` agent, as PEM.
    pub ca_file: Option<PathBuf>,
    /// An ACL token that may write the fleet's service, keys and sessions.
    pub token: Option<SecretString>,
    /// The fleet's name: begins every name in Consul, so that several fleets can share one.
    pub fleet: String,
    /// Between two health checks of a shard, in ms; Consul takes less than a second for one.
    pub check_interval_ms: u32,
    /// How long a health check may take, in ms.
    pub check_timeout_ms: u32,
    /// A shard that has been unhealthy for this long is forgotten, in s; Consul takes a minute at the least.
    pub forget_after_s: u32,
    /// How long a blocking query waits for a change, in ms.
    pub wait_ms: u32,
    /// How long any other request may take, in ms.
    pub timeout_ms: u32,
    /// The first pause after a query that failed, in ms; later ones double, each shortened by up to half at random.
    pub retry_ms: u32,
    /// The longest pause, in ms.
    pub retry_max_ms: u32,
    /// The editor's lock lapses after so long without renewal, in s.
    pub lock_ttl_s: u32,
}

impl Default for ConsulOptions {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:8500".to_owned(),
            ca_file: None,
            token: None,
            fleet: "chunyun".to_owned(),
            check_interval_ms: 1_000,
            check_timeout_ms: 1_000,
            forget_after_s: 600,
            wait_ms: 30_000,
            timeout_ms: 3_000,
            retry_ms: 100,
            retry_max_ms: 2_000,
            lock_ttl_s: 15,
        }
    }
}

impl ConsulOptions {
    /// Refuses what could not work.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |field, allowed, value: u32, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
        };
        let uri: Option<Uri> = self.address.parse().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        let plain = uri.as_ref().is_some_and(|uri| uri.path() == "/" && uri.query().is_none());
        if !plain || !matches!(scheme, Some("http" | "https")) {
            return Err(Invalid::new("address", "http://HOST:PORT or https://HOST:PORT", &self.address));
        }
        if scheme == Some("https") && self.ca_file.is_none() {
            return Err(Invalid::new("ca_file", "a file, because the address is https", "nothing"));
        }
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&self.fleet.len()) || !self.fleet.bytes().all(letters) {
            return Err(Invalid::new("fleet", "1 to 32 lower-case letters, digits and hyphens", &self.fleet));
        }
        within("check_interval_ms", "100 to 60000", self.check_interval_ms, 100..=60_000)?;
        within("check_timeout_ms", "100 to 60000", self.check_timeout_ms, 100..=60_000)?;
        within("forget_after_s", "60 to 86400", self.forget_after_s, 60..=86_400)?;
        within("wait_ms", "1000 to 600000", self.wait_ms, 1_000..=600_000)?;
        within("timeout_ms", "100 to 60000", self.timeout_ms, 100..=60_000)?;
        within("retry_max_ms", "10 to 60000", self.retry_max_ms, 10..=60_000)?;
        within("retry_ms", "10 to retry_max_ms", self.retry_ms, 10..=self.retry_max_ms)?;
        within("lock_ttl_s", "10 to 86400", self.lock_ttl_s, 10..=86_400)
    }

    /// What the shards are registered as.
    pub(crate) fn service(&self) -> String {
        format!("{}-inventory-shard", self.fleet)
    }

    /// Where the record is.
    pub(crate) fn record_key(&self) -> String {
        format!("{}/ring/record", self.fleet)
    }

    /// What the editor locks.
    pub(crate) fn editor_key(&self) -> String {
        format!("{}/ring/editor", self.fleet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        ConsulOptions::default().validate().unwrap();
        let wrong = |options: ConsulOptions| options.validate().unwrap_err().what;
        let of = |address: &str| ConsulOptions { address: address.to_owned(), ..ConsulOptions::default() };
        assert_eq!(wrong(of("127.0.0.1:8500")), "address");
        assert_eq!(wrong(of("http://127.0.0.1:8500/v1")), "address");
        assert_eq!(wrong(of("https://consul:8501")), "ca_file");
        assert_eq!(wrong(ConsulOptions { fleet: "a/b".into(), ..ConsulOptions::default() }), "fleet");
        assert_eq!(wrong(ConsulOptions { lock_ttl_s: 5, ..ConsulOptions::default() }), "lock_ttl_s");
    }
}
