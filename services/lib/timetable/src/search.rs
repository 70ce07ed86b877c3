use std::collections::HashMap;

use domain::{BoardingDate, ServiceDate, StopIndex, Time};
use jiff::civil::DateTime;

use crate::times::{civil, day_offset};
use crate::{Station, StationId, Timetable, Train, TrainIndex};

/// A train that carries passengers from one of the asked stations to another without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectTrain {
    /// The train.
    pub train: TrainIndex,
    /// Where to board.
    pub from: StopIndex,
    /// Where to alight.
    pub to: StopIndex,
    /// The date at the train's origin, which inventory knows it by.
    pub service_date: ServiceDate,
    /// Departure on the clock of the boarding station.
    pub departure: DateTime,
    /// Arrival on the clock of the alighting station.
    pub arrival: DateTime,
    /// Departure as a moment.
    pub departs_at: Time,
    /// Arrival as a moment.
    pub arrives_at: Time,
}

impl Timetable {
    /// The trains that can be boarded on this date at any station of `from` and left at any station of `to`, by departure.
    ///
    /// A train that calls at several of the asked stations appears once for every pair it serves.
    pub fn direct_trains(&self, from: &[StationId], to: &[StationId], date: BoardingDate) -> Vec<DirectTrain> {
        let mut found = Vec::new();
        for (train, boards) in from.iter().flat_map(|station| self.calls_at(*station)) {
            let stops = &self.train(*train).stops;
            let service_date = date.service(day_offset(stops[usize::from(*boards)].departure_min));
            if !self.runs_on(*train, service_date) {
                continue;
            }
            for alights in usize::from(*boards) + 1..stops.len() {
                if to.contains(&stops[alights].station) {
                    found.push(self.ride(*train, *boards, alights as StopIndex, service_date));
                }
            }
        }
        found.sort_unstable_by_key(|ride| (ride.departs_at, ride.arrives_at, ride.train, ride.from, ride.to));
        found.dedup();
        found
    }

    fn ride(&self, train: TrainIndex, from: StopIndex, to: StopIndex, service_date: ServiceDate) -> DirectTrain {
        let stops = &self.train(train).stops;
        let (boards, alights) = (stops[usize::from(from)], stops[usize::from(to)]);
        DirectTrain {
            train,
            from,
            to,
            service_date,
            departure: civil(service_date, boards.departure_min),
            arrival: civil(service_date, alights.arrival_min),
            departs_at: self.moment(boards.station, service_date, boards.departure_min),
            arrives_at: self.moment(alights.station, service_date, alights.arrival_min),
        }
    }

    /// Every call at a station: the train and its stop, ordered by train.
    pub fn calls_at(&self, station: StationId) -> &[(TrainIndex, StopIndex)] {
        self.calls.at(station)
    }

    /// The station of a telecode, such as `BXP`.
    pub fn station_by_telecode(&self, telecode: &str) -> Option<StationId> {
        self.names.telecodes.get(telecode).copied()
    }

    /// The station of an exact name, such as 北京西.
    pub fn station_by_name(&self, name: &str) -> Option<StationId> {
        self.names.names.get(name).copied()
    }

    /// The stations that serve a city, such as 北京, ordered by key.
    pub fn stations_of_city(&self, city: &str) -> &[StationId] {
        self.names.cities.get(city).map_or(&[], Vec::as_slice)
    }

    /// The stations spelt so in Latin letters, lower case, such as `beijingxi`.
    pub fn stations_by_pinyin(&self, pinyin: &str) -> &[StationId] {
        self.names.pinyin.get(pinyin).map_or(&[], Vec::as_slice)
    }

