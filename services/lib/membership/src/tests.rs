use std::collections::BTreeMap;

use domain::{SlotId, Time};
use proptest::prelude::*;
use ring::{Member, Ring, ShardId};

use super::*;

const DAMPING: Damping = Damping {
    grace_ms: 1_500,
    settle_ms: 250,
    trust_ms: 2_000,
    trust_max_ms: 60_000,
    forgive_ms: 300_000,
    recovery_ms: 10_000,
};

fn shard(ordinal: u16) -> ShardId {
    ShardId::numbered(ordinal)
}

fn founded(count: u16) -> RingRecord {
    RingRecord::founded(RingSettings::first((0..count).map(|n| Member::ordinary(shard(n))).collect())).unwrap()
}

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn registered(states: &[(u16, ShardState)]) -> BTreeMap<ShardId, Registration> {
    let registration = |state| Registration { address: None, state, healthy: true, incarnation: 1 };
    states.iter().map(|(ordinal, state)| (shard(*ordinal), registration(*state))).collect()
}

fn serving(ordinals: &[u16]) -> BTreeMap<ShardId, Registration> {
    registered(&ordinals.iter().map(|ordinal| (*ordinal, ShardState::Serving)).collect::<Vec<_>>())
}

fn counted(record: &RingRecord) -> Vec<u16> {
    (0..64).filter(|ordinal| record.standing(&shard(*ordinal)).counted).collect()
}

/// A judge that has seen all of a record's members serve.
fn settled(record: &RingRecord, ordinals: &[u16]) -> Judge {
    let mut judge = Judge::new(DAMPING);
    judge.observe(record, &serving(ordinals), at(0));
    judge
}

/// What becomes of a record under what is seen from a moment on, at the moment the judge itself names.
fn next(judge: &mut Judge, record: &RingRecord, seen: &BTreeMap<ShardId, Registration>, now: i64) -> (RingRecord, i64) {
    judge.observe(record, seen, at(now));
    if let Some(next) = judge.judge(record, at(now)) {
        return (next, now);
    }
    let due = judge.next_verdict(record, at(now)).expect("something is to change");
    assert_eq!(judge.judge(record, Time::from_millis(due.millis() - 1)), None, "not before its time");
    (judge.judge(record, due).expect("a change at its time"), due.millis())
}

#[test]
fn a_lost_member_is_left_out_after_the_grace_and_not_before() {
    let record = founded(4);
    let mut judge = settled(&record, &[0, 1, 2, 3]);
    let (after, when) = next(&mut judge, &record, &serving(&[0, 1, 3]), 20_000);
    assert_eq!((counted(&after), when, after.version()), (vec![0, 1, 3], 21_500, 2));
    // One that comes back within the grace was never gone.
    let mut judge = settled(&record, &[0, 1, 2, 3]);
    judge.observe(&record, &serving(&[0, 1, 3]), at(20_000));
    judge.observe(&record, &serving(&[0, 1, 2, 3]), at(21_400));
    assert_eq!(judge.judge(&record, at(60_000)), None);
}

#[test]
fn trust_doubles_with_each_loss_up_to_its_bound_and_is_restored_in_the_end() {
    let all = serving(&[0, 1]);
    let mut record = founded(2);
    let mut judge = settled(&record, &[0, 1]);
    let mut now = 20_000;
    let mut waits = Vec::new();
    for _ in 0..8 {
        (record, now) = next(&mut judge, &record, &serving(&[0]), now);
        let back = now + 500;
        (record, now) = next(&mut judge, &record, &all, back);
        assert_eq!(counted(&record), [0, 1]);
        waits.push(now - back);
    }
    // 2 s doubled each time, one minute at most.
    assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    let (forgiven, when) = next(&mut judge, &record, &all, now + 1);
    assert_eq!(forgiven.standing(&shard(1)), Standing { counted: true, flaps: 0 });
    assert!(when >= now + 240_000, "{} ms after it counted again", when - now);
}

#[test]
fn leaving_is_at_once_and_costs_no_trust() {
    let record = founded(3);
    let mut judge = settled(&record, &[0, 1, 2]);
    let mut seen = serving(&[0, 1]);
    seen.extend(registered(&[(2, ShardState::Leaving)]));
    let (after, when) = next(&mut judge, &record, &seen, 20_000);
    assert_eq!((counted(&after), when), (vec![0, 1], 20_000));
    let (back, when) = next(&mut judge, &after, &serving(&[0, 1, 2]), 30_000);
    assert_eq!((counted(&back), when), (vec![0, 1, 2], 30_250));
}

#[test]
fn a_new_member_counts_once_it_serves_and_a_removed_one_no_more() {
    let record = founded(2);
    let mut judge = settled(&record, &[0, 1]);
    let mut settings = record.settings().clone();
    settings.members.push(Member::ordinary(shard(2)));
    let grown = record.edited(settings.clone()).unwrap();
    assert_eq!((counted(&grown), grown.settings().version, grown.version()), (vec![0, 1], 2, 2));
    let mut seen = serving(&[0, 1]);
    seen.extend(registered(&[(2, ShardState::Warming)]));
    judge.observe(&grown, &seen, at(20_000));
    assert_eq!(judge.judge(&grown, at(90_000)), None, "it warms up for as long as it needs");
    let (after, when) = next(&mut judge, &grown, &serving(&[0, 1, 2]), 90_000);
    assert_eq!((counted(&after), when), (vec![0, 1, 2], 90_250));

    settings.members.remove(0);
    assert_eq!(counted(&after.edited(settings).unwrap()), [1, 2]);
}

