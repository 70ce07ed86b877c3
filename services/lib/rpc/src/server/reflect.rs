use super::Endpoint;

/// Reflection for a component's services, in the present version and in the one that older clients ask for.
pub(crate) fn reflection(services: &[&str]) -> Vec<Endpoint> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    };
    const VALID: &str = "descriptor sets are built by our own build";
    vec![Endpoint::of(builder().build_v1().expect(VALID)), Endpoint::of(builder().build_v1alpha().expect(VALID))]
}
