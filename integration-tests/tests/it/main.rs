//! Stories over real processes and real engines, one a file.
//!
//! The binary under test is the one that `CHUNYUN_BINARY` names; without it, the release or debug build of this workspace.

mod bad_input;
mod crash;
mod crate_graph;
mod fleet;
mod reflection;
mod support;
mod terminal;
