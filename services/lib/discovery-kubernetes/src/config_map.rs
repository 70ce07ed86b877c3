use std::collections::BTreeMap;
use std::sync::Arc;

use discovery::{Announcement, Registration, ShardState, StoreError, Stored, Tag, read_record};
use k8s_openapi::api::core::v1::ConfigMap;
use ring::ShardId;
use serde::{Deserialize, Serialize};

use crate::endpoints::Pod;

/// The key of the record.
pub const RECORD: &str = "record.json";
/// Keys of shards begin so.
const SHARD: &str = "shard.";

/// What a shard says of itself.
#[derive(Serialize, Deserialize)]
struct ShardDocument {
    state: String,
    /// As text: JSON's numbers end at 53 bits for most readers.
    incarnation: String,
    address: Option<String>,
}

/// The key of a shard.
pub fn shard_key(shard: &ShardId) -> String {
    format!("{SHARD}{shard}")
}

/// The value of a shard's key.
pub fn shard_value(announcement: &Announcement) -> String {
    let Announcement { address, state, incarnation, .. } = announcement;
    let document =
        ShardDocument { state: state.to_string(), incarnation: incarnation.to_string(), address: address.clone() };
    serde_json::to_string(&document).expect("text is JSON")
}

/// The record of the ConfigMap, with its resourceVersion.
///
/// # Errors
/// A record that cannot be read.
pub fn stored(map: &ConfigMap) -> Result<Option<Stored>, StoreError> {
    let Some(text) = map.data.as_ref().and_then(|data| data.get(RECORD)) else { return Ok(None) };
    let record = read_record(text.as_bytes()).map_err(|error| StoreError::new("kubernetes", error))?;
    let tag = Tag(map.metadata.resource_version.clone().unwrap_or_default());
    Ok(Some(Stored { record: Arc::new(record), tag }))
}

/// Who is registered: what each shard says, and whether its pod is there.
pub fn registrations(map: Option<&ConfigMap>, pods: &BTreeMap<ShardId, Pod>) -> BTreeMap<ShardId, Registration> {
    let data = map.and_then(|map| map.data.as_ref()).into_iter().flatten();
    data.filter_map(|(key, value)| {
        let shard: ShardId = key.strip_prefix(SHARD)?.parse().ok()?;
        let ShardDocument { state, incarnation, address } = serde_json::from_str(value).ok()?;
        let pod = pods.get(&shard);
        // A pod that has been told to end leaves, also before its process has said so.
        let leaves = pod.is_some_and(|pod| pod.terminating);
        let state = if leaves { ShardState::Leaving } else { state.parse().ok()? };
        let healthy = pod.is_some_and(|pod| pod.serving);
        Some((shard, Registration { address, state, healthy, incarnation: incarnation.parse().ok()? }))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_the_word_of_the_shard_and_the_sight_of_its_pod() {
        let announced = |n, state| Announcement {
            shard: ShardId::numbered(n),
            address: Some("http://h:1".into()),
            state,
            incarnation: u64::MAX,
        };
        let said =
            [announced(0, ShardState::Warming), announced(1, ShardState::Serving), announced(2, ShardState::Serving)];
        let mut data: BTreeMap<String, String> =
            said.iter().map(|it| (shard_key(&it.shard), shard_value(it))).collect();
        data.insert("shard.inventory-shard-9".into(), "not ours".into());
        data.insert(RECORD.into(), "{}".into());
        let map = ConfigMap { data: Some(data), ..ConfigMap::default() };
        let pods = BTreeMap::from([
            (ShardId::numbered(0), Pod { serving: true, terminating: false }),
            (ShardId::numbered(1), Pod { serving: true, terminating: true }),
            (ShardId::numbered(7), Pod { serving: true, terminating: false }),
        ]);
        let seen = registrations(Some(&map), &pods);
        let short: Vec<_> = seen.values().map(|it| (it.state, it.healthy)).collect();
        assert_eq!(short, [(ShardState::Warming, true), (ShardState::Leaving, true), (ShardState::Serving, false)]);
        assert!(seen.values().all(|it| it.incarnation == u64::MAX && it.address.as_deref() == Some("http://h:1")));
        assert!(registrations(None, &pods).is_empty());
    }
}
