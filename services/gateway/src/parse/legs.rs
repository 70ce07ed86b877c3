use domain::{BoardingDate, Interval, Run, SeatClass, StopIndex, Time};
use policy::{Policy, RailwayClock};
use proto::gateway::v1::LegRequest;
use timetable::{StationId, Timetable, TrainIndex};

use crate::error::Error;

/// One train of an order, in inventory's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The run.
    pub run: Run,
    /// From where to where.
    pub interval: Interval,
    /// The class.
    pub class: SeatClass,
    /// The date at the boarding stop.
    pub boarding_date: BoardingDate,
}

/// Reads legs by the timetable.
#[derive(Clone, Copy)]
pub struct Legs<'a> {
    /// Knows stations, trains and times.
    pub timetable: &'a Timetable,
    /// Knows the presale horizon.
    pub policy: &'a Policy,
    /// The railway's calendar.
    pub calendar: &'a RailwayClock,
    /// The present moment.
    pub now: Time,
    /// Whether dates that are not on sale are read too: for orders that were placed before.
    pub any_date: bool,
}

impl Legs<'_> {
    /// The legs of an order, in the order of travel.
    pub fn read_all(&self, legs: &[LegRequest]) -> Result<Vec<Leg>, Error> {
        let most = self.policy.order.legs_max as usize;
        if legs.is_empty() || legs.len() > most {
            return Err(Error::field("legs", format!("expected 1 to {most} legs, got {}", legs.len())));
        }
        let legs: Vec<Leg> = legs
            .iter()
            .enumerate()
            .map(|(index, leg)| self.read(&format!("legs[{index}]"), leg))
            .collect::<Result<_, _>>()?;
        if let [first, second] = legs[..]
            && first.run == second.run
        {
            return Err(Error::field("legs[1].train_code", "expected another run than that of legs[0]"));
        }
        Ok(legs)
    }

    /// One leg; `path` is the path of its field.
    pub fn read(&self, path: &str, leg: &LegRequest) -> Result<Leg, Error> {
        let field = |name: &str| format!("{path}.{name}");
        let code = leg.train_code.parse().map_err(Error::invalid(field("train_code")))?;
        let train = self
            .timetable
            .train_by_code(code)
            .ok_or_else(|| Error::field(field("train_code"), format!("no train {code} in the timetable")))?;
        let date: BoardingDate = leg.boarding_date.parse().map_err(Error::invalid(field("boarding_date")))?;
        self.check_horizon(field("boarding_date"), date)?;
        let from = self.stop(field("from_station"), train, &leg.from_station)?;
        let to = self.stop(field("to_station"), train, &leg.to_station)?;
        let interval = Interval::new(from, to).map_err(|_| {
            let message = format!("expected a station that {code} calls at after {}", leg.from_station);
            Error::field(field("to_station"), message)
        })?;
        let class = self.class(field("seat_class"), train, leg.seat_class)?;
        let service_date = self
            .timetable
            .service_date(train, date, from)
            .filter(|service| self.timetable.runs_on(train, *service))
            .ok_or_else(|| {
                let message = format!("{code} cannot be boarded at {} on {date}", leg.from_station);
                Error::field(field("boarding_date"), message)
            })?;
        Ok(Leg { run: Run::first(code, service_date), interval, class, boarding_date: date })
    }

    fn check_horizon(&self, field: String, date: BoardingDate) -> Result<(), Error> {
        let (first, last) =
            self.calendar.on_sale(&self.policy.sale, self.now).map_err(Error::invalid(field.clone()))?;
        if self.any_date || (first..=last).contains(&date) {
            Ok(())
        } else {
            Err(Error::Horizon { field, date, first, last })
        }
    }

    /// Where the train calls at what the words mean. A station's own name or telecode means that station, also where a city
    /// is called the same; a city may mean several of its stops: then the words must be plainer.
    fn stop(&self, field: String, train: TrainIndex, words: &str) -> Result<StopIndex, Error> {
        super::text("station", words).map_err(|_| Error::field(field.clone(), "expected a station's name"))?;
        let stations = self.timetable.find_stations(words);
        if stations.is_empty() {
            return Err(Error::field(field, self.unknown_station(words)));
        }
        let train = self.timetable.train(train);
        let named = self.timetable.station_by_name(words).or_else(|| self.timetable.station_by_telecode(words));
        if let Some(stop) = named.and_then(|station| train.position_of(station)) {
            return Ok(stop);
        }
        let mut stops = stations.iter().filter_map(|station| train.position_of(*station));
        match (stops.next(), stops.next()) {
            (Some(stop), None) => Ok(stop),
            (None, _) => Err(Error::field(field, format!("{} does not call at {words}", train.code))),
            (Some(_), Some(_)) => {
                let called = stations.iter().filter(|station| train.position_of(**station).is_some());
                let names = self.names(called);
                Err(Error::field(
                    field,
                    format!("{words} means several stops of {}: expected one of {names}", train.code),
                ))
            }
        }
    }

    fn unknown_station(&self, words: &str) -> String {
        let words: String = words.chars().take(40).collect();
        let near = self.timetable.suggest_stations(&words, 3);
        let hint = if near.is_empty() { String::new() } else { format!(", did you mean {}?", self.names(near.iter())) };
        format!("no station is called {words:?}{hint}")
    }

    fn names<'i>(&self, stations: impl Iterator<Item = &'i StationId>) -> String {
        let names: Vec<&str> = stations.map(|station| &*self.timetable.station(*station).name).collect();
        names.join(", ")
    }

    fn class(&self, field: String, train: TrainIndex, code: i32) -> Result<SeatClass, Error> {
        let sold: Vec<SeatClass> = self.timetable.composition(train).classes().collect();
        let class = u8::try_from(code).ok().and_then(SeatClass::from_code).filter(|class| sold.contains(class));
        class.ok_or_else(|| {
            let names: Vec<String> = sold.iter().map(SeatClass::to_string).collect();
            Error::field(field, format!("expected a class of the train: {}", names.join(", ")))
        })
    }
}
