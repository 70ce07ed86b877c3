//! Import of a GTFS feed.
//!
//! The tables are read with the plain CSV reader: the GTFS crates either stop at the first bad row or forget which line a row
//! came from, and every bad row must be reported with its line.

use std::collections::{HashMap, HashSet};

use domain::{SeatClass, ServiceDate};

use crate::check::{FieldNames, KM_MAX, MINUTE_MAX, check_references, check_stops, clock};
use crate::draft::{Draft, DraftStop, DraftTrain, StationFields};
use crate::report::{At, Findings};
use crate::search::spelling;
use crate::table::{Columns, ProgressMeter, Row, Source, read_table};
use crate::{Calendar, Carriage, LoadError, PriceColumn, PriceKey};

pub(crate) const FILES: &[&str] =
    &["agency.txt", "stops.txt", "routes.txt", "calendar.txt", "calendar_dates.txt", "trips.txt", "stop_times.txt"];

const AGENCY: Columns = Columns { required: &["agency_timezone"], optional: &[], refuse_others: false };
const STOPS: Columns = Columns {
    required: &["stop_id", "stop_name", "stop_lat", "stop_lon"],
    optional: &["stop_timezone"],
    refuse_others: false,
};
const ROUTES: Columns =
    Columns { required: &["route_id"], optional: &["route_short_name", "route_long_name"], refuse_others: false };
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const CALENDAR: Columns = Columns {
    required: &[
        "service_id",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "start_date",
        "end_date",
    ],
    optional: &[],
    refuse_others: false,
};
const CALENDAR_DATES: Columns =
    Columns { required: &["service_id", "date", "exception_type"], optional: &[], refuse_others: false };
const TRIPS: Columns =
    Columns { required: &["route_id", "service_id", "trip_id"], optional: &["trip_short_name"], refuse_others: false };
const STOP_TIMES: Columns = Columns {
    required: &["trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence"],
    optional: &[],
    refuse_others: false,
};

const NAMES: FieldNames = FieldNames {
    sequence: "stop_sequence",
    station: "stop_id",
    arrival: "arrival_time",
    departure: "departure_time",
    km: "stop_id",
    train: "trip_id",
    time: |minute| clock(minute) + ":00",
    consecutive: false,
};

/// A feed knows no carriages: every train gets this one, our own stand-in.
const COMPOSITION: &str = "GTFS stand-in, 100 first and 400 second";

/// A feed of this kind knows no fares: second class costs so many fen per km, the usual rate of Chinese high-speed trains,
/// and first class [`FIRST_PERCENT`] of it.
const SECOND_FEN_PER_KM: u32 = 46;
const FIRST_PERCENT: u32 = 160;

/// How much longer than a great circle the track is taken to be.
const DETOUR: f64 = 1.2;

/// The longest train code that leaves room for a variant, such as `V37`.
const BASE_CODE_MAX: usize = 8;

#[derive(Default)]
struct Feed {
    /// Train code of each route, variants not yet told apart.
    codes: HashMap<String, String>,
    services: HashMap<String, Service>,
    trips: HashMap<String, usize>,
    /// The dates of each train of the draft.
    dates: Vec<HashSet<i32>>,
    has_calendar: bool,
}

pub(crate) fn read(
    draft: &mut Draft,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut feed = Feed::default();
    let mut zone = String::new();
    read_table(source, "agency.txt", &AGENCY, meter, findings, |row, _| {
        if zone.is_empty() {
            row.text("agency_timezone").clone_into(&mut zone);
        }
    })?;
    read_stops(draft, &zone, source, meter, findings)?;
    read_table(source, "routes.txt", &ROUTES, meter, findings, |row, _| {
        let name =
            [row.text("route_short_name"), row.text("route_long_name")].into_iter().find(|name| !name.is_empty());
        feed.codes.insert(row.text("route_id").to_owned(), base_code(name.unwrap_or_default()));
    })?;
    feed.read_services(source, meter, findings)?;
    read_table(source, "trips.txt", &TRIPS, meter, findings, |row, findings| feed.read_trip(draft, row, findings))?;
    read_table(source, "stop_times.txt", &STOP_TIMES, meter, findings, |row, findings| {
        feed.read_stop_time(draft, row, findings);
    })?;
    add_distances(draft);
    check_stops(draft, NAMES, findings);
    feed.merge_trips(draft, findings);
    add_fares(draft);
    check_references(draft, NAMES, findings);
    Ok(())
}

