use domain::Invalid;
use membership::Damping;
use serde::Deserialize;

/// How the ring is kept, whatever it is kept in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedOptions {
    /// A shard that is gone for less keeps its slots, in ms.
    pub grace_ms: u32,
    /// A shard that was not lost before owns slots after having served for this long, in ms.
    pub settle_ms: u32,
    /// One that was lost once must have served for this long, twice as long after each further loss, in ms.
    pub trust_ms: u32,
    /// At most for this long, in ms.
    pub trust_max_ms: u32,
    /// Losses are forgotten after it has served for this long, in ms.
    pub forgive_ms: u32,
    /// After none was to be seen, no shard is left out for this long that has not been seen since, in ms.
    pub recovery_ms: u32,
    /// How long a process that starts waits for the first record, in ms.
    pub start_ms: u32,
    /// The first pause after the store refused or could not be reached, in ms; later ones double.
    pub retry_ms: u32,
    /// The longest pause, in ms.
    pub retry_max_ms: u32,
    /// How long a shard that leaves waits for its registration to be gone, in ms.
    pub leave_ms: u32,
    /// How often the editor's lock is renewed, in ms.
    pub lock_renew_ms: u32,
}

impl Default for SharedOptions {
    fn default() -> Self {
        let Damping { grace_ms, settle_ms, trust_ms, trust_max_ms, forgive_ms, recovery_ms } = Damping::default();
        Self {
            grace_ms,
            settle_ms,
            trust_ms,
            trust_max_ms,
            forgive_ms,
            recovery_ms,
            start_ms: 30_000,
            retry_ms: 100,
            retry_max_ms: 5_000,
            leave_ms: 2_000,
            lock_renew_ms: 3_000,
        }
    }
}

impl SharedOptions {
    /// Refuses what could not work.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |field, allowed, value: u32, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
        };
        self.damping().validate()?;
        within("start_ms", "100 to 600000", self.start_ms, 100..=600_000)?;
        within("retry_max_ms", "10 to 60000", self.retry_max_ms, 10..=60_000)?;
        within("retry_ms", "10 to retry_max_ms", self.retry_ms, 10..=self.retry_max_ms)?;
        within("leave_ms", "0 to 60000", self.leave_ms, 0..=60_000)?;
        // A lock lapses after 10 s at the least.
        within("lock_renew_ms", "100 to 5000", self.lock_renew_ms, 100..=5_000)
    }

    /// How quickly the ring follows what is seen.
    pub fn damping(&self) -> Damping {
        Damping {
            grace_ms: self.grace_ms,
            settle_ms: self.settle_ms,
            trust_ms: self.trust_ms,
            trust_max_ms: self.trust_max_ms,
            forgive_ms: self.forgive_ms,
            recovery_ms: self.recovery_ms,
        }
    }
}
