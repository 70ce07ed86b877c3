use domain::{Interval, SeatClass};

use crate::packing::{Demand, pack};
use crate::scenario::{Scenario, interval_index};

/// What nobody can beat: the best that could be live at departure for one who knew every request and every cancellation
/// before the first ticket was sold.
///
/// **Definition.** Of all passengers who asked and did not cancel, the selection that is worth the most and puts no more passengers
/// on any segment than the class has places: a maximum-weight packing of intervals, solved exactly as a flow of least cost
/// along the stops.
///
/// **Why no policy is above it.** Whatever a policy does, the tickets live at departure belong to passengers who asked and did not
/// cancel, and no two of them share a seat on a segment. So they are one of the selections among which the bound is the best.
/// Cancelled requests only ever take room from the others, so knowing them costs nothing. Parties are split here and may
/// change seats on the way, which can only raise the bound. Each measure has a bound of its own, by its own weights: no one
/// selection need reach all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bound {
    /// Most passengers on board.
    pub passengers: u64,
    /// Most seat-segments filled.
    pub seat_segments: u64,
    /// Most seat-kilometres filled.
    pub seat_km: u64,
    /// Highest revenue, in fen.
    pub revenue_fen: u64,
}

impl Bound {
    /// The bound of a scenario, over all its classes.
    pub fn of(scenario: &Scenario) -> Self {
        let mut bound = Self::default();
        for &class in scenario.classes.keys() {
            let wanted = travelling(scenario, class);
            let best = |worth: &dyn Fn(Interval) -> u64| {
                let places = vec![i64::from(scenario.places(class)); scenario.segments()];
                let demand =
                    |&(interval, amount): &(Interval, i64)| Demand { interval, amount, worth: worth(interval) as i64 };
                pack(&places, &wanted.iter().map(demand).collect::<Vec<_>>()).worth as u64
            };
            bound.passengers += best(&|_| 1);
            bound.seat_segments += best(&|interval| u64::from(interval.segments()));
            bound.seat_km += best(&|interval| u64::from(scenario.km(interval)));
            bound.revenue_fen += best(&|interval| scenario.fare(class, interval).as_fen().max(0) as u64);
        }
        bound
    }

    /// Adds the bound of another train-date.
    pub(crate) fn add(&mut self, other: Self) {
        self.passengers += other.passengers;
        self.seat_segments += other.seat_segments;
        self.seat_km += other.seat_km;
        self.revenue_fen += other.revenue_fen;
    }
}

/// How many passengers asked for each interval of a class and would have travelled.
fn travelling(scenario: &Scenario, class: SeatClass) -> Vec<(Interval, i64)> {
    let stops = scenario.plan.stops.len();
    let mut wanted: Vec<(Interval, i64)> = Interval::all(stops).map(|interval| (interval, 0)).collect();
    for request in scenario.requests.iter().filter(|request| request.class == class && request.cancel_at.is_none()) {
        wanted[interval_index(request.interval, stops)].1 += i64::from(request.party);
    }
    wanted.retain(|(_, amount)| *amount > 0);
    wanted
}
