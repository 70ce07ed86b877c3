use std::collections::HashMap;

use domain::{Interval, SeatClass, ServiceDate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use timetable::{StationId, Timetable, TrainIndex};

use super::draw::{CANCELLED_SHARE, Taste};
use super::train::{Unsellable, fares, plan, run};
use crate::forecast::{Forecast, ForecastSource};
use crate::scenario::{ClassScenario, Request, SaleSpan, Scenario};

/// Synthetic demand for a whole timetable on one date: zipf over trains, gravity over cities.
///
/// No matrix of who travels where is published. So a train's demand falls with its rank, `1 / rank^0.5`, where the trains that
/// link the largest cities come first, and all trains together are asked for `load` times what they have. Along a
/// train, an interval is asked for in proportion to the product of the sizes of its two cities, and nobody takes a train
/// across town; the size of a city is how often trains call at its stations. Classes are asked for as they are offered,
/// parties are of 1, 2 and 3 (70, 20 and 10 of a hundred), and a quarter of them would give their tickets back. Demand comes
/// evenly over the fifteen days before the departure from the origin.
#[derive(Debug)]
pub struct GravityDemand<'a> {
    timetable: &'a Timetable,
    date: ServiceDate,
    /// How often trains call at each station's city.
    city_calls: Vec<f64>,
    /// The trains that run, most popular first, and what multiple of the load each is asked for.
    trains: Vec<(TrainIndex, f64)>,
}

/// How fast popularity falls with rank: among 5,500 trains the first is asked for about forty times as often as the mean,
/// the middle one seven tenths as often.
const TRAIN_ZIPF_EXPONENT: f64 = 0.5;

/// Sizes of parties and how often they come.
const PARTIES: [(u8, f64); 3] = [(1, 70.0), (2, 20.0), (3, 10.0)];

const PRESALE_MS: i64 = 15 * 24 * 3_600_000;

impl<'a> GravityDemand<'a> {
    /// The demand for the trains that run on a date.
    pub fn new(timetable: &'a Timetable, date: ServiceDate) -> Self {
        let mut calls: HashMap<&str, f64> = HashMap::new();
        for (nth, station) in timetable.stations().iter().enumerate() {
            *calls.entry(&station.city).or_default() += timetable.calls_at(StationId(nth as u32)).len() as f64;
        }
        let city_calls = timetable.stations().iter().map(|station| calls[&*station.city]).collect();
        let mut demand = Self { timetable, date, city_calls, trains: Vec::new() };
        demand.trains = demand.ranked();
        demand
    }

