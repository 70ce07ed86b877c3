//! Who wants what: simulated passengers with zipf-like tastes over trains and gravity over stops.
//!
//! Pure and seeded: the same timetable, date and seed make the same passengers. No published data says who travelled
//! where, so demand is synthetic: a train's popularity falls with its rank (zipf), and a pair of stops is asked for in
//! proportion to the product of how many trains call at them, which stands in for the size of their cities (gravity).

use std::collections::HashMap;

use domain::{Interval, SeatClass, ServiceDate};
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_distr::Zipf;
use timetable::{Timetable, TrainIndex};

/// Exponent of popularity over trains: the first of two dozen trains draws about a quarter of all passengers.
const TRAIN_ZIPF_EXPONENT: f64 = 1.1;
/// Sizes of parties that travel together and how often they come.
const PARTY_SIZES: [(usize, u32); 3] = [(1, 70), (2, 20), (3, 10)];

/// What one party wants and how it behaves.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The train it likes best.
    pub train: TrainIndex,
    /// Where it boards and alights.
    pub interval: Interval,
    /// The class.
    pub class: SeatClass,
    /// How many travel.
    pub party: usize,
    /// What it does after its seats are held.
    pub temper: Temper,
    /// Whether it waits in line when refused everywhere.
    pub patient: bool,
}

/// What a party does once its seats are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Pays and travels.
    Pays,
    /// Pays, then gives one ticket back.
    Refunds,
    /// Pays, then exchanges one ticket for another train.
    Changes,
    /// Cancels instead of paying.
    Cancels,
    /// Forgets the order: it lapses.
    Forgets,
}

/// The tastes of all passengers of one date.
pub struct Tastes<'a> {
    timetable: &'a Timetable,
    /// The trains that run that day, most popular first.
    trains: Vec<TrainIndex>,
    popularity: Zipf<f64>,
    /// Made when first needed: a national timetable has hundreds of thousands of pairs that nobody asks for.
    pairs: HashMap<TrainIndex, (Vec<Interval>, WeightedIndex<f64>)>,
}

impl<'a> Tastes<'a> {
    /// Ranks the trains of a date: those that link the busiest stops come first. `None` when no train runs.
    pub fn new(timetable: &'a Timetable, date: ServiceDate) -> Option<Self> {
        let running = timetable.train_indexes().filter(|train| timetable.runs_on(*train, date));
        let mut ranked: Vec<(f64, TrainIndex)> =
            running.map(|train| (busiest_pair(timetable, train), train)).filter(|(weight, _)| *weight > 0.0).collect();
        ranked.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.cmp(right)));
        let popularity = Zipf::new(ranked.len() as f64, TRAIN_ZIPF_EXPONENT).ok()?;
        let trains = ranked.into_iter().map(|(_, train)| train).collect();
        Some(Self { timetable, trains, popularity, pairs: HashMap::new() })
    }

    /// The trains of the date, most popular first.
    pub fn trains(&self) -> &[TrainIndex] {
        &self.trains
    }

    /// The wish of the next party.
    pub fn wish(&mut self, random: &mut impl Rng) -> Wish {
        let rank = self.popularity.sample(random) as usize;
        let train = self.trains[rank.clamp(1, self.trains.len()) - 1];
        let timetable = self.timetable;
        let (intervals, weights) = self.pairs.entry(train).or_insert_with(|| pairs(timetable, train));
        let interval = intervals[weights.sample(random)];
        Wish {
            train,
            interval,
            class: class(timetable, train, random),
            party: party(random),
            temper: temper(random),
            patient: random.random_ratio(1, 3),
        }
    }
}

fn weight(timetable: &Timetable, train: TrainIndex, stop: u8) -> f64 {
    let station = timetable.train(train).stops[usize::from(stop)].station;
    let city = &timetable.station(station).city;
    timetable.stations_of_city(city).iter().map(|station| timetable.calls_at(*station).len() as f64).sum()
}

