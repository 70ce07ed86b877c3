use std::collections::BTreeMap;

use domain::{Invalid, Time};
use ring::ShardId;

use crate::{Registration, RingRecord, ShardState, Standing};

/// More losses than this wait no longer.
const FLAPS_MAX: u32 = 16;

/// How quickly the ring follows what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// A member that is gone for less keeps its slots, in ms.
    pub grace_ms: u32,
    /// A member that was not lost before counts after having served for this long, in ms.
    pub settle_ms: u32,
    /// One that was lost once must have served for this long, twice as long after each further loss, in ms.
    pub trust_ms: u32,
    /// At most for this long, in ms.
    pub trust_max_ms: u32,
    /// Losses are forgotten after it has served for this long without one, in ms.
    pub forgive_ms: u32,
    /// After the observer itself saw nobody, nobody is left out for this long whom it has not seen serve since, in ms: they
    /// may only be late.
    pub recovery_ms: u32,
}

/// Watches which shards live and says what the record should become. Its times are the observer's own and need no
/// relation to anybody else's clock.
#[derive(Clone, Debug)]
pub struct Judge {
    damping: Damping,
    seen: BTreeMap<ShardId, Seen>,
    /// Nobody is to be seen, or nothing at all.
    blind: bool,
    /// After blindness, of those not seen yet; see [`Damping::recovery_ms`].
    nobody_lost_before: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Healthy and willing.
    Serving,
    /// Not there, not answering, or not ready to own anything.
    Unusable,
    /// Says that it goes.
    Leaving,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    condition: Condition,
    since: Time,
    /// Whether it has served since the observer was last blind: if it does not any more, it is not late but gone.
    has_served: bool,
}

impl Default for Damping {
    /// A process that dies is left out some 2.5 s later: its health check fails within 1 s.
    fn default() -> Self {
        Self {
            grace_ms: 1_500,
            settle_ms: 250,
            trust_ms: 2_000,
            trust_max_ms: 60_000,
            forgive_ms: 300_000,
            recovery_ms: 10_000,
        }
    }
}

impl Damping {
    /// Refuses what would never settle.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |field, allowed, value: u32, range: std::ops::RangeInclusive<u32>| {
            if range.contains(&value) { Ok(()) } else { Err(Invalid::new(field, allowed, &value.to_string())) }
        };
        within("grace_ms", "100 to 60000", self.grace_ms, 100..=60_000)?;
        within("settle_ms", "0 to 60000", self.settle_ms, 0..=60_000)?;
        within("trust_ms", "100 to trust_max_ms", self.trust_ms, 100..=self.trust_max_ms)?;
        within("trust_max_ms", "100 to 3600000", self.trust_max_ms, 100..=3_600_000)?;
        within("forgive_ms", "trust_max_ms to 86400000", self.forgive_ms, self.trust_max_ms..=86_400_000)?;
        within("recovery_ms", "0 to 600000", self.recovery_ms, 0..=600_000)
    }

    /// How long a member must have served before it counts again.
    fn trust_after(&self, flaps: u32) -> u32 {
        match flaps {
            0 => self.settle_ms,
            _ => self.trust_ms.saturating_mul(1 << (flaps - 1).min(FLAPS_MAX)).min(self.trust_max_ms),
        }
    }
}

impl Judge {
    /// One that has seen nothing yet.
    pub fn new(damping: Damping) -> Self {
        Self { damping, seen: BTreeMap::new(), blind: true, nobody_lost_before: Time::from_millis(0) }
    }

    /// Takes note of who is registered now, of all that `record` knows.
    pub fn observe(&mut self, record: &RingRecord, registrations: &BTreeMap<ShardId, Registration>, now: Time) {
        let mut anybody = false;
        let mut seen = BTreeMap::new();
        for (shard, _) in record.standings() {
            let condition = condition(registrations.get(shard));
            anybody |= condition == Condition::Serving;
            let before = self.seen.get(shard);
            let since = before.filter(|before| before.condition == condition).map_or(now, |before| before.since);
            let has_served = condition == Condition::Serving || before.is_some_and(|before| before.has_served);
            seen.insert(shard.clone(), Seen { condition, since, has_served });
        }
        self.seen = seen;
        if !anybody {
            self.blind = true;
            self.seen.values_mut().for_each(|seen| seen.has_served = false);
        } else if self.blind {
            self.blind = false;
            self.nobody_lost_before = now.plus_millis(self.damping.recovery_ms.into());
        }
    }

    /// Takes note that nothing can be seen at present.
    pub fn lost_sight(&mut self) {
        self.blind = true;
        self.seen.clear();
    }

    /// What the record should become, if anything.
    pub fn judge(&self, record: &RingRecord, now: Time) -> Option<RingRecord> {
        let due = record.standings().filter_map(|(shard, standing)| {
            let (at, next) = self.verdict(record, shard, standing)?;
            (at <= now).then(|| (shard.clone(), next))
        });
        let due: BTreeMap<_, _> = due.collect();
        if due.is_empty() { None } else { record.with_standings(due) }
    }

    /// When [`Judge::judge`] next comes to another answer if nothing else is seen.
    pub fn next_verdict(&self, record: &RingRecord, now: Time) -> Option<Time> {
        let due = record.standings().filter_map(|(shard, standing)| self.verdict(record, shard, standing));
        due.map(|(at, _)| at).filter(|at| *at > now).min()
    }

    /// How a member will stand, and from when on; none while it stays as it is.
    fn verdict(&self, record: &RingRecord, shard: &ShardId, standing: Standing) -> Option<(Time, Standing)> {
        let Seen { condition, since, has_served } = *self.seen.get(shard)?;
        let Standing { counted, flaps } = standing;
        let after = |ms: u32| since.plus_millis(ms.into());
        match condition {
            Condition::Leaving if counted => Some((since, Standing { counted: false, flaps })),
            Condition::Unusable if counted && !self.blind => {
                let grace = after(self.damping.grace_ms);
                let at = if has_served { grace } else { grace.max(self.nobody_lost_before) };
                Some((at, Standing { counted: false, flaps: (flaps + 1).min(FLAPS_MAX) }))
            }
            Condition::Serving if !counted && flaps == 0 => {
                let at = self.newcomers_settled(record).max(after(self.damping.settle_ms));
                Some((at, Standing { counted: true, flaps }))
            }
            Condition::Serving if !counted => {
                Some((after(self.damping.trust_after(flaps)), Standing { counted: true, flaps }))
            }
            Condition::Serving if flaps > 0 => {
                Some((after(self.damping.forgive_ms), Standing { counted: true, flaps: 0 }))
            }
            _ => None,
        }
    }

    /// When the last of those who join has served for long enough: they come together, so that no slot moves from one of them
    /// to the next.
    fn newcomers_settled(&self, record: &RingRecord) -> Time {
        let joining = record.standings().filter(|(_, standing)| !standing.counted && standing.flaps == 0);
        let serving =
            joining.filter_map(|(shard, _)| self.seen.get(shard)).filter(|it| it.condition == Condition::Serving);
        serving.map(|it| it.since.plus_millis(self.damping.settle_ms.into())).max().unwrap_or_default()
    }
}

fn condition(registration: Option<&Registration>) -> Condition {
    match registration {
        Some(registration) if registration.serves() => Condition::Serving,
        Some(Registration { state: ShardState::Leaving, .. }) => Condition::Leaving,
        _ => Condition::Unusable,
    }
}