    /// The trains that run, most popular first.
    pub fn trains(&self) -> impl ExactSizeIterator<Item = TrainIndex> + '_ {
        self.trains.iter().map(|(train, _)| *train)
    }

    /// The demand for one train as part of the whole, where all trains together are asked for `load` times what they have. The
    /// same rank, load and seed draw the same.
    ///
    /// # Errors
    /// A train that cannot be sold.
    pub fn scenario(&self, rank: usize, load: f64, seed: u64) -> Result<Scenario, Unsellable> {
        let (train, multiple) = self.trains[rank];
        self.train_scenario(train, load * multiple, seed)
    }

    /// The demand for one train by itself, asked for `load` times what it has.
    ///
    /// # Errors
    /// A train that cannot be sold.
    pub fn train_scenario(&self, train: TrainIndex, load: f64, seed: u64) -> Result<Scenario, Unsellable> {
        let run = run(self.timetable, train, self.date);
        let ends = self.timetable.departure_time(train, self.date, 0).unwrap_or_default();
        let sale = SaleSpan { opens: ends.plus_millis(-PRESALE_MS), ends };
        let mut scenario = Scenario {
            name: run.train.to_string(),
            run,
            plan: plan(self.timetable, train, run, sale.opens)?,
            classes: [].into(),
            sale,
            requests: Vec::new(),
        };
        let intervals: Vec<Interval> = self.timetable.train(train).intervals().collect();
        let weights: Vec<f64> = intervals.iter().map(|interval| self.weight(train, *interval)).collect();
        // A stream of its own for each train: what one train draws depends on no other.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(train.0));
        for class in self.timetable.composition(train).classes() {
            let taste = Taste { class, intervals: &intervals, weights: weights.clone(), parties: &PARTIES };
            let wanted = load * f64::from(scenario.places(class)) * scenario.segments() as f64;
            scenario.requests.extend(taste.draw(wanted, sale, &mut random));
            scenario.classes.insert(class, self.class_scenario(train, class, taste.expected(wanted)));
        }
        scenario.requests.sort_by_key(|request: &Request| request.at);
        Ok(scenario)
    }

    fn class_scenario(&self, train: TrainIndex, class: SeatClass, passengers: Vec<f64>) -> ClassScenario {
        ClassScenario {
            fares: fares(self.timetable, train, class),
            forecast: Forecast { passengers, cancelled_share: CANCELLED_SHARE, source: ForecastSource::Model },
        }
    }

    /// Ranks the trains by their busiest pair of cities, and scales popularity so that it is 1 for the mean seat-segment.
    fn ranked(&self) -> Vec<(TrainIndex, f64)> {
        let running = self.timetable.train_indexes().filter(|train| self.timetable.runs_on(*train, self.date));
        let busiest = |train: TrainIndex| {
            let weights = self.timetable.train(train).intervals().map(|interval| self.weight(train, interval));
            weights.fold(0.0, f64::max)
        };
        let mut ranked: Vec<(f64, TrainIndex)> = running.map(|train| (busiest(train), train)).collect();
        ranked.sort_by(|(left, a), (right, b)| right.total_cmp(left).then(a.cmp(b)));
        let popularity = |rank: usize| ((rank + 1) as f64).powf(-TRAIN_ZIPF_EXPONENT);
        let seat_segments = |train: TrainIndex| {
            let composition = self.timetable.composition(train);
            let places: f64 = composition.carriages.iter().map(|carriage| f64::from(carriage.places)).sum();
            places * (self.timetable.train(train).stops.len() - 1) as f64
        };
        let all: f64 = ranked.iter().map(|(_, train)| seat_segments(*train)).sum();
        let asked: f64 = ranked.iter().enumerate().map(|(rank, (_, t))| popularity(rank) * seat_segments(*t)).sum();
        ranked.into_iter().enumerate().map(|(rank, (_, train))| (train, popularity(rank) * all / asked)).collect()
    }

    fn weight(&self, train: TrainIndex, interval: Interval) -> f64 {
        let stops = &self.timetable.train(train).stops;
        let station = |stop: u8| stops[usize::from(stop)].station;
        let (from, to) = (station(interval.from()), station(interval.to()));
        if self.timetable.station(from).city == self.timetable.station(to).city {
            return 0.0;
        }
        self.city_calls[from.0 as usize] * self.city_calls[to.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date() -> ServiceDate {
        "2026-12-01".parse().unwrap()
    }

    #[test]
    fn all_trains_together_are_asked_for_the_load() {
        let timetable = Timetable::sample();
        let demand = GravityDemand::new(&timetable, date());
        let (mut there_are, mut asked) = (0, 0);
        for rank in 0..demand.trains().len() {
            let scenario = demand.scenario(rank, 1.2, 5).unwrap();
            there_are += scenario.seat_segments();
            let segments = |request: &Request| u64::from(request.party) * u64::from(request.interval.segments());
            asked += scenario.requests.iter().map(segments).sum::<u64>();
        }
        let load = asked as f64 / there_are as f64;
        assert!((1.2..1.21).contains(&load), "{load}");
    }

    #[test]
    fn what_a_train_draws_depends_on_seed_and_load_alone() {
        let timetable = Timetable::sample();
        let demand = GravityDemand::new(&timetable, date());
        let train = timetable.train_by_code("G71".parse().unwrap()).unwrap();
        let draw = |load, seed| demand.train_scenario(train, load, seed).unwrap().requests;
        assert_eq!(draw(0.3, 1), draw(0.3, 1));
        assert_ne!(draw(0.3, 1), draw(0.3, 2));
        assert_ne!(draw(0.3, 1), draw(0.4, 1));
    }

    #[test]
    fn nobody_rides_across_town_and_requests_come_in_order() {
        let timetable = Timetable::sample();
        let demand = GravityDemand::new(&timetable, date());
        let train = demand.trains().next().unwrap();
        let scenario = demand.train_scenario(train, 0.5, 3).unwrap();
        let stops = &timetable.train(train).stops;
        let city = |stop: u8| &timetable.station(stops[usize::from(stop)].station).city;
        assert!(scenario.requests.iter().all(|r| city(r.interval.from()) != city(r.interval.to())));
        assert!(scenario.requests.is_sorted_by_key(|request| request.at));
        assert!(scenario.requests.iter().all(|r| r.cancel_at.is_none_or(|cancel_at| r.at < cancel_at)));
    }
}
