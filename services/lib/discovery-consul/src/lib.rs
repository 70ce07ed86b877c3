//! Keeps registrations, the ring's record and the editor's lock in Consul.
//!
//! Shards are registered at the local agent with a gRPC health check, so that a process that dies is seen without its help.
//! Health and the record are watched with blocking queries. The record is one key that is replaced by compare-and-set on
//! its ModifyIndex; the editor's lock is a session with a time to live.
//!
//! The adapter speaks HTTP itself: it needs a dozen lines of three endpoints, and of them the client library has neither
//! registration at the agent with a gRPC check nor renewal of sessions.

mod api;
mod options;
mod store;
mod watch;
mod wire;

pub use options::ConsulOptions;
pub use store::ConsulStore;
