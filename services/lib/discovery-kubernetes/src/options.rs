use domain::Invalid;
use http::Uri;
use serde::Deserialize;

/// How the cluster is reached and what the fleet's objects are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesOptions {
    /// The API server, such as that of `kubectl proxy`; left out, the pod's own cluster or the kubeconfig.
    pub url: Option<String>,
    /// The fleet's namespace; left out, the pod's own.
    pub namespace: Option<String>,
    /// The headless service of the shards.
    pub service: String,
    /// The ConfigMap with the ring's record.
    pub config_map: String,
    /// The Lease of the ring's editor.
    pub lease: String,
    /// How long a request may take, in ms; watches last longer.
    pub timeout_ms: u32,
    /// The first pause after a watch that failed, in ms; later ones double, each shortened by up to half at random.
    pub retry_ms: u32,
    /// The longest pause, in ms.
    pub retry_max_ms: u32,
    /// The editor's lock lapses after so long without renewal, in s.
    pub lock_ttl_s: u32,
}

impl Default for KubernetesOptions {
    fn default() -> Self {
        Self {
            url: None,
            namespace: None,
            service: "chunyun-inventory-shard".to_owned(),
            config_map: "chunyun-ring".to_owned(),
            lease: "chunyun-ring-editor".to_owned(),
            timeout_ms: 3_000,
            retry_ms: 100,
            retry_max_ms: 2_000,
            lock_ttl_s: 15,
        }
    }
}

impl KubernetesOptions {
    /// Refuses what could not work.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |field, allowed, value: u32, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
        };
        if let Some(url) = &self.url {
            let parsed: Option<Uri> = url.parse().ok();
            if parsed.as_ref().and_then(Uri::scheme).is_none() {
                return Err(Invalid::new("url", "http://HOST:PORT or https://HOST:PORT", url));
            }
        }
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        for (field, name) in [("service", &self.service), ("config_map", &self.config_map), ("lease", &self.lease)] {
            if !(1..=63).contains(&name.len()) || !name.bytes().all(letters) {
                return Err(Invalid::new(field, "1 to 63 lower-case letters, digits and hyphens", name));
            }
        }
        within("timeout_ms", "100 to 60000", self.timeout_ms, 100..=60_000)?;
        within("retry_max_ms", "10 to 60000", self.retry_max_ms, 10..=60_000)?;
        within("retry_ms", "10 to retry_max_ms", self.retry_ms, 10..=self.retry_max_ms)?;
        within("lock_ttl_s", "10 to 86400", self.lock_ttl_s, 10..=86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_wrong_field_is_named() {
        KubernetesOptions::default().validate().unwrap();
        let wrong = |options: KubernetesOptions| options.validate().unwrap_err().what;
        assert_eq!(wrong(KubernetesOptions { url: Some("cluster".into()), ..Default::default() }), "url");
        assert_eq!(wrong(KubernetesOptions { service: "a.b".into(), ..Default::default() }), "service");
        assert_eq!(wrong(KubernetesOptions { retry_ms: 5_000, ..Default::default() }), "retry_ms");
    }
}