#[test]
fn an_edit_never_leaves_a_ring_of_nobody() {
    let record = founded(2);
    let strangers = RingSettings::first(vec![Member::ordinary(shard(5))]);
    assert!(record.edited(strangers).is_err(), "shard 5 may own slots but nobody has seen it serve");
    assert!(record.edited(RingSettings::first(vec![])).is_err());
}

#[test]
fn when_nobody_is_to_be_seen_the_last_ring_stands() {
    let record = founded(3);
    let mut judge = settled(&record, &[0, 1, 2]);
    judge.observe(&record, &BTreeMap::new(), at(20_000));
    assert_eq!(judge.judge(&record, at(3_600_000)), None);
    // The first to be seen again is not the only one left: the others have the recovery time.
    judge.observe(&record, &serving(&[1]), at(3_600_000));
    assert_eq!(judge.judge(&record, at(3_609_999)), None);
    let (after, when) = next(&mut judge, &record, &serving(&[1, 2]), 3_605_000);
    assert_eq!((counted(&after), when), (vec![1, 2], 3_610_000));
}

#[test]
fn a_member_that_served_and_is_gone_is_not_waited_for_as_a_late_one_is() {
    let record = founded(4);
    let mut judge = Judge::new(DAMPING);
    // A fleet that has just started: the last member has not been seen yet.
    judge.observe(&record, &serving(&[0, 1, 2]), at(0));
    let (without, when) = next(&mut judge, &record, &serving(&[0, 1]), 2_000);
    assert_eq!((counted(&without), when), (vec![0, 1, 3], 3_500), "shard 2 died, shard 3 may only be late");
    let (without, when) = next(&mut judge, &without, &serving(&[0, 1]), 3_501);
    assert_eq!((counted(&without), when), (vec![0, 1], 10_000));
}

#[test]
fn lost_sight_is_nobodys_loss() {
    let record = founded(3);
    let mut judge = settled(&record, &[0, 1, 2]);
    judge.lost_sight();
    assert_eq!(judge.judge(&record, at(3_600_000)), None);
    judge.observe(&record, &serving(&[0, 2]), at(3_600_000));
    let (after, when) = next(&mut judge, &record, &serving(&[0, 2]), 3_600_001);
    assert_eq!((counted(&after), when), (vec![0, 2], 3_610_000));
}

#[test]
fn pins_to_a_member_that_is_gone_rest() {
    let mut settings = founded(3).settings().clone();
    settings.pins.insert(SlotId::new(7).unwrap(), shard(2));
    let record = founded(3).edited(settings).unwrap();
    let mut judge = settled(&record, &[0, 1, 2]);
    let (without, _) = next(&mut judge, &record, &serving(&[0, 1]), 20_000);
    assert!(without.layout().pins.is_empty());
    let (with, _) = next(&mut judge, &without, &serving(&[0, 1, 2]), 30_000);
    assert_eq!(with.layout().pins, record.settings().pins);
}

#[test]
fn damping_that_never_settles_is_refused() {
    DAMPING.validate().unwrap();
    let wrong = |damping: Damping| damping.validate().unwrap_err().what;
    assert_eq!(wrong(Damping { grace_ms: 0, ..DAMPING }), "grace_ms");
    assert_eq!(wrong(Damping { trust_ms: 61_000, ..DAMPING }), "trust_ms");
    assert_eq!(wrong(Damping { forgive_ms: 1_000, ..DAMPING }), "forgive_ms");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is seen, a change makes a ring, counts the version up by one, and never touches what operators decided.
    #[test]
    fn every_change_makes_a_ring(
        seen in proptest::collection::vec((0u16..5, 0usize..4, 1i64..20_000), 1..40),
    ) {
        let mut record = founded(4);
        let mut judge = Judge::new(DAMPING);
        let mut registrations = serving(&[0, 1, 2, 3]);
        let mut now = 0;
        for (ordinal, what, pause) in seen {
            now += pause;
            match ShardState::ALL.get(what) {
                Some(state) => registrations.extend(registered(&[(ordinal, *state)])),
                None => _ = registrations.remove(&shard(ordinal)),
            }
            judge.observe(&record, &registrations, at(now));
            if let Some(next) = judge.judge(&record, at(now)) {
                prop_assert_eq!(next.version(), record.version() + 1);
                prop_assert_eq!(next.settings(), record.settings());
                let ring = Ring::new(next.layout()).unwrap();
                prop_assert_eq!(ring.shares().iter().map(|(_, slots)| slots).sum::<u32>(), 1024);
                record = next;
            }
        }
    }
}
