use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use crate::comparison::Comparison;
use crate::rules::PolicyFile;
use crate::run::BrokenExactness;
use crate::scenario::Scenario;

/// Finished train-dates that may wait to be added up.
const WAITING_MAX: usize = 64;

/// Compares policies on many train-dates, one after the other on each thread, and adds the figures up: a national timetable
/// never has more train-dates in memory than there are threads.
///
/// `scenario` makes the demand of a train-date by its number; one that cannot be sold is left out, so that the result counts fewer
/// train-dates than there are. `progress` hears how many are done. The sum does not depend on the number of threads.
///
/// # Errors
/// A policy that sold a seat twice: a bug.
pub fn compare_many(
    mut total: Comparison,
    train_dates: usize,
    scenario: &(dyn Fn(usize) -> Option<Scenario> + Sync),
    policies: &PolicyFile,
    seed: u64,
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Comparison, BrokenExactness> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, finished) = sync_channel(WAITING_MAX);
        for _ in 0..threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= train_dates {
                        return;
                    }
                    let compared = scenario(nth).map(|scenario| Comparison::of(&scenario, policies, seed)).transpose();
                    if sender.send(compared).is_err() {
                        // Nobody adds up any more: another train-date failed.
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (done, compared) in finished.iter().enumerate() {
            if let Some(compared) = compared? {
                total.add(&compared);
            }
            progress(done + 1);
        }
        Ok(total)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::GravityDemand;
    use timetable::Timetable;

    #[test]
    fn the_sum_over_a_timetable_does_not_depend_on_threads() {
        let timetable = Timetable::sample();
        let demand = GravityDemand::new(&timetable, "2026-12-01".parse().unwrap());
        let policies = PolicyFile::parse("[[policy]]\nname = 'best fit'\nrule = 'best_fit'").unwrap();
        let compare = |threads| {
            let mut done = Vec::new();
            let total = compare_many(
                Comparison::new("sample", &policies),
                demand.trains().len(),
                &|rank| demand.scenario(rank, 0.4, 1).ok(),
                &policies,
                1,
                threads,
                &mut |n| done.push(n),
            );
            assert_eq!(done, (1..=demand.trains().len()).collect::<Vec<_>>());
            total.unwrap()
        };
        let one = compare(1);
        assert_eq!(one.train_dates as usize, demand.trains().len());
        assert!(one.policies[0].figures.seat_segments > 0);
        assert_eq!(one, compare(3));
    }
}
