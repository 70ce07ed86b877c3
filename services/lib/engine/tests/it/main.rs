//! The engine on real journals: one suite on every backend, and what only a network can do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commits;
mod handover;
mod housekeeping;
mod kit;
mod network;
mod overload;
mod ownership;
mod proxy;
mod selling;
mod throughput;
