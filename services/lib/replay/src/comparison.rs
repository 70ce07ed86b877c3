use crate::bound::Bound;
use crate::forecast::ForecastSource;
use crate::rules::{AllocationPolicy, PolicyFile};
use crate::run::{BrokenExactness, Figures, run};
use crate::scenario::Scenario;

/// Policies side by side on the same demand, and the bound beside them.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// What was sold: a reference's name, a train, a timetable.
    pub name: String,
    /// How many train-dates.
    pub train_dates: u64,
    /// Places times segments.
    pub seat_segments: u64,
    /// Parties that asked.
    pub requests: u64,
    /// Passengers of all parties.
    pub passengers: u64,
    /// Seat-segments asked for.
    pub asked_seat_segments: u64,
    /// Train-dates whose forecast was made from their own demand: figures of computed policies are hindsight there.
    pub hindsight_train_dates: u64,
    /// What nobody can beat.
    pub bound: Bound,
    /// What each policy made of it.
    pub policies: Vec<PolicyFigures>,
}

/// One policy's line of a comparison.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PolicyFigures {
    /// The policy's name.
    pub policy: String,
    /// What it made of the demand.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Comparison {
    /// An empty comparison, to which scenarios are added.
    pub fn new(name: &str, policies: &PolicyFile) -> Self {
        let line =
            |policy: &AllocationPolicy| PolicyFigures { policy: policy.name.clone(), figures: Figures::default() };
        Self {
            name: name.to_owned(),
            train_dates: 0,
            seat_segments: 0,
            requests: 0,
            passengers: 0,
            asked_seat_segments: 0,
            hindsight_train_dates: 0,
            bound: Bound::default(),
            policies: policies.policies.iter().map(line).collect(),
        }
    }

    /// Sells one scenario by every policy. `seed` is for what a policy leaves to chance.
    ///
    /// # Errors
    /// A policy that sold a seat twice: a bug.
    pub fn of(scenario: &Scenario, policies: &PolicyFile, seed: u64) -> Result<Self, BrokenExactness> {
        let mut comparison = Self::new(&scenario.name, policies);
        comparison.train_dates = 1;
        comparison.seat_segments = scenario.seat_segments();
        comparison.requests = scenario.requests.len() as u64;
        for request in &scenario.requests {
            comparison.passengers += u64::from(request.party);
            comparison.asked_seat_segments += u64::from(request.party) * u64::from(request.interval.segments());
        }
        let hindsight = scenario.classes.values().any(|class| class.forecast.source == ForecastSource::SameDate);
        comparison.hindsight_train_dates = u64::from(hindsight);
        comparison.bound = Bound::of(scenario);
        for (line, policy) in comparison.policies.iter_mut().zip(&policies.policies) {
            line.figures = run(scenario, &policy.rule, seed)?;
        }
        Ok(comparison)
    }

    /// Adds the comparison of another train-date by the same policies.
    pub fn add(&mut self, other: &Self) {
        self.train_dates += other.train_dates;
        self.seat_segments += other.seat_segments;
        self.requests += other.requests;
        self.passengers += other.passengers;
        self.asked_seat_segments += other.asked_seat_segments;
        self.hindsight_train_dates += other.hindsight_train_dates;
        self.bound.add(other.bound);
        for (line, other) in self.policies.iter_mut().zip(&other.policies) {
            line.figures.add(&other.figures);
        }
    }

    /// Seat-segments asked for over seat-segments there are.
    pub fn load(&self) -> f64 {
        share(self.asked_seat_segments, self.seat_segments)
    }

    /// The share of all seat-segments that the bound fills.
    pub fn bound_fill(&self) -> f64 {
        share(self.bound.seat_segments, self.seat_segments)
    }

    /// The share of all seat-segments that a policy fills.
    pub fn fill(&self, figures: &Figures) -> f64 {
        share(figures.seat_segments, self.seat_segments)
    }

    /// The share of the bound's seat-segments that a policy fills.
    pub fn share_of_bound(&self, figures: &Figures) -> f64 {
        share(figures.seat_segments, self.bound.seat_segments)
    }
}

/// A part of a whole; of nothing, all.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
