use std::collections::HashMap;

use domain::{Interval, Money, SeatClass, ServiceDate, StopIndex, TrainCode};
use jiff::tz::TimeZone;

use crate::{BerthLevel, Calendar, Composition, FareCurve, FareTable, PriceKey};

/// Everything that is known before the first ticket: where trains call and when, what they carry and what it costs.
///
/// Immutable. Stations are ordered by their key and trains by their code, so that equal contents are equal timetables
/// however their files were ordered. Indexes ([`StationId`], [`TrainIndex`]) belong to the timetable that gave them; using
/// them with another one is a bug and may panic.
#[derive(Debug)]
pub struct Timetable {
    pub(crate) stations: Vec<Station>,
    pub(crate) trains: Vec<Train>,
    pub(crate) compositions: Vec<Composition>,
    pub(crate) calendars: Vec<NamedCalendar>,
    pub(crate) curves: Vec<FareCurve>,
    pub(crate) train_by_code: HashMap<TrainCode, TrainIndex>,
    pub(crate) names: crate::search::Names,
    pub(crate) calls: crate::search::Calls,
    pub(crate) content_hash: u64,
}

/// A station by its position in [`Timetable::stations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StationId(pub u32);

/// A train by its position in [`Timetable::trains`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrainIndex(pub u32);

/// A place where trains call.
#[derive(Clone, Debug)]
pub struct Station {
    /// What the other files call it by.
    pub key: Box<str>,
    /// The name on the ticket, such as 北京西.
    pub name: Box<str>,
    /// The railway's code, such as `BXP`; small halts have none.
    pub telecode: Option<Box<str>>,
    /// The name in Latin letters, lower case, such as `beijingxi`; may be empty.
    pub pinyin: Box<str>,
    /// The initials, such as `bjx`; may be empty.
    pub abbreviation: Box<str>,
    /// The city it serves: 北京 for 北京西.
    pub city: Box<str>,
    /// Longitude and latitude in degrees, where known.
    pub position: Option<(f64, f64)>,
    /// The zone of its clock.
    pub time_zone: TimeZone,
}

/// A train as it runs on every date of its calendar.
#[derive(Clone, Debug)]
pub struct Train {
    /// Its public code, unique in a timetable.
    pub code: TrainCode,
    /// Where it calls, 2 to [`domain::STOPS_MAX`] stops.
    pub stops: Box<[Stop]>,
    /// What it costs.
    pub fares: FareTable,
    pub(crate) composition: u32,
    pub(crate) calendar: Option<u32>,
}

/// One call of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Where.
    pub station: StationId,
    /// Arrival in minutes after 00:00 of the service date on the station's clock; 1440 and more is a later day. At the
    /// origin the departure.
    pub arrival_min: u16,
    /// Departure, counted likewise. At the terminus the arrival.
    pub departure_min: u16,
    /// Distance from the origin in km.
    pub km: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct NamedCalendar {
    pub(crate) name: Box<str>,
    pub(crate) calendar: Calendar,
}

impl Timetable {
    /// Every station, ordered by key.
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// One station.
    pub fn station(&self, id: StationId) -> &Station {
        &self.stations[id.0 as usize]
    }

    /// Every train, ordered by code.
    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// The index of every train, in the order of [`Self::trains`].
    pub fn train_indexes(&self) -> impl Iterator<Item = TrainIndex> + use<> {
        (0..self.trains.len() as u32).map(TrainIndex)
    }

    /// One train.
    pub fn train(&self, train: TrainIndex) -> &Train {
        &self.trains[train.0 as usize]
    }

    /// The train of a code.
    pub fn train_by_code(&self, code: TrainCode) -> Option<TrainIndex> {
        self.train_by_code.get(&code).copied()
    }

    /// The carriages of a train.
    pub fn composition(&self, train: TrainIndex) -> &Composition {
        &self.compositions[self.train(train).composition as usize]
    }

    /// Whether the train leaves its origin on this date.
    pub fn runs_on(&self, train: TrainIndex, date: ServiceDate) -> bool {
        self.calendar(train).runs_on(date)
    }

    /// The service dates of a train.
    pub fn calendar(&self, train: TrainIndex) -> &Calendar {
        match self.train(train).calendar {
            Some(number) => &self.calendars[number as usize].calendar,
            None => &Calendar::Daily,
        }
    }

    /// The full adult fare, rounded to half a yuan. `None` where the train does not sell the class, or has no such stop.
    ///
    /// A sleeper without a known berth is quoted at the lower berth, the dearest: nobody is asked for more than was shown.
    pub fn fare(
        &self,
        train: TrainIndex,
        class: SeatClass,
        berth: Option<BerthLevel>,
        interval: Interval,
    ) -> Option<Money> {
        let train = self.train(train);
        let km = train.stop(interval.to())?.km - train.stop(interval.from())?.km;
        let berth = berth.or_else(|| BerthLevel::of(class).first().copied());
        let curve = train.fares.curve.map(|number| &self.curves[number as usize]);
        train.fares.fare(PriceKey { class, berth }, interval, km, curve)
    }

    /// A hash of all contents: equal on two machines exactly when they loaded the same timetable.
    pub fn content_hash(&self) -> u64 {
        self.content_hash
    }
}

impl Train {
    /// One of its stops, if it has so many.
    pub fn stop(&self, stop: StopIndex) -> Option<&Stop> {
        self.stops.get(usize::from(stop))
    }

    /// The first position at which it calls at a station.
    pub fn position_of(&self, station: StationId) -> Option<StopIndex> {
        self.stops.iter().position(|stop| stop.station == station).map(|at| at as StopIndex)
    }

    /// Every interval it can be ridden over, ordered by boarding and then alighting stop.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> + use<> {
        Interval::all(self.stops.len())
    }

    /// The length of an interval along the track, in km.
    pub fn distance_km(&self, interval: Interval) -> Option<u32> {
        Some(self.stop(interval.to())?.km - self.stop(interval.from())?.km)
    }
}
