use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What an engine has done since it started. Counters only go up.
        #[derive(Debug, Default)]
        pub struct EngineMetrics {
            $(pub(crate) $name: AtomicU64,)*
            pub(crate) checkpoint_behind: AtomicU64,
        }

        /// The counters of [`EngineMetrics`] at a moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct EngineCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl EngineMetrics {
            /// How many batches the slot that is furthest behind its checkpoint has after it. Goes up and down.
            pub fn checkpoint_behind(&self) -> u64 {
                self.checkpoint_behind.load(Relaxed)
            }

            /// The counters now.
            pub fn counts(&self) -> EngineCounts {
                EngineCounts { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl EngineCounts {
            /// Each counter with its name, for exporters.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counts! {
    /// Commands accepted and durable.
    accepted,
    /// Commands that had been accepted before.
    repeated,
    /// Commands refused.
    refused,
    /// Reads answered.
    viewed,
    /// Requests answered with unavailable.
    unavailable,
    /// Requests shed because too much was waiting.
    overloaded,
    /// Requests whose deadline passed before they were executed.
    deadline_exceeded,
    /// Requests for slots of other shards.
    not_owner,
    /// Requests for quarantined runs.
    quarantined_requests,
    /// Runs taken out of service.
    quarantined_runs,
    /// Batches committed, one per slot.
    batches_committed,
    /// Runs changed by committed batches, each once per batch.
    runs_committed,
    /// Append statements sent.
    appends,
    /// Batches refused because another owner has the slot.
    batches_fenced,
    /// Batches whose outcome is not known.
    batches_unknown,
    /// Time spent in append statements, in µs.
    append_us,
    /// Bytes appended.
    append_bytes,
    /// Slots claimed.
    slots_claimed,
    /// Slots taken from an owner that had not given them up.
    slots_taken_over,
    /// Slots given up in the journal.
    slots_given_up,
    /// Runs that were in memory when their slot was claimed.
    runs_warm,
    /// Claims without an answer, one per slot.
    claims_unknown,
    /// Heartbeats answered.
    heartbeats,
    /// Heartbeats without an answer.
    heartbeats_failed,
    /// Runs loaded.
    runs_loaded,
    /// Runs whose load failed.
    loads_failed,
    /// Time spent loading runs, in µs.
    load_us,
    /// Snapshots stored.
    snapshots_stored,
    /// Snapshots lost, without harm.
    snapshots_failed,
    /// Checkpoints written.
    checkpoints,
    /// Snapshots written for a checkpoint's sake.
    checkpoint_snapshots,
    /// Batches purged behind a checkpoint.
    batches_purged,
    /// Rounds of housekeeping that were cut short because the journal did not answer.
    housekeeping_failed,
}

impl EngineMetrics {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }
}
