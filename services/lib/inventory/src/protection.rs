//! Bid prices from a forecast: what each segment of a seat is worth to the passengers who are still to come.
//!
//! Selling a short journey early may cut a seat that a longer one would have filled. The remedy is the one of airline revenue
//! management (Talluri and van Ryzin, 2004, chapter 3): give each segment the price at which the demand still expected just
//! fills the places still expected to be free, and sell an interval only when it is worth the prices of its segments. Where
//! places are plenty all prices are 0, and protection is first come, first served. Computed anew as sales go on, and set as
//! the [`Protection`](crate::Protection) of a class.

use domain::Interval;

/// What is expected from now until departure, for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// How many stops the train has.
    pub stops: usize,
    /// Requests still expected that would be kept to the end, for each interval in the order of [`Interval::all`].
    pub demand: Vec<f64>,
    /// Value of each interval, in the same order: its fare, its distance, or whatever is to be made most of.
    pub values: Vec<u32>,
    /// Places that are free or expected to become free again, for each segment.
    pub places: Vec<f64>,
}

/// Rounds of the search. Prices move by less than a thousandth of a segment's value in the last ones.
const ROUNDS: usize = 300;

/// How far a price moves in the first round when its segment is asked for twice over, in values of a segment.
const FIRST_STEP: f64 = 0.3;

/// Over how many values of a segment an interval's demand fades in around its price. Without it, intervals of equal value
/// would be all in or all out, and the search would never settle.
const FADE: f64 = 0.3;

/// The bid price of each segment, in the unit of the values.
///
/// The dual of the best fractional sale (each interval at most as often as expected, each segment at most as often as there
/// are places), found by raising the prices of segments that are asked for too often and lowering the others, in smaller and
/// smaller steps; the answer is the mean over the second half of the rounds.
///
/// # Panics
/// When the tables are not those of a train with so many stops.
pub fn bid_prices(forecast: &Forecast) -> Vec<u32> {
    let segments = forecast.stops - 1;
    let intervals: Vec<Interval> = Interval::all(forecast.stops).collect();
    assert_eq!(intervals.len(), forecast.demand.len(), "one demand per interval");
    assert_eq!(intervals.len(), forecast.values.len(), "one value per interval");
    assert_eq!(segments, forecast.places.len(), "one number of places per segment");
    let unit = value_of_a_segment(&intervals, &forecast.values);
    let mut prices = vec![0.0; segments];
    let mut sums = vec![0.0; segments];
    for round in 0..ROUNDS {
        let asked = asked_at(&intervals, forecast, &prices, unit);
        let step = FIRST_STEP * unit / (1.0 + round as f64 * 10.0 / ROUNDS as f64);
        for ((price, asked), &places) in prices.iter_mut().zip(asked).zip(&forecast.places) {
            let excess = (asked - places) / places.max(1.0);
            *price = (*price + step * excess.clamp(-1.0, 1.0)).max(0.0);
        }
        if round >= ROUNDS / 2 {
            sums.iter_mut().zip(&prices).for_each(|(sum, price)| *sum += price);
        }
    }
    // Rounded down, so that an interval that just breaks even is sold.
    sums.into_iter().map(|sum| (sum / (ROUNDS - ROUNDS / 2) as f64) as u32).collect()
}

/// What a segment is worth on average.
fn value_of_a_segment(intervals: &[Interval], values: &[u32]) -> f64 {
    let value: f64 = values.iter().map(|&value| f64::from(value)).sum();
    let segments: f64 = intervals.iter().map(|interval| f64::from(interval.segments())).sum();
    (value / segments).max(1.0)
}

/// How many places each segment is asked for by the intervals that are sold at these prices.
fn asked_at(intervals: &[Interval], forecast: &Forecast, prices: &[f64], unit: f64) -> Vec<f64> {
    let mut before = vec![0.0; prices.len() + 1];
    for (segment, price) in prices.iter().enumerate() {
        before[segment + 1] = before[segment] + price;
    }
    // Differences first: each interval adds at its first stop and takes off at its last.
    let mut asked = vec![0.0; prices.len() + 1];
    for ((interval, demand), &value) in intervals.iter().zip(&forecast.demand).zip(&forecast.values) {
        let (from, to) = (usize::from(interval.from()), usize::from(interval.to()));
        let margin = (f64::from(value) - (before[to] - before[from])) / unit;
        let sold = demand * (margin / FADE + 0.5).clamp(0.0, 1.0);
        asked[from] += sold;
        asked[to] -= sold;
    }
    let mut running = 0.0;
    asked.truncate(prices.len());
    for asked in &mut asked {
        running += *asked;
        *asked = running;
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stops A, B, C; one place; values 100 per segment.
    fn forecast(ab: f64, ac: f64, bc: f64) -> Forecast {
        Forecast { stops: 3, demand: vec![ab, ac, bc], values: vec![100, 200, 100], places: vec![10.0, 10.0] }
    }

    #[test]
    fn plenty_costs_nothing() {
        assert_eq!(bid_prices(&forecast(3.0, 3.0, 3.0)), [0, 0]);
    }

    #[test]
    fn a_scarce_segment_has_a_price_and_the_other_has_none() {
        let prices = bid_prices(&forecast(20.0, 2.0, 1.0));
        assert_eq!(prices[1], 0);
        // Ten of the twenty-two who ask for A-B can be had: its price is what a segment is worth, less half the fade.
        assert!((80..=115).contains(&prices[0]), "{prices:?}");
    }

    #[test]
    fn through_journeys_that_fill_the_train_price_out_the_short_ones() {
        // Worth more than their two halves, and enough of them for every place.
        let forecast = Forecast {
            stops: 3,
            demand: vec![20.0, 12.0, 20.0],
            values: vec![100, 260, 100],
            places: vec![10.0, 10.0],
        };
        let prices = bid_prices(&forecast);
        assert!(prices[0] > 100 && prices[1] > 100 && prices[0] + prices[1] <= 275, "{prices:?}");
    }
}
