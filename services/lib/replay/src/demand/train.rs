use domain::{Interval, Money, Run, SeatClass, ServiceDate, Time};
use inventory::{Carriage, PARTY_MAX, Plan, PlanError, PlanStop, QuotaPolicy, SaleTerms};
use timetable::{Timetable, TrainIndex};

/// Why a train of a timetable cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{run} cannot be sold: {error}")]
pub struct Unsellable {
    /// The train-date.
    pub run: Run,
    /// What is wrong with it.
    pub error: PlanError,
}

/// What a train of a timetable sells on a date, on sale from `opens` to each departure. No standing places: what is compared is
/// seats.
///
/// # Errors
/// A train without carriages, or whose times run backwards.
pub(crate) fn plan(timetable: &Timetable, train: TrainIndex, run: Run, opens: Time) -> Result<Plan, Unsellable> {
    let stops = timetable.train(train).stops.iter().enumerate().map(|(nth, stop)| PlanStop {
        arrival: timetable.arrival_time(train, run.date, nth as u8),
        departure: timetable.departure_time(train, run.date, nth as u8),
        sale_opens: opens,
        km: stop.km,
    });
    // Numbered anew: a carriage of two classes stands twice in a composition, under one number.
    let carriages = timetable.composition(train).carriages.iter().zip(1..).map(|(carriage, number)| Carriage {
        number,
        class: carriage.class,
        layout: carriage.layout.to_string(),
        places: carriage.places,
    });
    let plan = Plan {
        stops: stops.collect(),
        carriages: carriages.collect(),
        terms: SaleTerms { cutoff_before_departure_ms: 0, party_max: PARTY_MAX, ..SaleTerms::default() },
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    };
    plan.validate().map_err(|error| Unsellable { run, error })?;
    Ok(plan)
}

/// The fare of each interval of a class; nothing where the timetable knows none.
pub(crate) fn fares(timetable: &Timetable, train: TrainIndex, class: SeatClass) -> Vec<Money> {
    let fare = |interval: Interval| timetable.fare(train, class, None, interval).unwrap_or(Money::ZERO);
    timetable.train(train).intervals().map(fare).collect()
}

/// The run of a train on a date.
pub(crate) fn run(timetable: &Timetable, train: TrainIndex, date: ServiceDate) -> Run {
    Run::first(timetable.train(train).code, date)
}
