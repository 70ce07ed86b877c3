use domain::Invalid;
use serde::Deserialize;

/// What a process tells about itself, and to whom.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `info,order=debug`.
    pub log_filter: String,
    /// An OTLP collector, such as `http://collector:4317`; none switches export off.
    pub otlp_endpoint: Option<String>,
    /// Traces begun here are exported with this chance, in percent; a caller's decision counts for its own traces.
    pub otlp_sample_percent: u8,
    /// Metrics are exported so often.
    pub otlp_metrics_interval_ms: u32,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Plain,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
            otlp_sample_percent: 10,
            otlp_metrics_interval_ms: 10_000,
        }
    }
}

impl TelemetryOptions {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// The first field that is out of its range, in its own words.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.otlp_sample_percent > 100 {
            return Err(Invalid::new("otlp_sample_percent", "0 to 100", &self.otlp_sample_percent.to_string()));
        }
        if self.otlp_metrics_interval_ms < 100 {
            let got = self.otlp_metrics_interval_ms.to_string();
            return Err(Invalid::new("otlp_metrics_interval_ms", "100 or more", &got));
        }
        match &self.otlp_endpoint {
            Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
                Err(Invalid::new("otlp_endpoint", "http://HOST:PORT", endpoint))
            }
            _ => Ok(()),
        }
    }
}
