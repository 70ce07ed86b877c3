use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;

/// What the stack needs to know of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    /// The path as metrics and spans name it; `other` for paths that do not exist, so that callers cannot invent labels.
    pub label: &'static str,
    /// Whether the caller sends many messages.
    pub client_streaming: bool,
    /// Whether the server sends many messages.
    pub server_streaming: bool,
}

impl Method {
    /// Whether the call may outlive the deadline cap.
    pub fn is_stream(self) -> bool {
        self.client_streaming || self.server_streaming
    }
}

const OTHER: Method = Method { label: "other", client_streaming: false, server_streaming: false };

/// The method at a path such as `/chunyun.order.v1.OrderService/GetOrder`.
pub(crate) fn at(path: &str) -> Method {
    METHODS.get(path).copied().unwrap_or(OTHER)
}

static METHODS: LazyLock<HashMap<&'static str, Method>> = LazyLock::new(|| {
    let sets = [proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET, REFLECTION_V1, REFLECTION_V1ALPHA];
    sets.into_iter().flat_map(methods).map(|method| (method.label, method)).collect()
});

const REFLECTION_V1: &[u8] = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
const REFLECTION_V1ALPHA: &[u8] = tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET;

fn methods(encoded: &[u8]) -> Vec<Method> {
    let set = FileDescriptorSet::decode(encoded).expect("descriptor sets are built by our own build");
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.push(Method {
                    // Built once per process and kept for its life.
                    label: path.leak(),
                    client_streaming: method.client_streaming(),
                    server_streaming: method.server_streaming(),
                });
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_from_unary_calls() {
        assert!(!at("/chunyun.order.v1.OrderService/GetOrder").is_stream());
        assert!(at("/chunyun.order.v1.OrderService/WatchOrder").server_streaming);
        let hold_stream = at("/chunyun.inventory.v1.InventoryService/HoldStream");
        assert!(hold_stream.client_streaming && hold_stream.server_streaming);
        assert!(at("/grpc.health.v1.Health/Watch").is_stream());
        assert!(at("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo").is_stream());
        assert_eq!(at("/nobody/Knows").label, "other");
    }
}
