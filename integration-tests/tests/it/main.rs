//! Stories over real processes and real engines, one a file.
//!
//! The binary under test is the one that `CHUNYUN_BINARY` names; without it, the release or debug build of this workspace.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod bad_input;
mod canary;
mod crash;
mod crate_graph;
mod disk_full;
mod fleet;
mod frozen_owner;
mod journal_unreachable;
mod killed_shard;
mod lost_discovery;
mod money_terminal;
mod moves;
mod one_effect;
mod partition;
mod postgres_killed;
mod reflection;
mod refused_by_rule;
mod saga_faults;
mod support;
mod terminal;
