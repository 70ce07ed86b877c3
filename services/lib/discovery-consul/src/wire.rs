//! The shapes of Consul's HTTP API, as far as they are used.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use discovery::{Announcement, Registration, StoreError, Stored, Tag, read_record};
use http::Uri;
use ring::ShardId;
use rpc::ALIVE;
use serde::{Deserialize, Serialize};

use crate::ConsulOptions;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceRegistration {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    address: String,
    port: u16,
    meta: Meta,
    check: Check,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    #[serde(rename = "GRPC")]
    grpc: String,
    #[serde(rename = "GRPCUseTLS")]
    grpc_use_tls: bool,
    interval: String,
    timeout: String,
    deregister_critical_service_after: String,
}

/// Consul keeps text only.
#[derive(Serialize, Deserialize)]
struct Meta {
    shard: String,
    state: String,
    incarnation: String,
    address: String,
}

impl ServiceRegistration {
    /// The registration of a shard. Its check begins as failed and keeps its outcome when the shard registers anew.
    ///
    /// # Errors
    /// A shard without an address that Consul could ask.
    pub fn of(announcement: &Announcement, options: &ConsulOptions) -> Result<Self, StoreError> {
        let Announcement { shard, address, state, incarnation } = announcement;
        let uri: Option<Uri> = address.as_deref().and_then(|address| address.parse().ok());
        let place = uri.as_ref().and_then(|uri| Some((uri.host()?, uri.port_u16()?, uri.scheme_str()?)));
        let (Some((host, port, scheme)), Some(address)) = (place, address) else {
            let reason = format!("{shard} has no address with a port that its health could be asked at");
            return Err(StoreError::new("consul", reason));
        };
        let id = service_id(shard, options);
        let meta = Meta {
            shard: shard.to_string(),
            state: state.to_string(),
            incarnation: incarnation.to_string(),
            address: address.clone(),
        };
        let check = Check {
            check_id: format!("{id}-alive"),
            name: "the shard's process answers".to_owned(),
            grpc: format!("{host}:{port}/{ALIVE}"),
            grpc_use_tls: scheme == "https",
            interval: format!("{}ms", options.check_interval_ms),
            timeout: format!("{}ms", options.check_timeout_ms),
            deregister_critical_service_after: format!("{}s", options.forget_after_s),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { id, name: options.service(), address: host, port, meta, check })
    }
}

/// How the agent knows a shard.
pub fn service_id(shard: &ShardId, options: &ConsulOptions) -> String {
    format!("{}-{shard}", options.fleet)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthEntry {
    service: HealthService,
    checks: Vec<HealthCheck>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthService {
    meta: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthCheck {
    status: String,
}

/// Who is registered, of the health endpoint's answer. Registrations that are not ours are passed over. A shard that stands
/// twice, at two agents, is the healthy one.
///
/// # Errors
/// An answer of another shape.
pub fn registrations(body: &[u8]) -> Result<BTreeMap<ShardId, Registration>, StoreError> {
    let entries: Vec<HealthEntry> = serde_json::from_slice(body).map_err(|error| StoreError::new("consul", error))?;
    let mut registrations: BTreeMap<ShardId, Registration> = BTreeMap::new();
    for entry in entries {
        let Some((shard, registration)) = registration(entry) else { continue };
        let better = registrations.get(&shard).is_none_or(|other| registration.healthy && !other.healthy);
        if better {
            registrations.insert(shard, registration);
        }
    }
    Ok(registrations)
}

fn registration(entry: HealthEntry) -> Option<(ShardId, Registration)> {
    let HealthEntry { service, checks } = entry;
    let Meta { shard, state, incarnation, address } = service.meta?;
    // The node's own check is among them: a dead machine's shards are dead.
    let healthy = checks.iter().all(|check| check.status != "critical");
    let registration = Registration {
        address: Some(address),
        state: state.parse().ok()?,
        healthy,
        incarnation: incarnation.parse().ok()?,
    };
    Some((shard.parse().ok()?, registration))
}

/// A key with its value.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyValue {
    value: Option<String>,
    pub modify_index: u64,
}

impl KeyValue {
    /// The key of an answer for one key.
    ///
    /// # Errors
    /// An answer of another shape.
    pub fn of(body: &[u8]) -> Result<Self, StoreError> {
        let keys: Vec<Self> = serde_json::from_slice(body).map_err(|error| StoreError::new("consul", error))?;
        keys.into_iter().next().ok_or_else(|| StoreError::new("consul", "an answer without the key that was asked for"))
    }

    /// Its value; empty when it has none.
    ///
    /// # Errors
    /// What is not base64.
    pub fn value(&self) -> Result<Vec<u8>, StoreError> {
        BASE64_STANDARD.decode(self.value.as_deref().unwrap_or_default()).map_err(|e| StoreError::new("consul", e))
    }

    /// The record in it.
    ///
    /// # Errors
    /// What cannot be read as one.
    pub fn stored(&self) -> Result<Stored, StoreError> {
        let record = read_record(&self.value()?).map_err(|error| StoreError::new("consul", error))?;
        Ok(Stored { record: Arc::new(record), tag: Tag(self.modify_index.to_string()) })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewSession {
    pub name: String,
    #[serde(rename = "TTL")]
    pub ttl: String,
    pub lock_delay: &'static str,
    pub behavior: &'static str,
}

#[derive(Deserialize)]
pub struct Session {
    #[serde(rename = "ID")]
    pub id: String,
}

#[cfg(test)]
mod tests {
    use discovery::ShardState;

    use super::*;

    fn announced(address: Option<&str>) -> Announcement {
        Announcement {
            shard: ShardId::numbered(3),
            address: address.map(str::to_owned),
            state: ShardState::Serving,
            incarnation: u64::MAX,
        }
    }

    #[test]
    fn a_registration_asks_for_a_grpc_check_of_the_process() {
        let options = ConsulOptions::default();
        let made = ServiceRegistration::of(&announced(Some("http://[::1]:7001")), &options).unwrap();
        let json = serde_json::to_value(&made).unwrap();
        assert_eq!(json["ID"], "chunyun-inventory-shard-3");
        assert_eq!((&json["Address"], &json["Port"]), (&"::1".into(), &7001.into()));
        assert_eq!(json["Check"]["GRPC"], "[::1]:7001/alive");
        assert_eq!(json["Check"]["Interval"], "1000ms");
        assert_eq!(json["Meta"]["incarnation"], "18446744073709551615");
        for nowhere in [None, Some("http://shard"), Some("nonsense")] {
            assert!(ServiceRegistration::of(&announced(nowhere), &options).is_err(), "{nowhere:?}");
        }
    }

    #[test]
    fn health_is_that_of_every_check_and_strangers_are_passed_over() {
        let entry = |shard: &str, node: &str, check: &str| {
            format!(
                r#"{{"Service":{{"Meta":{{"shard":"{shard}","state":"warming","incarnation":"7",
                "address":"http://h:1"}}}},"Checks":[{{"Status":"{node}"}},{{"Status":"{check}"}}]}}"#
            )
        };
        let stranger = r#"{"Service":{"Meta":null},"Checks":[]}"#.to_owned();
        let entries = [
            entry("a", "passing", "passing"),
            entry("b", "critical", "passing"),
            entry("b", "passing", "warning"),
            stranger,
        ];
        let seen = registrations(format!("[{}]", entries.join(",")).as_bytes()).unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen.values().all(|registration| registration.healthy && registration.incarnation == 7));
        let sick = registrations(format!("[{}]", entry("a", "passing", "critical")).as_bytes()).unwrap();
        assert!(!sick.values().next().unwrap().healthy);
    }
}
