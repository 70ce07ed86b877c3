use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use ring::ShardId;

/// A shard's pod as its EndpointSlice shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Whether it passes its readiness probe.
    pub serving: bool,
    /// Whether it has been told to end.
    pub terminating: bool,
}

/// The shards' pods, by the hostnames that their StatefulSet gives them. A shard whose old pod still ends is its new one.
pub fn pods<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> BTreeMap<ShardId, Pod> {
    let mut pods: BTreeMap<ShardId, Pod> = BTreeMap::new();
    for endpoint in slices.flat_map(|slice| &slice.endpoints) {
        let Some(shard) = shard(endpoint) else { continue };
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let pod = Pod {
            // Not `ready`: that is always true where unready addresses are published. Unknown counts as true.
            serving: conditions.serving.or(conditions.ready).unwrap_or(true),
            terminating: conditions.terminating.unwrap_or(false),
        };
        let rank = |pod: &Pod| (!pod.terminating, pod.serving);
        if pods.get(&shard).is_none_or(|other| rank(&pod) > rank(other)) {
            pods.insert(shard, pod);
        }
    }
    pods
}

fn shard(endpoint: &Endpoint) -> Option<ShardId> {
    let of_target = || endpoint.target_ref.as_ref().and_then(|target| target.name.as_deref());
    endpoint.hostname.as_deref().or_else(of_target)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_slice_as_the_endpoint_controller_writes_it_is_read() {
        let slice: EndpointSlice = from_value(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "chunyun-inventory-shard-x7k2p",
                "labels": {"kubernetes.io/service-name": "chunyun-inventory-shard"}},
            "ports": [{"name": "grpc", "port": 7001, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["10.1.0.5"], "hostname": "chunyun-inventory-shard-0", "nodeName": "a",
                    "conditions": {"ready": true, "serving": true, "terminating": false}},
                {"addresses": ["10.1.0.6"], "hostname": "chunyun-inventory-shard-1",
                    "conditions": {"ready": true, "serving": false, "terminating": false}},
                {"addresses": ["10.1.0.7"], "targetRef": {"kind": "Pod", "name": "chunyun-inventory-shard-2"},
                    "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.1.0.8"], "conditions": {}},
            ],
        }))
        .unwrap();
        let replaced: EndpointSlice = from_value(json!({
            "addressType": "IPv4", "metadata": {},
            "endpoints": [{"addresses": ["10.1.0.9"], "hostname": "chunyun-inventory-shard-2"}],
        }))
        .unwrap();
        let shard = |n: u8| format!("chunyun-inventory-shard-{n}").parse().unwrap();
        let expected = [
            (shard(0), Pod { serving: true, terminating: false }),
            (shard(1), Pod { serving: false, terminating: false }),
            (shard(2), Pod { serving: true, terminating: true }),
        ];
        assert_eq!(pods([&slice].into_iter()), expected.into());
        let both = pods([&slice, &replaced].into_iter());
        assert_eq!(both[&shard(2)], Pod { serving: true, terminating: false });
    }
}
