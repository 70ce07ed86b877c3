use std::time::Duration;

use ownership::Limits;

use crate::HousekeepingOptions;

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The name that the journal notes for the slots it owns.
    pub owner: String,
    /// Worker lanes. Slots are dealt out to them by number; each commits for all its slots at once.
    pub lanes: usize,
    /// Messages that may wait in front of one lane; a message is one request or a whole batch of them.
    pub inbox_messages_max: usize,
    /// How long a statement of the journal may take before its outcome counts as unknown.
    pub journal_timeout: Duration,
    /// How many changed runs are remembered for those who watch.
    pub changes_max: usize,
    /// When the journal is made shorter.
    pub housekeeping: HousekeepingOptions,
    /// Bounds of each lane's owner.
    pub limits: Limits,
}

impl EngineOptions {
    /// The usual bounds, with a name.
    pub fn named(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            lanes: 2,
            inbox_messages_max: 8_192,
            journal_timeout: Duration::from_secs(5),
            changes_max: 100_000,
            housekeeping: HousekeepingOptions::default(),
            limits: Limits::default(),
        }
    }
}