fn read_stops(
    draft: &mut Draft,
    zone: &str,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut names = HashSet::new();
    read_table(source, "stops.txt", &STOPS, meter, findings, |row, findings| {
        let (id, given) = (row.text("stop_id"), row.text("stop_name"));
        // Stops of one name are one place to a feed's readers, but a name must mean one station here.
        let name = if names.insert(given.to_owned()) { given.to_owned() } else { format!("{given} ({id})") };
        let own_zone = row.text("stop_timezone");
        let fields = StationFields {
            key: id,
            name: &name,
            telecode: "",
            pinyin: &spelling(given),
            abbreviation: "",
            city: given,
            longitude: row.text("stop_lon"),
            latitude: row.text("stop_lat"),
            time_zone: if own_zone.is_empty() { zone } else { own_zone },
        };
        draft.add_station(row.at, &fields, findings);
    })
}

/// The letters and digits of a route's name in upper case: `ICE1672` of `ICE 1672`.
fn base_code(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(BASE_CODE_MAX)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

/// The dates of a service, and whether a row about it is bad.
#[derive(Default)]
struct Service {
    days: HashSet<i32>,
    broken: bool,
}

impl Feed {
    fn read_services(
        &mut self,
        source: &Source<'_>,
        meter: &mut ProgressMeter<'_>,
        findings: &mut Findings,
    ) -> Result<(), LoadError> {
        if source.has("calendar.txt") {
            self.has_calendar = true;
            read_table(source, "calendar.txt", &CALENDAR, meter, findings, |row, findings| {
                self.read_week(row, findings);
            })?;
        }
        if source.has("calendar_dates.txt") {
            self.has_calendar = true;
            read_table(source, "calendar_dates.txt", &CALENDAR_DATES, meter, findings, |row, findings| {
                let service = self.services.entry(row.text("service_id").to_owned()).or_default();
                let day = date(row, "date", findings).map(ServiceDate::days);
                match (day, row.text("exception_type")) {
                    (Some(day), "1") => _ = service.days.insert(day),
                    (Some(day), "2") => _ = service.days.remove(&day),
                    (None, _) => service.broken = true,
                    (_, other) => {
                        service.broken = true;
                        findings.problem(row.at, "exception_type", other, "expected 1 (added) or 2 (removed)");
                    }
                }
            })?;
        }
        if !self.has_calendar {
            findings.notes.push("the feed has no calendar: every train runs every day".into());
        }
        Ok(())
    }

    fn read_week(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let service = self.services.entry(row.text("service_id").to_owned()).or_default();
        let (from, to) = (date(row, "start_date", findings), date(row, "end_date", findings));
        let Some((from, to)) = from.zip(to) else {
            service.broken = true;
            return;
        };
        if from > to || to.days() - from.days() >= Calendar::SPAN_DAYS_MAX {
            let reason = format!("expected a date on or after start_date, within {} days", Calendar::SPAN_DAYS_MAX);
            findings.problem(row.at, "end_date", row.text("end_date"), reason);
            service.broken = true;
            return;
        }
        let days = (0..=to.days() - from.days()).map(|day| from.plus_days(day));
        let runs = |day: &ServiceDate| row.text(WEEKDAYS[day.date().weekday().to_monday_zero_offset() as usize]) == "1";
        service.days.extend(days.filter(runs).map(ServiceDate::days));
    }

    fn read_trip(&mut self, draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
        let mut train = DraftTrain::new(row.at, row.text("trip_id"));
        match self.codes.get(row.text("route_id")) {
            Some(code) if !code.is_empty() => train.text.clone_from(code),
            Some(_) => {
                findings.problem(
                    row.at,
                    "route_id",
                    row.text("route_id"),
                    "the route has no name to make a train code of",
                );
                train.broken = true;
            }
            None => {
                findings.problem(row.at, "route_id", row.text("route_id"), "no such route in routes.txt");
                train.broken = true;
            }
        }
        let service = self.services.get(row.text("service_id"));
        train.broken |= service.is_some_and(|service| service.broken);
        if self.has_calendar && !train.broken && service.is_none_or(|service| service.days.is_empty()) {
            findings.problem(row.at, "service_id", row.text("service_id"), "the service runs on no date");
            train.broken = true;
        }
        self.dates.push(service.map(|service| service.days.clone()).unwrap_or_default());
        if self.trips.insert(row.text("trip_id").to_owned(), draft.trains.len()).is_some() {
            findings.problem(row.at, "trip_id", row.text("trip_id"), "the trip appears twice");
            train.broken = true;
        }
        draft.trains.push(train);
    }

    fn read_stop_time(&self, draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
        let train = self.trips.get(row.text("trip_id")).copied();
        if train.is_none() {
            findings.problem(row.at, "trip_id", row.text("trip_id"), "no such trip in trips.txt");
        }
        let station = draft.station(row.text("stop_id"));
        if station.is_none() {
            findings.problem(row.at, "stop_id", row.text("stop_id"), "no such stop in stops.txt");
        }
        let sequence = row.whole("stop_sequence", u32::from(u16::MAX), findings);
        let arrival = time(row, "arrival_time", findings);
        let departure = time(row, "departure_time", findings);
        let Some(train) = train.map(|train| &mut draft.trains[train]) else { return };
        match (station, sequence, arrival, departure) {
            (Some(station), Some(sequence), Ok(arrival_min), Ok(departure_min)) => {
                train.stops.push(DraftStop { at: row.at, sequence, station, arrival_min, departure_min, km: 0 });
            }
            _ => train.broken = true,
        }
    }

    /// Makes one train of all trips of a route's name that call at the same stations at the same minutes, running on the dates
    /// of all of them. A name that runs with another stop list becomes another train: `ICE1672`, `ICE1672V2`, ...
    fn merge_trips(&mut self, draft: &mut Draft, findings: &mut Findings) {
        let trips = draft.trains.len();
        let composition = draft.trains.first().map(|train| draft.compositions.entry(train.at, COMPOSITION, carriages));
        let mut variants: HashMap<String, Vec<(Vec<Call>, usize)>> = HashMap::new();
        let mut merged: Vec<DraftTrain> = Vec::new();
        let mut dates: Vec<HashSet<i32>> = Vec::new();
        for (mut train, days) in std::mem::take(&mut draft.trains).into_iter().zip(std::mem::take(&mut self.dates)) {
            let calls: Vec<Call> = train.stops.iter().map(|s| (s.station, s.arrival_min, s.departure_min)).collect();
            let known = variants.entry(train.text.clone()).or_default();
            if let Some((_, same)) = known.iter().find(|(other, _)| !train.broken && *other == calls) {
                dates[*same].extend(days);
                continue;
            }
            if !train.broken {
                known.push((calls, merged.len()));
                if known.len() > 1 {
                    train.text = format!("{}V{}", train.text, known.len());
                }
            }
            train.composition = composition;
            merged.push(train);
            dates.push(days);
        }
        findings
            .notes
            .push(format!("{trips} trips make {} trains: equal stop lists of one name are one train", merged.len()));
        for (train, days) in merged.into_iter().zip(dates) {
            add_merged(draft, train, &days, self.has_calendar, findings);
        }
    }
}

/// Station, arrival and departure of a call.
type Call = (u32, Option<u16>, Option<u16>);

fn add_merged(draft: &mut Draft, train: DraftTrain, days: &HashSet<i32>, has_calendar: bool, findings: &mut Findings) {
    if train.broken {
        draft.trains.push(train);
        return;
    }
    let index = draft.add_train(train.at, "route_id", &train.text, findings);
    let calendar = if has_calendar { add_calendar(draft, train.at, &train.text, days, findings) } else { None };
    let added = &mut draft.trains[index];
    (added.composition, added.stops, added.calendar) = (train.composition, train.stops, calendar);
}

fn add_calendar(draft: &mut Draft, at: At, name: &str, days: &HashSet<i32>, findings: &mut Findings) -> Option<usize> {
    let dates = days.iter().filter_map(|day| ServiceDate::from_days(*day).ok());
    let listed = Calendar::listed(dates);
    if listed.is_none() {
        let reason = format!("the dates of a train span at most {} days", Calendar::SPAN_DAYS_MAX);
        findings.problem(at, "service_id", "", reason);
    }
    let broken = listed.is_none();
    let calendar = draft.calendars.entry(at, name, || listed.unwrap_or(Calendar::Daily));
    draft.calendars.get_mut(calendar).broken |= broken;
    Some(calendar)
}

/// A GTFS date, `YYYYMMDD`.
fn date(row: &Row<'_>, column: &'static str, findings: &mut Findings) -> Option<ServiceDate> {
    let text = row.text(column);
    let dashed = match (text.get(..4), text.get(4..6), text.get(6..)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => String::new(),
    };
    let parsed = dashed.parse().ok();
    if parsed.is_none() {
        findings.problem(row.at, column, text, "expected a date as YYYYMMDD");
    }
    parsed
}

/// A GTFS time, `H:MM:SS` past 24:00:00 for later days, as whole minutes; `Ok(None)` where it is blank.
fn time(row: &Row<'_>, column: &'static str, findings: &mut Findings) -> Result<Option<u16>, ()> {
    let text = row.text(column);
    if text.is_empty() {
        return Ok(None);
    }
    let digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<u32> = text.split(':').filter(|part| digits(part)).filter_map(|part| part.parse().ok()).collect();
    let minute = match parts[..] {
        [hours, minutes @ 0..60, 0..60] if text.split(':').count() == 3 => hours * 60 + minutes,
        _ => u32::MAX,
    };
    if minute > MINUTE_MAX {
        findings.problem(row.at, column, text, "expected HH:MM:SS, with hours past 23 for later days, up to 239:59:59");
        return Err(());
    }
    Ok(Some(minute as u16))
}

/// Distances along the stops, since the feed gives none: great circles, lengthened by [`DETOUR`]. A stop without coordinates
/// adds nothing.
fn add_distances(draft: &mut Draft) {
    let Draft { stations, trains, .. } = draft;
    for train in trains {
        train.stops.sort_by_key(|stop| stop.sequence);
        let (mut along, mut last) = (0.0, None);
        for stop in &mut train.stops {
            let here = stations[stop.station as usize].value.position;
            if let Some((from, to)) = last.zip(here) {
                along += great_circle_km(from, to) * DETOUR;
            }
            last = here.or(last);
            stop.km = (along.round() as u32).min(KM_MAX);
        }
    }
}

/// The haversine formula on a sphere of the earth's mean radius; longitude and latitude in degrees.
fn great_circle_km((lon_a, lat_a): (f64, f64), (lon_b, lat_b): (f64, f64)) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let square = half(lat_a, lat_b) + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_a, lon_b);
    2.0 * EARTH_RADIUS_KM * square.sqrt().min(1.0).asin()
}

fn carriages() -> Vec<Carriage> {
    let first = (1..=2).map(|number| (number, SeatClass::First, "AC|DF", 50, 0));
    let second = (3..=7).map(|number| (number, SeatClass::Second, "AC|DF", 80, 8));
    first
        .chain(second)
        .map(|(number, class, layout, places, standing)| Carriage {
            number,
            class,
            layout: layout.into(),
            places,
            standing,
        })
        .collect()
}

fn add_fares(draft: &mut Draft) {
    for train in &mut draft.trains {
        let column = |class, percent: u32| {
            // At least one yuan, so that no stop without coordinates is free; the origin itself is 0.
            let fare = |km: u32| (km * SECOND_FEN_PER_KM).max(100) * percent / 100;
            let rest = train.stops.iter().skip(1).map(|stop| fare(stop.km));
            PriceColumn { key: PriceKey { class, berth: None }, from_origin: std::iter::once(0).chain(rest).collect() }
        };
        train.columns = vec![column(SeatClass::First, FIRST_PERCENT), column(SeatClass::Second, 100)];
    }
}
