//! The saga of orders and money survives fresh seeds, every fault meets every step, and every planted defect is found.

use std::hash::{BuildHasher as _, RandomState};

use simulation::saga::{SAGA_DEFECTS, SOUND_SAGA};
use simulation::search::search;

use crate::recorded;

/// A line per defect, as of the other simulation. Printed anew by `scripts/simulate --saga --defects`.
const RECORDED: &str = include_str!("../../recorded-saga-seeds.txt");

/// Seeds of one test run.
const FRESH_SEEDS: u64 = 2_000;

#[test]
fn the_saga_survives_fresh_seeds_and_every_fault_meets_every_step() {
    let first = RandomState::new().hash_one(0) >> 16;
    let searched = search(&SOUND_SAGA, first, FRESH_SEEDS, || ());
    eprintln!("{} seeds from {first}: {} orders", searched.lived, searched.counts.orders);
    if let Some(found) = searched.found {
        panic!("{}\nreplay: scripts/simulate --saga --seed {} --trace", found.broken, found.seed);
    }
    assert_eq!(searched.counts.met.missing(), [], "seeds from {first}");
    assert!(searched.counts.confirmed > FRESH_SEEDS, "{} orders became tickets", searched.counts.confirmed);
}

#[test]
fn every_planted_defect_of_the_saga_is_found_by_its_recorded_seed() {
    for defect in SAGA_DEFECTS {
        let seeds: Vec<u64> =
            recorded(RECORDED).filter(|(name, _)| *name == defect.name).map(|(_, seed)| seed).collect();
        assert!(!seeds.is_empty(), "no seed is recorded for {}", defect.name);
        for seed in seeds {
            assert!(defect.live(seed, false).broken.is_some(), "seed {seed} does not find {}", defect.name);
        }
    }
    for (name, seed) in recorded(RECORDED) {
        let known = name == SOUND_SAGA.name || SAGA_DEFECTS.iter().any(|defect| defect.name == name);
        assert!(known, "{name} is no defect");
        // The seed finds the defect, not a weakness of the world: without it nothing breaks.
        assert_eq!(SOUND_SAGA.live(seed, false).broken, None, "seed {seed}");
    }
}

#[test]
fn a_seed_of_the_saga_means_the_same_twice() {
    for seed in [1, 42, 10_001] {
        let once = SOUND_SAGA.live(seed, false);
        assert_eq!(once, SOUND_SAGA.live(seed, false));
        assert_ne!(once.trace_hash, SOUND_SAGA.live(seed + 1, false).trace_hash);
    }
}
