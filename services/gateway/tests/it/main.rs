//! The gateway as its clients see it, over a real socket, with the roles behind it played by the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod fake_roles;
mod fake_shard;
mod fixture;
mod forwarding;
mod operator;
mod placing;
mod refusing;
mod streaming;
