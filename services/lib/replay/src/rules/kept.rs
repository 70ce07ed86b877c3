use domain::{Interval, SeatClass};
use inventory::{Quota, QuotaKind, QuotaStep};

use super::ReleaseStep;
use crate::packing::{Demand, pack};
use crate::scenario::Scenario;

/// Fineness of expected passengers in the packing.
const UNITS: f64 = 100.0;

/// Quotas that keep places for the sections of at least half the route that expected demand fills the most, with a release
/// plan by time.
///
/// How many passengers the best packing of expected demand would carry over each section, or over more than it, is what is kept
/// for it: so the quotas of sections within one another agree.
pub(crate) fn kept_sections(
    scenario: &Scenario,
    class: SeatClass,
    sections: usize,
    release: &[ReleaseStep],
) -> Vec<Quota> {
    let stops = scenario.plan.stops.len();
    let forecast = &scenario.classes[&class].forecast;
    let demand = |(nth, interval): (usize, Interval)| Demand {
        interval,
        amount: (forecast.travelling_after(nth, 0.0) * UNITS) as i64,
        worth: i64::from(interval.segments()),
    };
    let demands: Vec<Demand> = Interval::all(stops).enumerate().map(demand).collect();
    let places = vec![(f64::from(scenario.places(class)) * UNITS) as i64; stops - 1];
    let taken = pack(&places, &demands).taken;
    let over = |section: Interval| {
        let wider = demands.iter().zip(&taken).filter(|(demand, _)| demand.interval.contains(section));
        wider.map(|(_, taken)| *taken as f64 / UNITS).sum::<f64>()
    };
    let mut long: Vec<(i64, Interval)> = demands
        .iter()
        .zip(&taken)
        .filter(|(demand, taken)| 2 * usize::from(demand.interval.segments()) >= stops - 1 && **taken > 0)
        .map(|(demand, taken)| (taken * i64::from(demand.interval.segments()), demand.interval))
        .collect();
    long.sort_by_key(|&(filled, section)| (-filled, section));
    let quota = |(_, section): (i64, Interval)| {
        let kept = over(section);
        let step = |step: &ReleaseStep| QuotaStep {
            from: scenario.sale.moment(f64::from(step.passed_percent) / 100.0),
            places: (kept * f64::from(step.kept_percent) / 100.0) as u16,
        };
        Quota {
            kind: QuotaKind::KeptAtLeast,
            class: Some(class),
            section,
            steps: release.iter().map(step).collect(),
            until: None,
        }
    };
    long.into_iter().take(sections).map(quota).collect()
}
