use domain::{BoardingDate, ServiceDate, StopIndex, Time};
use jiff::civil::{DateTime, Time as ClockTime};

use crate::{StationId, Timetable, TrainIndex};

const MINUTES_PER_DAY: u16 = 1440;

impl Timetable {
    /// When the train leaves a stop; `None` at the terminus and past it.
    pub fn departure_time(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Option<Time> {
        let (station, minute) = self.departure(train, stop)?;
        Some(self.moment(station, date, minute))
    }

    /// When the train reaches a stop; `None` at the origin and past the terminus.
    pub fn arrival_time(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Option<Time> {
        let (station, minute) = self.arrival(train, stop)?;
        Some(self.moment(station, date, minute))
    }

    /// What the clock and calendar of the station show when the train leaves; `None` at the terminus and past it.
    pub fn departure_civil(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Option<DateTime> {
        self.departure(train, stop).map(|(_, minute)| civil(date, minute))
    }

    /// What the clock and calendar of the station show when the train arrives; `None` at the origin and past the terminus.
    pub fn arrival_civil(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Option<DateTime> {
        self.arrival(train, stop).map(|(_, minute)| civil(date, minute))
    }

    /// The calendar date on which passengers board at a stop; `None` at the terminus and past it.
    pub fn boarding_date(&self, train: TrainIndex, date: ServiceDate, stop: StopIndex) -> Option<BoardingDate> {
        self.departure(train, stop).map(|(_, minute)| date.boarding(day_offset(minute)))
    }

    /// The service date of the train that passengers board at a stop on this date; `None` at the terminus and past it.
    /// Whether the train runs on it is another question ([`Self::runs_on`]).
    pub fn service_date(&self, train: TrainIndex, date: BoardingDate, stop: StopIndex) -> Option<ServiceDate> {
        self.departure(train, stop).map(|(_, minute)| date.service(day_offset(minute)))
    }

    fn departure(&self, train: TrainIndex, stop: StopIndex) -> Option<(StationId, u16)> {
        let stops = &self.train(train).stops;
        let leaves = usize::from(stop) + 1 < stops.len();
        leaves.then(|| (stops[usize::from(stop)].station, stops[usize::from(stop)].departure_min))
    }

    fn arrival(&self, train: TrainIndex, stop: StopIndex) -> Option<(StationId, u16)> {
        let arrives = stop > 0;
        self.train(train).stop(stop).filter(|_| arrives).map(|stop| (stop.station, stop.arrival_min))
    }

    pub(crate) fn moment(&self, station: StationId, date: ServiceDate, minute: u16) -> Time {
        // A wall-clock time that a change of summer time skips or repeats is read as jiff's "compatible" rule reads it.
        let zoned = self.station(station).time_zone.to_ambiguous_timestamp(civil(date, minute)).compatible();
        let timestamp = zoned.expect("service dates lie between 2000 and 2199, within every zone's range");
        Time::from_millis(timestamp.as_millisecond())
    }
}

/// How many days after the service date a minute of a train's timetable lies.
pub(crate) const fn day_offset(minute: u16) -> u8 {
    // 65,535 minutes are 45 days.
    (minute / MINUTES_PER_DAY) as u8
}

/// The wall-clock date and time of a minute after 00:00 of the service date.
pub(crate) fn civil(date: ServiceDate, minute: u16) -> DateTime {
    let within = minute % MINUTES_PER_DAY;
    let clock =
        ClockTime::new((within / 60) as i8, (within % 60) as i8, 0, 0).expect("an hour below 24, a minute below 60");
    date.boarding(day_offset(minute)).date().to_datetime(clock)
}