    /// The stations that a traveller's words mean; empty where nothing is called so.
    ///
    /// The first that fits decides: a telecode (`BXP`); a city, which means all its stations (`北京`); a station's name,
    /// also with 站 behind it, which means that one station (`北京站`); Latin letters in any case, with or without spaces,
    /// which mean what the names spelt so mean (`Beijing`, `bei jing xi`).
    pub fn find_stations(&self, text: &str) -> Vec<StationId> {
        let text = text.trim();
        if let Some(station) = self.station_by_telecode(text) {
            return vec![station];
        }
        if let found @ [_, ..] = self.stations_of_city(text) {
            return found.to_vec();
        }
        let bare = text.strip_suffix('站').unwrap_or(text);
        if let Some(station) = self.station_by_name(text).or_else(|| self.station_by_name(bare)) {
            return vec![station];
        }
        let mut found = Vec::new();
        for station in self.stations_by_pinyin(&spelling(text)) {
            let named = self.station(*station);
            // The main station bears its city's name: its spelling means the city, as the name itself does.
            if named.name == named.city {
                found.extend_from_slice(self.stations_of_city(&named.city));
            } else {
                found.push(*station);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Up to `limit` stations whose name, spelling or initials begin with the text, the busiest first: for "did you mean".
    pub fn suggest_stations(&self, text: &str, limit: usize) -> Vec<StationId> {
        let (text, latin) = (text.trim(), spelling(text));
        let begins = |station: &Station| {
            !text.is_empty()
                && (station.name.starts_with(text)
                    || !latin.is_empty()
                        && (station.pinyin.starts_with(&latin) || station.abbreviation.starts_with(&latin)))
        };
        let ids = (0u32..).map(StationId).zip(&self.stations);
        let mut found: Vec<StationId> = ids.filter(|(_, station)| begins(station)).map(|(id, _)| id).collect();
        found.sort_by_key(|id| std::cmp::Reverse(self.calls_at(*id).len()));
        found.truncate(limit);
        found
    }
}

/// Latin text as station spellings are stored: lower-case letters and digits, nothing else.
pub(crate) fn spelling(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// What stations are called.
#[derive(Debug, Default)]
pub(crate) struct Names {
    telecodes: HashMap<Box<str>, StationId>,
    names: HashMap<Box<str>, StationId>,
    cities: HashMap<Box<str>, Vec<StationId>>,
    pinyin: HashMap<Box<str>, Vec<StationId>>,
}

impl Names {
    pub(crate) fn new(stations: &[Station]) -> Self {
        let mut names = Self::default();
        for (id, station) in (0u32..).map(StationId).zip(stations) {
            names.names.insert(station.name.clone(), id);
            names.cities.entry(station.city.clone()).or_default().push(id);
            if let Some(telecode) = &station.telecode {
                names.telecodes.insert(telecode.clone(), id);
            }
            if !station.pinyin.is_empty() {
                names.pinyin.entry(station.pinyin.clone()).or_default().push(id);
            }
        }
        names
    }
}

/// Which trains call where: the calls of all stations in one list, and where each station's begin.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    starts: Vec<u32>,
    calls: Vec<(TrainIndex, StopIndex)>,
}

impl Calls {
    pub(crate) fn new(stations: usize, trains: &[Train]) -> Self {
        let mut calls: Vec<(StationId, TrainIndex, StopIndex)> = Vec::new();
        for (index, train) in (0u32..).map(TrainIndex).zip(trains) {
            calls.extend((0u8..).zip(&train.stops).map(|(at, stop)| (stop.station, index, at)));
        }
        calls.sort_unstable();
        let mut starts = vec![0u32; stations + 1];
        for (station, _, _) in &calls {
            starts[station.0 as usize + 1] += 1;
        }
        for station in 0..stations {
            starts[station + 1] += starts[station];
        }
        Self { starts, calls: calls.into_iter().map(|(_, train, stop)| (train, stop)).collect() }
    }

    fn at(&self, station: StationId) -> &[(TrainIndex, StopIndex)] {
        let station = station.0 as usize;
        &self.calls[self.starts[station] as usize..self.starts[station + 1] as usize]
    }
}
