//! The configuration of a process: a TOML file, overridden by the environment, every setting validated at start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use secrecy::SecretString;
use serde::Deserialize;

use super::discovery::DiscoveryConfig;

/// Everything that can be set. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where this process listens.
    pub listen: Listen,
    /// Where roles are that do not run in this process.
    pub links: Links,
    /// The shards of the whole fleet, or those it starts with; with a fixed list, those without an address run in this
    /// process.
    pub shards: shard_client::ShardsOptions,
    /// Where this process learns which shards there are.
    pub discovery: DiscoveryConfig,
    /// Databases; those left out are SQLite files in the data directory.
    pub storage: StorageConfig,
    /// The file with the fleet's secrets; left out, the data directory's own.
    pub keys: KeysConfig,
    /// The timetable.
    pub timetable: TimetableConfig,
    /// The railway's numbers.
    pub policy: PolicyConfig,
    /// Logs, traces, metrics.
    pub telemetry: telemetry::TelemetryOptions,
    /// The gateway's own settings.
    pub gateway: gateway::Options,
    /// The query role's own settings.
    pub query: query::Options,
    /// The shards' own settings.
    pub inventory_shard: inventory_shard::Options,
    /// The order role's own settings.
    pub order: order::Options,
    /// The payment role's own settings.
    pub payment: payment::Options,
    /// The waitlist role's own settings.
    pub waitlist: waitlist::Options,
    /// The sandbox provider's own settings.
    pub sandbox_provider: sandbox_provider::Options,
}

/// Where this process listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The gateway's public gRPC face.
    pub public: SocketAddr,
    /// gRPC between roles; left out when all roles run in this process.
    pub internal: Option<SocketAddr>,
    /// Payment callbacks over HTTP.
    pub callbacks: SocketAddr,
    /// Metrics over HTTP; left out: none.
    pub metrics: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { public: local(7000), internal: None, callbacks: local(0), metrics: None }
    }
}

/// Where roles are that do not run in this process, such as `http://order:7001`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// The query role.
    pub query: Option<String>,
    /// The order role.
    pub order: Option<String>,
    /// The payment role.
    pub payment: Option<String>,
    /// The waitlist role.
    pub waitlist: Option<String>,
    /// The sandbox provider.
    pub sandbox_provider: Option<String>,
    /// Where the provider calls payment back, such as `http://payment:7002`.
    pub callbacks: Option<String>,
}

/// Databases by role: `sqlite:PATH` or `postgres://...`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// The journal of all shards, in one database.
    pub journal: Option<SecretString>,
    /// The journal spread over several databases; then `journal` is not used.
    pub journal_clusters: Vec<JournalCluster>,
    /// Orders.
    pub order: Option<SecretString>,
    /// Trades and the ledger.
    pub payment: Option<SecretString>,
    /// Waitlist entries.
    pub waitlist: Option<SecretString>,
    /// The sandbox provider's charges.
    pub sandbox_provider: Option<SecretString>,
    /// Limits that gateways share; left out, each keeps its own.
    pub redis: Option<SecretString>,
}

/// One database of a journal that is spread over several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalCluster {
    /// The database.
    pub url: SecretString,
    /// Its partitions, each from 0 to 63; over all clusters every partition stands once.
    pub partitions: Vec<u8>,
}

/// The fleet's secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// The file; left out, `keys.toml` of the data directory, made at the first start.
    pub path: Option<PathBuf>,
}

/// The timetable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimetableConfig {
    /// Its directory; left out, the sample.
    pub path: Option<PathBuf>,
    /// Leave trains with bad rows out instead of refusing the whole.
    pub drop_bad_rows: bool,
}

/// The railway's numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The policy file; left out, the published rules.
    pub path: Option<PathBuf>,
}

impl Config {
    /// The configuration of a file, if one is given, under the environment: `CHUNYUN_STORAGE__ORDER` overrides `order` in
    /// `[storage]`.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong kind: the message names it.
    pub fn load(path: Option<&Path>) -> Result<Self, Box<figment::Error>> {
        let mut figment = Figment::new();
        if let Some(path) = path {
            figment = figment.merge(Toml::file_exact(path));
        }
        // Only names with a section are settings; CHUNYUN_GATEWAY and its like belong to the client.
        let settings = Env::prefixed("CHUNYUN_").filter(|key| key.as_str().contains("__")).split("__");
        figment.merge(settings).extract().map_err(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Box<figment::Error>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chunyun.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path))
    }

    #[test]
    fn nothing_set_is_the_embedded_fleet() {
        let config = Config::load(None).unwrap();
        assert!(config.shards.list.iter().all(|shard| shard.address.is_none()) && config.storage.journal.is_none());
    }

    #[test]
    fn discovery_reads_as_documented() {
        let text =
            "[discovery]\nkind = \"consul\"\n[discovery.consul]\ntoken = \"t\"\n[discovery.ring]\ngrace_ms = 900\n";
        let config = load(text).unwrap().discovery;
        assert_eq!((config.kind, config.ring.grace_ms), (super::super::discovery::DiscoveryKind::Consul, 900));
        assert!(!format!("{config:?}").contains("\"t\""), "a token is a secret");
        let error = load("[discovery]\nkind = \"dns\"\n").unwrap_err().to_string();
        assert!(error.contains("consul") && error.contains("fixed"), "{error}");
    }

    #[test]
    fn a_typo_is_named() {
        let error = load("[listen]\npubilc = \"127.0.0.1:7000\"\n").unwrap_err().to_string();
        assert!(error.contains("pubilc") && error.contains("public"), "{error}");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(Config::load(Some(Path::new("no/such/file.toml"))).is_err());
    }
}
