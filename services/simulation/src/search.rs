//! Lives through many seeds on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::defects::Defect;
use crate::world::Counts;

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
pub struct Searched {
    /// How many seeds were lived through.
    pub lived: u64,
    /// The smallest seed that was found to break.
    pub found: Option<Found>,
    /// What happened in all of them.
    pub counts: Counts,
}

/// Lives through seeds from `first` on until something breaks. `lived` is called for each.
pub fn search(world: &Defect, first: u64, seeds: u64, lived: impl Fn() + Sync) -> Searched {
    let next = AtomicU64::new(0);
    let searched = Mutex::new(Searched::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|number| *number < seeds) {
                    let seed = first.wrapping_add(seed);
                    let report = world.live(seed, false);
                    lived();
                    let mut searched = searched.lock().expect("no worker panics while it counts");
                    searched.lived += 1;
                    searched.counts.add(&report.counts);
                    if let Some(broken) = report.broken {
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
