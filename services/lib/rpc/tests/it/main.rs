//! The stack as callers see it: every story over a real socket and, where it can differ, in-process.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod calls;
mod catalogue;
mod drain;
mod fixture;
mod identity;
mod reflection;
mod wire;
