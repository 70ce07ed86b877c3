use domain::{Interval, SeatClass};
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;

use crate::scenario::{Request, SaleSpan};

/// The share of parties with tickets that give them back.
pub const CANCELLED_SHARE: f64 = 0.25;

/// What the passengers of one class like.
pub(crate) struct Taste<'a> {
    pub class: SeatClass,
    pub intervals: &'a [Interval],
    /// How often each interval is asked for, beside the others. None is negative.
    pub weights: Vec<f64>,
    /// Sizes of parties and how often they come, beside one another.
    pub parties: &'a [(u8, f64)],
}

impl Taste<'_> {
    /// How many passengers are expected for each interval when so many seat-segments are asked for in all.
    pub fn expected(&self, seat_segments: f64) -> Vec<f64> {
        let pairs = self.intervals.iter().zip(&self.weights);
        let per_weight: f64 = pairs.map(|(interval, weight)| weight * f64::from(interval.segments())).sum();
        let passengers = |weight: &f64| if per_weight > 0.0 { seat_segments * weight / per_weight } else { 0.0 };
        self.weights.iter().map(passengers).collect()
    }

    /// Draws parties, in random order and evenly over the sale, until so many seat-segments were asked for. Some of them would
    /// give their tickets back, at a moment spread evenly between the purchase and the end of sale.
    pub fn draw(&self, seat_segments: f64, sale: SaleSpan, random: &mut impl Rng) -> Vec<Request> {
        // Without any weight nobody asks.
        let Ok(choice) = WeightedIndex::new(&self.weights) else { return Vec::new() };
        let sizes = WeightedIndex::new(self.parties.iter().map(|(_, weight)| *weight)).expect("weights are positive");
        let mut asked = 0.0;
        let mut drawn = Vec::new();
        while asked < seat_segments {
            let interval = self.intervals[choice.sample(random)];
            let party = self.parties[sizes.sample(random)].0;
            asked += f64::from(party) * f64::from(interval.segments());
            drawn.push((interval, party));
        }
        let count = drawn.len() as f64;
        let request = |(nth, (interval, party)): (usize, (Interval, u8))| {
            let passed = nth as f64 / count;
            let cancelled = random.random_bool(CANCELLED_SHARE);
            // A millisecond later, so that no ticket is given back before it was bought.
            let cancel_at = cancelled.then(|| sale.moment(random.random_range(passed..1.0)).plus_millis(1));
            Request { at: sale.moment(passed), class: self.class, interval, party, cancel_at }
        };
        drawn.into_iter().enumerate().map(request).collect()
    }
}
