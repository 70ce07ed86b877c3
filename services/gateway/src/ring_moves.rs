//! What a change of the ring moves, and how long moves took. Pure.

use std::collections::{BTreeMap, BTreeSet};

use discovery::{Registration, RingSettings, ShardState};
use domain::SlotId;
use proto::gateway::v1::ring_change::Change as Wire;
use proto::gateway::v1::{MovePauses, RingChange};
use proto::inventory::v1::SlotHandover;
use ring::{Member, ShardId};

use crate::error::Error;

/// Shards that one change may add.
const ADDED_MAX: u32 = 256;
/// A hand-over's two sides began at most so far apart.
const APART_MAX_US: i64 = 60_000_000;

/// A change of the ring's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many shards join.
    Add(u32),
    /// Shards leave.
    Remove(Vec<ShardId>),
    /// A slot is given to a shard by hand.
    Pin(SlotId, ShardId),
    /// A slot goes where hashing says.
    Unpin(SlotId),
    /// A shard's share changes.
    Weigh(ShardId, u32),
}

impl Change {
    /// Reads a change.
    pub fn read(change: Option<&RingChange>) -> Result<Self, Error> {
        let shard = |name: &str| name.parse::<ShardId>().map_err(Error::invalid("change.shard"));
        let slot =
            |number: u32| SlotId::new(u16::try_from(number).unwrap_or(u16::MAX)).map_err(Error::invalid("change.slot"));
        match change.and_then(|change| change.change.as_ref()) {
            None => Err(Error::field("change", "missing")),
            Some(Wire::Add(count)) if (1..=ADDED_MAX).contains(count) => Ok(Self::Add(*count)),
            Some(Wire::Add(_)) => Err(Error::field("change.add", format!("expected 1 to {ADDED_MAX} shards"))),
            Some(Wire::Remove(removed)) if removed.shards.is_empty() => Err(Error::field("change.remove", "missing")),
            Some(Wire::Remove(removed)) => {
                Ok(Self::Remove(removed.shards.iter().map(|name| shard(name)).collect::<Result<_, _>>()?))
            }
            Some(Wire::Pin(pin)) => Ok(Self::Pin(slot(pin.slot)?, shard(&pin.shard)?)),
            Some(Wire::Unpin(number)) => Ok(Self::Unpin(slot(*number)?)),
            Some(Wire::Weight(weight)) => Ok(Self::Weigh(shard(&weight.shard)?, weight.weight)),
        }
    }

    /// The settings after the change. Whether they make a ring is for whoever edits to say.
    pub fn apply(
        &self,
        present: &RingSettings,
        registered: &BTreeMap<ShardId, Registration>,
    ) -> Result<RingSettings, Error> {
        let mut settings = present.clone();
        let member = |shard: &ShardId| {
            if present.has(shard) { Ok(()) } else { Err(Error::field("change.shard", format!("{shard} is no member"))) }
        };
        match self {
            Self::Add(count) => settings.members.extend(newcomers(present, registered, *count as usize)),
            Self::Remove(shards) => {
                shards.iter().try_for_each(member)?;
                settings.members.retain(|member| !shards.contains(&member.shard));
                settings.pins.retain(|_, shard| !shards.contains(shard));
                if settings.members.is_empty() {
                    return Err(Error::field("change.remove", "nobody would be left"));
                }
            }
            Self::Pin(slot, shard) => {
                member(shard)?;
                settings.pins.insert(*slot, shard.clone());
            }
            Self::Unpin(slot) => {
                if settings.pins.remove(slot).is_none() {
                    return Err(Error::field("change.unpin", format!("slot {slot} is not pinned")));
                }
            }
            Self::Weigh(shard, weight) => {
                member(shard)?;
                let changed = settings.members.iter_mut().filter(|member| member.shard == *shard);
                changed.for_each(|member| member.weight = *weight);
            }
        }
        Ok(settings)
    }
}

/// The shards that join: first those that stand ready, then those with the next numbers.
fn newcomers(present: &RingSettings, registered: &BTreeMap<ShardId, Registration>, count: usize) -> Vec<Member> {
    let ready = |registration: &Registration| registration.healthy && registration.state != ShardState::Leaving;
    let mut waiting: Vec<ShardId> =
        registered.iter().filter(|(_, it)| ready(it)).map(|(shard, _)| shard.clone()).collect();
    // By number, as far as names end in numbers of one length.
    waiting.sort_by_key(|shard| (shard.as_str().len(), shard.clone()));
    let mut seen: BTreeSet<ShardId> = present.members.iter().map(|member| member.shard.clone()).collect();
    let numbered = (0..domain::SLOTS).map(ShardId::numbered);
    let joining = waiting.into_iter().chain(numbered).filter(|shard| seen.insert(shard.clone()));
    joining.take(count).map(Member::ordinary).collect()
}

