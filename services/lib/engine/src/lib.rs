//! The engine of a shard: runs the owner of slots on a journal.
//!
//! A small fixed number of worker lanes each own some slots. A lane is one task: it executes requests in memory as they
//! come, commits for all its slots in one statement, and keeps every answer back until the journal has what it rests on.
//! Whatever came in during the last commit makes the next batch; no timer is involved.
//!
//! What may be answered when is decided by the `ownership` crate, which the seeded simulation tests; this crate performs.
//!
//! ```no_run
//! # async fn example(journal: std::sync::Arc<dyn journal::Journal>, run: domain::Run, command: inventory::Command) {
//! use std::time::Duration;
//! let engine = engine::Engine::start(journal, engine::EngineOptions::named("shard-1"));
//! let handle = engine.handle();
//! handle.own(domain::SlotId::all().collect()).await;
//! let decision = handle.submit(run, None, command, Duration::from_secs(5)).await;
//! engine.shutdown(Duration::from_secs(20)).await;
//! # }
//! ```

mod changes;
mod decision;
mod engine;
mod handle;
mod handovers;
mod history;
mod housekeeping;
mod lane;
mod metrics;
mod options;
mod reply_queue;
mod uptime;
mod warm;

pub use changes::{Changes, ChangesSince, RunChange};
pub use decision::{Decision, EngineError, Outcome, Viewed};
pub use engine::Engine;
pub use handle::{EngineHandle, Submission};
pub use handovers::{Handover, HandoverKind};
pub use housekeeping::HousekeepingOptions;
pub use metrics::{EngineCounts, EngineMetrics};
pub use options::EngineOptions;
pub use ownership::{Epoch, Failure, Limits, Occupancy, Priority, Version};
pub use reply_queue::{Answered, ReplyQueue};
pub use warm::Warmed;
