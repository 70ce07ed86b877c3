//! The sound protocol survives fresh seeds, and every planted defect is found.

mod saga;

use std::hash::{BuildHasher as _, RandomState};

use simulation::defects::{DEFECTS, Defect, KERNEL, SOUND};
use simulation::search::search;

/// A line per defect: its name, and a seed that finds it. Printed anew by `scripts/simulate --defects`.
const RECORDED: &str = include_str!("../../recorded-seeds.txt");

/// Seeds of one test run.
const FRESH_SEEDS: u64 = 2_000;

fn recorded(lines: &'static str) -> impl Iterator<Item = (&'static str, u64)> {
    let lines = lines.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| {
        let (name, seed) = line.split_once(' ').expect("a name and a seed");
        (name, seed.parse().expect("a seed"))
    })
}

fn survives(world: &Defect, seeds: u64) {
    let first = RandomState::new().hash_one(0) >> 16;
    let searched = search(world, first, seeds, || ());
    eprintln!("{} seeds from {first}: {:?}", searched.lived, searched.counts);
    if let Some(found) = searched.found {
        panic!("{}\nreplay: scripts/simulate{} --seed {} --trace", found.broken, world.arguments(), found.seed);
    }
    let counts = searched.counts;
    assert!(counts.fenced > 0 && counts.unknown > 0 && counts.late_commits > 0, "every accident was met: {counts:?}");
}

#[test]
fn the_sound_protocol_survives_fresh_seeds() {
    survives(&SOUND, FRESH_SEEDS);
}

#[test]
fn the_seat_kernel_survives_fresh_seeds() {
    survives(&KERNEL, FRESH_SEEDS / 4);
}

#[test]
fn every_planted_defect_is_found_by_its_recorded_seed() {
    for defect in DEFECTS {
        let seeds: Vec<u64> =
            recorded(RECORDED).filter(|(name, _)| *name == defect.name).map(|(_, seed)| seed).collect();
        assert!(!seeds.is_empty(), "no seed is recorded for {}", defect.name);
        for seed in seeds {
            assert!(defect.live(seed, false).broken.is_some(), "seed {seed} does not find {}", defect.name);
            // The seed finds the defect, not a weakness of the world: without it nothing breaks.
            assert_eq!(SOUND.live(seed, false).broken, None, "seed {seed}");
        }
    }
    for (name, seed) in recorded(RECORDED) {
        match [SOUND, KERNEL].iter().find(|world| world.name == name) {
            Some(world) => assert_eq!(world.live(seed, false).broken, None, "{name} {seed} once found a bug"),
            None => assert!(DEFECTS.iter().any(|defect| defect.name == name), "{name} is no defect"),
        }
    }
}

#[test]
fn a_seed_means_the_same_twice() {
    for seed in [1, 42, 10_001] {
        let once = SOUND.live(seed, false);
        assert_eq!(once, SOUND.live(seed, false));
        assert_ne!(once.trace_hash, SOUND.live(seed + 1, false).trace_hash);
        assert_eq!(KERNEL.live(seed, false), KERNEL.live(seed, false));
    }
}
