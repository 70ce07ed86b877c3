use domain::{Interval, SeatClass, Time};
use inventory::{Protection, ProtectionStep};
use rand::Rng;
use rand_distr::{Distribution, Poisson};

use super::Worth;
use crate::packing::{Demand, pack};
use crate::scenario::Scenario;

/// What a policy knows at a moment of the sale: no request that has not come yet.
pub(crate) struct Outlook<'a> {
    pub scenario: &'a Scenario,
    pub class: SeatClass,
    pub at: Time,
    /// Places sold on each segment.
    pub sold: &'a [u32],
}

/// Fineness of prices: an interval is worth this many units per segment, km or fen of it.
const UNITS: i64 = 100;

/// The protection that stands until it is computed anew.
///
/// The price of a segment is what one more place on it would earn if the rest of the sale went as well as it could: the dual
/// price of packing the demand still to come onto the places still free. Packing the mere expectation gives prices that jump
/// between extremes, since it knows no chance; so the demand is drawn several times over (each interval a Poisson number of
/// passengers) and the prices are averaged: the randomised linear program of Talluri and van Ryzin (1999). Passengers expected to
/// give tickets back count as not coming, and the places they hold now as free.
pub(crate) fn bid_prices(outlook: &Outlook<'_>, worth: Worth, samples: u32, random: &mut impl Rng) -> Protection {
    let Outlook { scenario, class, at, sold } = *outlook;
    let intervals: Vec<Interval> = Interval::all(scenario.plan.stops.len()).collect();
    let values: Vec<i64> = intervals.iter().map(|interval| UNITS * worth.of(scenario, class, *interval)).collect();
    let passed = scenario.sale.passed(at);
    let forecast = &scenario.classes[&class].forecast;
    let places = expected_places(outlook, forecast.still_cancelled(passed));
    let expected: Vec<(usize, Poisson<f64>)> = (0..intervals.len())
        .filter_map(|nth| Some((nth, Poisson::new(forecast.travelling_after(nth, passed)).ok()?)))
        .collect();
    let mut sums = vec![0; sold.len()];
    for _ in 0..samples {
        let draw = |(nth, expected): &(usize, Poisson<f64>)| Demand {
            interval: intervals[*nth],
            amount: expected.sample(random) as i64,
            worth: values[*nth],
        };
        let mut demands: Vec<Demand> = expected.iter().map(draw).collect();
        demands.retain(|demand| demand.amount > 0);
        let prices = pack(&places, &demands).prices;
        sums.iter_mut().zip(prices).for_each(|(sum, price)| *sum += price);
    }
    // Rounded down, so that an interval just worth its prices is sold.
    let unsigned = |amount: i64| u32::try_from(amount).unwrap_or(u32::MAX);
    let step = ProtectionStep {
        from: at,
        bid_prices: sums.into_iter().map(|sum| unsigned(sum / i64::from(samples))).collect(),
        values: values.into_iter().map(unsigned).collect(),
    };
    Protection { class, steps: vec![step] }
}

/// Places free at departure on each segment if nothing more were sold.
fn expected_places(outlook: &Outlook<'_>, still_cancelled: f64) -> Vec<i64> {
    let places = f64::from(outlook.scenario.places(outlook.class));
    outlook.sold.iter().map(|&sold| (places - f64::from(sold) * (1.0 - still_cancelled)) as i64).collect()
}

impl Worth {
    fn of(self, scenario: &Scenario, class: SeatClass, interval: Interval) -> i64 {
        match self {
            Self::Segments => i64::from(interval.segments()),
            Self::Km => i64::from(scenario.km(interval)),
            Self::Fare => scenario.fare(class, interval).as_fen(),
        }
    }
}
