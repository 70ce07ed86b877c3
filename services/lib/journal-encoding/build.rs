//! Compiles the journal's package alone, so that readers of the journal need no other generated code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = format!("{}/../../../proto", std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={root}/chunyun/journal");
    let descriptors = protox::compile(["chunyun/journal/v1/journal.proto"], [&root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
