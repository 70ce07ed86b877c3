use std::collections::BTreeMap;

use domain::{Interval, Money, Run, SeatClass, Time};
use inventory::Plan;

use crate::forecast::Forecast;

/// One train-date and everything that is asked of it, in order of time. The same for every policy.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What a reader knows it by, such as `rail-17`.
    pub name: String,
    /// The train-date.
    pub run: Run,
    /// What is sold, without any quotas.
    pub plan: Plan,
    /// What is known about each class of it.
    pub classes: BTreeMap<SeatClass, ClassScenario>,
    /// Between these moments the demand comes; forecasts speak of this span.
    pub sale: SaleSpan,
    /// What is asked for, in order of time.
    pub requests: Vec<Request>,
}

/// What is known about one class of a train-date.
#[derive(Clone, Debug)]
pub struct ClassScenario {
    /// The fare of each interval in the order of [`Interval::all`].
    pub fares: Vec<Money>,
    /// What computed policies are told about demand.
    pub forecast: Forecast,
}

/// From when until when demand comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleSpan {
    /// The first moment.
    pub opens: Time,
    /// The first moment at which nothing comes any more.
    pub ends: Time,
}

/// One party that wants to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it asks.
    pub at: Time,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// How many travel: all of them or none.
    pub party: u8,
    /// When it gives its tickets back, if it gets any.
    pub cancel_at: Option<Time>,
}

impl Scenario {
    /// How many segments the train has.
    pub fn segments(&self) -> usize {
        self.plan.stops.len() - 1
    }

    /// How many places of a class there are.
    pub fn places(&self, class: SeatClass) -> u32 {
        let carriages = self.plan.carriages.iter().filter(|carriage| carriage.class == class);
        carriages.map(|carriage| u32::from(carriage.places)).sum()
    }

    /// Places times segments, over all classes.
    pub fn seat_segments(&self) -> u64 {
        let places: u64 = self.plan.carriages.iter().map(|carriage| u64::from(carriage.places)).sum();
        places * self.segments() as u64
    }

    /// The length of an interval in km.
    pub fn km(&self, interval: Interval) -> u32 {
        self.plan.stops[usize::from(interval.to())].km - self.plan.stops[usize::from(interval.from())].km
    }

    /// The fare of one passenger.
    pub fn fare(&self, class: SeatClass, interval: Interval) -> Money {
        let fares = self.classes.get(&class).map(|class| &class.fares);
        fares.map_or(Money::ZERO, |fares| fares[interval_index(interval, self.plan.stops.len())])
    }
}

impl SaleSpan {
    /// How much of the span has passed at a moment, from 0 to 1.
    pub fn passed(self, at: Time) -> f64 {
        let length = self.ends.millis_since(self.opens).max(1) as f64;
        (at.millis_since(self.opens) as f64 / length).clamp(0.0, 1.0)
    }

    /// The moment at which so much of the span has passed.
    pub fn moment(self, passed: f64) -> Time {
        let length = self.ends.millis_since(self.opens) as f64;
        self.opens.plus_millis((length * passed) as i64)
    }
}

/// The position of an interval in the order of [`Interval::all`].
pub(crate) fn interval_index(interval: Interval, stops: usize) -> usize {
    let from = usize::from(interval.from());
    // Each earlier boarding stop `f` has `stops - 1 - f` intervals.
    from * (2 * stops - from - 1) / 2 + usize::from(interval.segments()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_numbered_in_their_order() {
        for stops in [2, 3, 17, 35] {
            let numbered: Vec<usize> = Interval::all(stops).map(|interval| interval_index(interval, stops)).collect();
            assert_eq!(numbered, (0..numbered.len()).collect::<Vec<_>>());
        }
    }
}