/// What one slot's move took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMove {
    /// The slot.
    pub slot: u32,
    /// Its train-dates.
    pub train_dates: u32,
    /// How long nobody admitted requests for it, in us.
    pub pause_us: i64,
}

/// Puts both sides of hand-overs together. Where the giver is not known, the pause counts from when the taker was told.
pub fn moves(handovers: &[SlotHandover], givers_needed: bool) -> Vec<SlotMove> {
    let taken = handovers.iter().filter(|handover| handover.taken);
    let paired = taken.filter_map(|taken| {
        let gave = |given: &&SlotHandover| {
            !given.taken
                && given.slot == taken.slot
                && given.began_at_us <= taken.ended_at_us
                && (given.began_at_us - taken.began_at_us).abs() < APART_MAX_US
        };
        let given = handovers.iter().filter(gave).max_by_key(|given| given.began_at_us);
        let from = match given {
            Some(given) => given.began_at_us,
            None if givers_needed => return None,
            None => taken.began_at_us,
        };
        let pause_us = (taken.ended_at_us - from).max(0);
        Some(SlotMove { slot: taken.slot, train_dates: taken.train_dates, pause_us })
    });
    paired.collect()
}

/// The pauses of moves: each train-date counts once.
pub fn pauses(moves: &[SlotMove]) -> MovePauses {
    let mut each: Vec<i64> =
        moves.iter().flat_map(|it| std::iter::repeat_n(it.pause_us, it.train_dates as usize)).collect();
    each.sort_unstable();
    let rank = |share: f64| {
        let index = ((each.len() as f64 * share).ceil() as usize).clamp(1, each.len().max(1)) - 1;
        each.get(index).map_or(0.0, |us| *us as f64 / 1_000.0)
    };
    MovePauses {
        slots: moves.len() as u32,
        train_dates: each.len() as u32,
        p50_ms: rank(0.5),
        p99_ms: rank(0.99),
        longest_ms: rank(1.0),
        under_100_ms: each.iter().filter(|us| **us < 100_000).count() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(number: u16) -> ShardId {
        ShardId::numbered(number)
    }

    fn settings(count: u16) -> RingSettings {
        RingSettings::first((0..count).map(|number| Member::ordinary(shard(number))).collect())
    }

    fn ready(state: ShardState) -> Registration {
        Registration { address: None, state, healthy: true, incarnation: 1 }
    }

    #[test]
    fn those_who_stand_ready_join_first_and_then_the_next_numbers() {
        let registered = BTreeMap::from([
            (shard(0), ready(ShardState::Serving)),
            (shard(7), ready(ShardState::Warming)),
            (shard(8), ready(ShardState::Leaving)),
        ]);
        let after = Change::Add(3).apply(&settings(2), &registered).unwrap();
        let names: Vec<ShardId> = after.members.into_iter().map(|member| member.shard).collect();
        assert_eq!(names, [0, 1, 7, 2, 3].map(shard));
    }

    #[test]
    fn a_shard_that_leaves_takes_its_pins_along_and_the_last_one_stays() {
        let slot = SlotId::new(5).unwrap();
        let pinned = Change::Pin(slot, shard(1)).apply(&settings(2), &BTreeMap::new()).unwrap();
        assert_eq!(pinned.pins, BTreeMap::from([(slot, shard(1))]));
        let left = Change::Remove(vec![shard(1)]).apply(&pinned, &BTreeMap::new()).unwrap();
        assert!(left.pins.is_empty() && left.members.len() == 1);
        assert!(Change::Remove(vec![shard(0)]).apply(&left, &BTreeMap::new()).is_err());
        assert!(Change::Unpin(slot).apply(&left, &BTreeMap::new()).is_err(), "it is not pinned any more");
    }

    #[test]
    fn a_pause_lasts_from_the_givers_first_moment_to_the_takers() {
        let side = |taken, began_at_us, ended_at_us, train_dates| SlotHandover {
            slot: 3,
            taken,
            began_at_us,
            ended_at_us,
            train_dates,
            train_dates_warm: 0,
            train_dates_known: taken,
            number: 0,
        };
        // Told at 1.000 s, given up at 1.020 s; the taker was told at 1.005 s and answers at 1.050 s.
        let both = [side(false, 1_000_000, 1_020_000, 0), side(true, 1_005_000, 1_050_000, 2)];
        assert_eq!(moves(&both, true), [SlotMove { slot: 3, train_dates: 2, pause_us: 50_000 }]);
        assert_eq!(moves(&both[1..], false)[0].pause_us, 45_000);
        assert!(moves(&both[1..], true).is_empty());
        let told = pauses(&[
            SlotMove { slot: 1, train_dates: 3, pause_us: 20_000 },
            SlotMove { slot: 2, train_dates: 1, pause_us: 300_000 },
        ]);
        assert_eq!((told.train_dates, told.under_100_ms, told.p50_ms, told.longest_ms), (4, 3, 20.0, 300.0));
    }
}
