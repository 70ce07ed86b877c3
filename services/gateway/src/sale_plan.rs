//! What is put on sale for one run: the timetable and the policy file as the journal records them. Pure.

use domain::{Invalid, Run, ServiceDate, StopIndex};
use policy::{Policy, RailwayClock};
use proto::journal::v1::{Carriage, QuotaPolicy, SaleOpened, SaleTerms, StandingAllowance, Stop};
use timetable::{Timetable, TrainIndex};

const SECOND_MS: u32 = 1_000;
const MINUTE_MS: u32 = 60_000;

/// Makes the plans of a service date.
pub struct Planner<'a> {
    /// Knows stops, carriages and times.
    pub timetable: &'a Timetable,
    /// Knows the terms.
    pub policy: &'a Policy,
    /// The railway's calendar.
    pub calendar: &'a RailwayClock,
    /// When sale opens at every stop, in ms since 1970-01-01 UTC; 0 for what the policy says of each.
    pub sale_opens_ms: i64,
}

impl Planner<'_> {
    /// The run of a train and what is sold of it.
    pub fn plan(&self, train: TrainIndex, date: ServiceDate) -> Result<(Run, SaleOpened), Invalid> {
        let run = Run::first(self.timetable.train(train).code, date);
        let plan = SaleOpened {
            stops: self.stops(train, date)?,
            carriages: self.carriages(train),
            terms: Some(self.terms()),
            standing: self.standing(train),
            quotas: Some(QuotaPolicy { version: 1, ..QuotaPolicy::default() }),
            policy_version: self.policy.version,
        };
        Ok((run, plan))
    }

    fn stops(&self, train: TrainIndex, date: ServiceDate) -> Result<Vec<Stop>, Invalid> {
        let stops = self.timetable.train(train).stops.iter().enumerate();
        stops
            .map(|(index, stop)| {
                let index = index as StopIndex;
                let time = |time: Option<domain::Time>| time.map_or(0, domain::Time::millis);
                Ok(Stop {
                    arrival_ms: time(self.timetable.arrival_time(train, date, index)),
                    departure_ms: time(self.timetable.departure_time(train, date, index)),
                    sale_opens_ms: self.sale_opens_ms(train, date, index)?,
                    km: stop.km,
                })
            })
            .collect()
    }

    fn sale_opens_ms(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Result<i64, Invalid> {
        if self.sale_opens_ms != 0 {
            return Ok(self.sale_opens_ms);
        }
        // Nobody boards at the terminus: its opening is never asked for.
        let boarding = self.timetable.boarding_date(train, date, stop).unwrap_or_else(|| date.boarding(0));
        Ok(self.calendar.opening(&self.policy.sale, boarding)?.millis())
    }

    fn carriages(&self, train: TrainIndex) -> Vec<Carriage> {
        let carriages = self.timetable.composition(train).carriages.iter();
        carriages
            .map(|carriage| Carriage {
                number: carriage.number.into(),
                seat_class: carriage.class.code().into(),
                layout: carriage.layout.to_string(),
                places: carriage.places.into(),
            })
            .collect()
    }

    fn standing(&self, train: TrainIndex) -> Vec<StandingAllowance> {
        let composition = self.timetable.composition(train);
        composition
            .classes()
            .map(|class| StandingAllowance { seat_class: class.code().into(), places: composition.standing(class) })
            .filter(|allowance| allowance.places > 0)
            .collect()
    }

    fn terms(&self) -> SaleTerms {
        let Policy { sale, hold, order, waitlist, .. } = self.policy;
        SaleTerms {
            cutoff_before_departure_ms: sale.close_before_departure_minutes * MINUTE_MS,
            open_by_ms: hold.open_by_ms,
            payment_ms: hold.payment_seconds * SECOND_MS,
            hard_limit_ms: hold.hard_limit_seconds * SECOND_MS,
            offer_ms: waitlist.offer_ms,
            party_max: order.passengers_max,
            line_max: waitlist.entries_per_run_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn g71_is_planned_as_its_timetable_says() {
        let timetable = Timetable::sample();
        let policy = Policy::default();
        let calendar = RailwayClock::new();
        let planner = Planner { timetable: &timetable, policy: &policy, calendar: &calendar, sale_opens_ms: 0 };
        let train = timetable.train_by_code("G71".parse().unwrap()).unwrap();
        let (run, plan) = planner.plan(train, "2026-12-01".parse().unwrap()).unwrap();
        assert_eq!(run.to_string(), "G71@2026-12-01");
        let stops = plan.stops;
        assert_eq!(stops.len(), 18);
        let last = stops.len() - 1;
        assert_eq!((stops[0].arrival_ms != 0, stops[last].departure_ms), (false, 0));
        assert!(stops.windows(2).all(|pair| pair[0].departure_ms < pair[1].arrival_ms && pair[0].km < pair[1].km));
        // Fifteen days before the boarding date, at 05:00 in Shanghai.
        assert!(stops.iter().all(|stop| stop.sale_opens_ms == millis("2026-11-15T21:00:00Z")));
        let terms = plan.terms.unwrap();
        // The published numbers: 5 minutes, 10 seconds, 15 and 20 minutes, 5 passengers.
        assert_eq!(terms.cutoff_before_departure_ms, 300_000);
        assert_eq!((terms.open_by_ms, terms.payment_ms, terms.hard_limit_ms), (10_000, 900_000, 1_200_000));
        assert_eq!(terms.party_max, 5);
        assert!(plan.carriages.iter().map(|carriage| carriage.places).sum::<u32>() > 500);
    }

    #[test]
    fn a_train_past_midnight_opens_later_where_it_is_boarded_later() {
        let timetable = Timetable::sample();
        let (policy, calendar) = (Policy::default(), RailwayClock::new());
        let planner = Planner { timetable: &timetable, policy: &policy, calendar: &calendar, sale_opens_ms: 0 };
        let train = timetable.train_by_code("K598".parse().unwrap()).unwrap();
        let (_, plan) = planner.plan(train, "2026-12-01".parse().unwrap()).unwrap();
        let (first, before_last) = (plan.stops[0].sale_opens_ms, plan.stops[plan.stops.len() - 2].sale_opens_ms);
        assert_eq!((before_last - first) % 86_400_000, 0);
        assert!(before_last > first, "Baotou to Guangzhou takes more than a day");
    }

    #[test]
    fn one_opening_for_all_stops_can_be_asked_for() {
        let timetable = Timetable::sample();
        let (policy, calendar) = (Policy::default(), RailwayClock::new());
        let planner = Planner { timetable: &timetable, policy: &policy, calendar: &calendar, sale_opens_ms: 7 };
        for train in timetable.train_indexes() {
            let (_, plan) = planner.plan(train, "2026-12-01".parse().unwrap()).unwrap();
            assert!(plan.stops.iter().all(|stop| stop.sale_opens_ms == 7));
        }
    }
}