fn gravity(timetable: &Timetable, train: TrainIndex, weights: &[f64], interval: Interval) -> f64 {
    let stops = &timetable.train(train).stops;
    let city = |stop: u8| &timetable.station(stops[usize::from(stop)].station).city;
    // Nobody takes a long-distance train across town.
    if city(interval.from()) == city(interval.to()) {
        return 0.0;
    }
    weights[usize::from(interval.from())] * weights[usize::from(interval.to())]
}

fn busiest_pair(timetable: &Timetable, train: TrainIndex) -> f64 {
    let weights: Vec<f64> =
        (0..timetable.train(train).stops.len()).map(|s| weight(timetable, train, s as u8)).collect();
    let intervals = timetable.train(train).intervals();
    intervals.map(|interval| gravity(timetable, train, &weights, interval)).fold(0.0, f64::max)
}

fn pairs(timetable: &Timetable, train: TrainIndex) -> (Vec<Interval>, WeightedIndex<f64>) {
    let weights: Vec<f64> =
        (0..timetable.train(train).stops.len()).map(|s| weight(timetable, train, s as u8)).collect();
    let intervals: Vec<Interval> = timetable.train(train).intervals().collect();
    let gravity = intervals.iter().map(|interval| gravity(timetable, train, &weights, *interval));
    let index = WeightedIndex::new(gravity).expect("a ranked train has a pair of stops with a weight above zero");
    (intervals, index)
}

/// Classes are asked for as they are offered.
fn class(timetable: &Timetable, train: TrainIndex, random: &mut impl Rng) -> SeatClass {
    let composition = timetable.composition(train);
    let classes: Vec<SeatClass> = composition.classes().collect();
    let places = classes.iter().map(|class| composition.places(*class));
    let index = WeightedIndex::new(places).expect("a composition has places");
    classes[index.sample(random)]
}

fn party(random: &mut impl Rng) -> usize {
    let index = WeightedIndex::new(PARTY_SIZES.map(|(_, share)| share)).expect("shares are positive");
    PARTY_SIZES[index.sample(random)].0
}

fn temper(random: &mut impl Rng) -> Temper {
    match random.random_range(0..100) {
        0..5 => Temper::Forgets,
        5..10 => Temper::Cancels,
        10..20 => Temper::Refunds,
        20..25 => Temper::Changes,
        _ => Temper::Pays,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn date() -> ServiceDate {
        "2026-12-01".parse().unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_wishes() {
        let timetable = Timetable::sample();
        let draw = || {
            let mut tastes = Tastes::new(&timetable, date()).unwrap();
            let mut random = ChaCha8Rng::seed_from_u64(7);
            (0..200).map(|_| format!("{:?}", tastes.wish(&mut random))).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
    }

    #[test]
    fn the_popular_train_is_asked_for_several_times_over() {
        let timetable = Timetable::sample();
        let mut tastes = Tastes::new(&timetable, date()).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wishes: Vec<Wish> = (0..14_000).map(|_| tastes.wish(&mut random)).collect();
        let first = tastes.trains()[0];
        let seats: u32 = timetable.composition(first).carriages.iter().map(|c| u32::from(c.places)).sum();
        let asked: usize = wishes.iter().filter(|wish| wish.train == first).map(|wish| wish.party).sum();
        assert!(asked > 2 * seats as usize, "{asked} asked for {seats} seats");
    }

    #[test]
    fn nobody_travels_within_one_city() {
        let timetable = Timetable::sample();
        let mut tastes = Tastes::new(&timetable, date()).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..2_000 {
            let wish = tastes.wish(&mut random);
            let city = |stop: u8| {
                let station = timetable.train(wish.train).stops[usize::from(stop)].station;
                timetable.station(station).city.clone()
            };
            assert_ne!(city(wish.interval.from()), city(wish.interval.to()));
        }
    }
}
