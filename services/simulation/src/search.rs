//! Lives through many seeds on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::defects::Defect;
use crate::saga::{SagaCounts, SagaDefect};
use crate::world::Counts;

/// A kind of world that is lived through by seed.
pub trait World: Sync {
    /// What happened how often.
    type Counts: Default + Send;

    /// Lives a seed's world: what broke, if anything, and what happened.
    fn lived(&self, seed: u64) -> (Option<String>, Self::Counts);

    /// Adds one world's counts.
    fn add(total: &mut Self::Counts, one: &Self::Counts);
}

impl World for Defect {
    type Counts = Counts;

    fn lived(&self, seed: u64) -> (Option<String>, Counts) {
        let report = self.live(seed, false);
        (report.broken, report.counts)
    }

    fn add(total: &mut Counts, one: &Counts) {
        total.add(one);
    }
}

impl World for SagaDefect {
    type Counts = SagaCounts;

    fn lived(&self, seed: u64) -> (Option<String>, SagaCounts) {
        let report = self.live(seed, false);
        (report.broken, report.counts)
    }

    fn add(total: &mut SagaCounts, one: &SagaCounts) {
        total.add(one);
    }
}

/// A seed in whose world something broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What broke.
    pub broken: String,
}

/// What came of a search.
#[derive(Clone, Debug, Default)]
pub struct Searched<C> {
    /// How many seeds were lived through.
    pub lived: u64,
    /// The smallest seed that was found to break.
    pub found: Option<Found>,
    /// What happened in all of them.
    pub counts: C,
}

/// Lives through seeds from `first` on until something breaks. `lived` is called for each.
pub fn search<W: World>(world: &W, first: u64, seeds: u64, lived: impl Fn() + Sync) -> Searched<W::Counts> {
    let next = AtomicU64::new(0);
    let searched = Mutex::new(Searched { lived: 0, found: None, counts: W::Counts::default() });
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|number| *number < seeds) {
                    let seed = first.wrapping_add(seed);
                    let (broken, counts) = world.lived(seed);
                    lived();
                    let mut searched = searched.lock().expect("no worker panics while it counts");
                    searched.lived += 1;
                    W::add(&mut searched.counts, &counts);
                    if let Some(broken) = broken {
                        next.store(seeds, Relaxed);
                        if searched.found.as_ref().is_none_or(|found| seed < found.seed) {
                            searched.found = Some(Found { seed, broken });
                        }
                    }
                }
            });
        }
    });
    searched.into_inner().expect("no worker panics while it counts")
}
