use std::collections::BTreeMap;

use domain::{Interval, Money, Run, SeatClass, ServiceDate, Time};
use inventory::{Carriage, Plan, PlanStop, QuotaPolicy, SaleTerms};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::draw::{CANCELLED_SHARE, Taste};
use crate::forecast::{Forecast, ForecastSource};
use crate::scenario::{ClassScenario, SaleSpan, Scenario};

/// The demand that ships with the project: one train, one class, requests of one passenger.
///
/// | name         | stops | seats | demand                                                                        |
/// |--------------|-------|-------|-------------------------------------------------------------------------------|
/// | `rail-17`    | 17    | 1,000 | weight 6 at both ends, 4 at every fourth stop, 1 elsewhere                    |
/// | `rail-35`    | 35    | 1,300 | the same weights                                                              |
/// | `uniform-17` | 17    | 1,000 | every interval as likely as any other                                         |
/// | `uniform-35` | 35    | 1,300 | every interval as likely as any other                                         |
///
/// An interval is asked for in proportion to the product of the weights of its ends. Requests come in random order, evenly over
/// the fifteen days of sale, until `load` times the train's seat-segments were asked for. A quarter of those who get a
/// ticket give it back, at a moment spread evenly between the purchase and the end of sale, and the seats are sold again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is called on the command line.
    pub name: &'static str,
    stops: usize,
    places: u16,
    /// Whether every interval is as likely as any other.
    uniform: bool,
}

/// How much is asked for when nothing else is said: half more than there is.
pub const REFERENCE_LOAD: f64 = 1.5;

/// Length of every segment.
const SEGMENT_KM: u32 = 60;

/// Fare per km, second class of a fast train, in fen; rounded to half a yuan like any fare.
const FEN_PER_KM: i64 = 46;

const PLACES_PER_CARRIAGE: u16 = 100;
const PRESALE_MS: i64 = 15 * 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

impl Reference {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self { name: "rail-17", stops: 17, places: 1_000, uniform: false },
        Self { name: "rail-35", stops: 35, places: 1_300, uniform: false },
        Self { name: "uniform-17", stops: 17, places: 1_000, uniform: true },
        Self { name: "uniform-35", stops: 35, places: 1_300, uniform: true },
    ];

    /// The one with a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reference| reference.name == name)
    }

    /// Draws its demand. The same seed and load draw the same.
    pub fn scenario(self, load: f64, seed: u64) -> Scenario {
        let plan = self.plan();
        let sale = SaleSpan { opens: plan.stops[0].sale_opens, ends: plan.stops[0].sale_opens.plus_millis(PRESALE_MS) };
        let intervals: Vec<Interval> = Interval::all(self.stops).collect();
        let weights = intervals.iter().map(|interval| self.weight(*interval)).collect();
        let taste = Taste { class: SeatClass::Second, intervals: &intervals, weights, parties: &[(1, 1.0)] };
        let wanted = load * f64::from(self.places) * (self.stops - 1) as f64;
        let fare = |interval: &Interval| {
            Money::fen(FEN_PER_KM * i64::from(u32::from(interval.segments()) * SEGMENT_KM)).rounded_half_yuan()
        };
        let class = ClassScenario {
            fares: intervals.iter().map(fare).collect(),
            forecast: Forecast {
                passengers: taste.expected(wanted),
                cancelled_share: CANCELLED_SHARE,
                source: ForecastSource::Model,
            },
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Scenario {
            name: self.name.to_owned(),
            run: run(),
            classes: BTreeMap::from([(SeatClass::Second, class)]),
            requests: taste.draw(wanted, sale, &mut random),
            plan,
            sale,
        }
    }

    fn weight(self, interval: Interval) -> f64 {
        let stop = |stop: u8| match usize::from(stop) {
            _ if self.uniform => 1.0,
            stop if stop == 0 || stop + 1 == self.stops => 6.0,
            stop if stop % 4 == 0 => 4.0,
            _ => 1.0,
        };
        stop(interval.from()) * stop(interval.to())
    }

    fn plan(self) -> Plan {
        let opens = Time::from_millis(i64::from(run().date.days()) * 24 * HOUR_MS - PRESALE_MS);
        // Sale ends at every stop only after all demand has come: the first train leaves an hour later.
        let departs = |stop: usize| opens.plus_millis(PRESALE_MS + HOUR_MS * (stop as i64 + 1));
        let stop = |nth: usize| PlanStop {
            arrival: (nth > 0).then(|| departs(nth)),
            departure: (nth + 1 < self.stops).then(|| departs(nth)),
            sale_opens: opens,
            km: nth as u32 * SEGMENT_KM,
        };
        let carriage = |number: u16| Carriage {
            number,
            class: SeatClass::Second,
            layout: "ABC|DF".to_owned(),
            places: PLACES_PER_CARRIAGE,
        };
        Plan {
            stops: (0..self.stops).map(stop).collect(),
            carriages: (1..=self.places / PLACES_PER_CARRIAGE).map(carriage).collect(),
            terms: SaleTerms::default(),
            standing: Vec::new(),
            quotas: QuotaPolicy::default(),
            policy_version: 1,
        }
    }
}

/// The run that reference demand is for; nothing depends on its name but the order of maps.
fn run() -> Run {
    let date = ServiceDate::from_days(20_789).expect("2026-12-02 is between 2000 and 2199");
    Run::first("G1".parse().expect("G1 is a train code"), date)
}
