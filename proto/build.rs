//! Compiles every package with protox, so that no system protoc is needed, and keeps the descriptor set for reflection.

use std::path::PathBuf;

const PROTOS: [&str; 11] = [
    "chunyun/common/v1/common.proto",
    "chunyun/gateway/v1/gateway_service.proto",
    "chunyun/gateway/v1/operator_service.proto",
    "chunyun/inventory/v1/inventory_service.proto",
    "chunyun/inventory/v1/shard_operator_service.proto",
    "chunyun/order/v1/order_operator_service.proto",
    "chunyun/order/v1/order_service.proto",
    "chunyun/payment/v1/payment_service.proto",
    "chunyun/provider/v1/sandbox_provider_service.proto",
    "chunyun/query/v1/query_service.proto",
    "chunyun/waitlist/v1/waitlist_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::var("CARGO_MANIFEST_DIR")?;
    println!("cargo::rerun-if-changed={root}/chunyun");
    let descriptors = protox::compile(PROTOS, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .extern_path(".chunyun.journal.v1", "::journal_encoding::v1")
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
