//! Hosts any set of roles; operator commands, client, demo and audit.
fn main() {}
