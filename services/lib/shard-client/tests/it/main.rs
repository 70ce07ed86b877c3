//! The router and its hold lines against shards played by the test, over in-process links.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod fake_shard;
mod holding;
mod routing;
