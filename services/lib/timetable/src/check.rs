//! The checks that need a whole train: rows by themselves are checked as they are read.

use domain::STOPS_MAX;

use crate::draft::{Draft, DraftTrain, Drafted};
use crate::report::Findings;
use crate::{Carriage, PriceKey, Station};

/// The latest minute of a timetable: ten days. The longest trains of the world take under nine.
pub(crate) const MINUTE_MAX: u32 = 14_399;

/// The longest way along the track, in km.
pub(crate) const KM_MAX: u32 = 20_000;

/// How the source's file names what the checks talk about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldNames {
    pub(crate) sequence: &'static str,
    pub(crate) station: &'static str,
    pub(crate) arrival: &'static str,
    pub(crate) departure: &'static str,
    pub(crate) km: &'static str,
    pub(crate) train: &'static str,
    /// A minute after 00:00 of the service date as the file writes it.
    pub(crate) time: fn(u16) -> String,
    /// Whether stops are numbered 1, 2, 3, ...; otherwise the numbers only have to rise.
    pub(crate) consecutive: bool,
}

/// Puts the stops of every train in order and checks them. Afterwards every stop of a train that is not broken has what
/// its place in the train asks for.
pub(crate) fn check_stops(draft: &mut Draft, names: FieldNames, findings: &mut Findings) {
    let Draft { stations, trains, .. } = draft;
    for train in trains {
        train.stops.sort_by_key(|stop| stop.sequence);
        let complete = !train.broken;
        let before = findings.problems.len();
        check_sequence(train, names, complete, findings);
        check_times(train, names, findings);
        check_distances(train, names, findings);
        check_stations(train, stations, names, findings);
        train.broken |= findings.problems.len() > before;
    }
}

fn check_sequence(train: &DraftTrain, names: FieldNames, complete: bool, findings: &mut Findings) {
    for (expected, stop) in (1u32..).zip(&train.stops) {
        // Where a row of the train is bad already, its gap is not a second fault.
        if names.consecutive && complete && stop.sequence != expected {
            let reason = format!("stops of a train are numbered 1, 2, 3, ...; expected {expected}");
            findings.problem(stop.at, names.sequence, &stop.sequence.to_string(), reason);
            break;
        }
    }
    for pair in train.stops.windows(2) {
        if !(names.consecutive && complete) && pair[0].sequence == pair[1].sequence {
            findings.problem(pair[1].at, names.sequence, &pair[1].sequence.to_string(), "the number appears twice");
        }
    }
    let stops = train.stops.len();
    if stops > STOPS_MAX || complete && stops < 2 {
        let reason = format!("a train has 2 to {STOPS_MAX} stops, this one {stops}");
        findings.problem(train.at, names.train, &train.text, reason);
    }
}

fn check_times(train: &DraftTrain, names: FieldNames, findings: &mut Findings) {
    let last = train.stops.len().saturating_sub(1);
    // The latest time so far, and the stop number where it stands.
    let mut latest: Option<(u16, u32)> = None;
    for (place, stop) in train.stops.iter().enumerate() {
        // What stands at the origin before the departure and at the terminus after the arrival says nothing.
        let times = [
            (names.arrival, stop.arrival_min.filter(|_| place > 0), place > 0),
            (names.departure, stop.departure_min.filter(|_| place < last), place < last),
        ];
        for (field, minute, needed) in times {
            match (minute, latest) {
                (None, _) if needed && train.stops.len() > 1 => {
                    findings.problem(stop.at, field, "", "a time is missing");
                }
                (Some(minute), Some((earlier, at))) if minute < earlier => {
                    let reason =
                        format!("runs backwards in time: {} at stop {at} comes before it", (names.time)(earlier));
                    findings.problem(stop.at, field, &(names.time)(minute), reason);
                }
                _ => {}
            }
            latest = minute.map(|minute| (minute, stop.sequence)).or(latest);
        }
    }
}

fn check_distances(train: &DraftTrain, names: FieldNames, findings: &mut Findings) {
    if let Some(origin) = train.stops.first().filter(|origin| origin.km != 0 && !train.broken) {
        findings.problem(
            origin.at,
            names.km,
            &origin.km.to_string(),
            "distance is counted from the origin: expected 0",
        );
    }
    for pair in train.stops.windows(2) {
        if pair[1].km < pair[0].km {
            let reason = format!("distance falls: the stop before is at {} km", pair[0].km);
            findings.problem(pair[1].at, names.km, &pair[1].km.to_string(), reason);
        }
    }
}

fn check_stations(train: &mut DraftTrain, stations: &[Drafted<Station>], names: FieldNames, findings: &mut Findings) {
    let Some(origin) = train.stops.first().map(|stop| &stations[stop.station as usize].value) else { return };
    for stop in &train.stops {
        let station = &stations[stop.station as usize];
        if station.value.time_zone != origin.time_zone {
            let reason = "all stations of a train keep one clock: its time zone is not the origin's";
            findings.problem(stop.at, names.station, &station.value.key, reason);
        }
        train.broken |= station.broken;
    }
    for pair in train.stops.windows(2) {
        if pair[0].station == pair[1].station {
            let key = &stations[pair[1].station as usize].value.key;
            findings.problem(pair[1].at, names.station, key, "the train calls here twice in a row");
        }
    }
}

/// Checks what trains refer to: compositions, calendars, curves, and a fare for every class that is sold.
pub(crate) fn check_references(draft: &mut Draft, names: FieldNames, findings: &mut Findings) {
    let Draft { compositions, calendars, curves, trains, .. } = draft;
    for train in trains {
        let composition = train.composition.map(|index| &compositions.items[index].1);
        train.broken |= composition.is_none_or(|composition| composition.broken);
        train.broken |= train.calendar.is_some_and(|index| calendars.items[index].1.broken);
        train.broken |= train.curve.is_some_and(|index| curves.items[index].1.broken);
        let Some(composition) = composition.filter(|_| !train.broken) else { continue };
        for key in sold(&composition.value) {
            if train.columns.iter().all(|column| column.key != key) {
                let reason = format!("no fare for {}, which its composition sells", key.column());
                findings.problem(train.at, names.train, &train.text, reason);
                train.broken = true;
            }
        }
    }
}

/// The prices that a composition needs.
pub(crate) fn sold(carriages: &[Carriage]) -> impl Iterator<Item = PriceKey> {
    PriceKey::all().filter(|key| carriages.iter().any(|carriage| carriage.class == key.class))
}

/// A minute after 00:00 of the service date as `HH:MM`, past 24:00 for later days.
pub(crate) fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
