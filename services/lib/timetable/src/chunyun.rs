//! Our own layout, as FORMAT.md describes it.

use domain::{SeatClass, ServiceDate};

use crate::check::{FieldNames, KM_MAX, MINUTE_MAX, check_references, check_stops, clock};
use crate::draft::{Draft, DraftStop, StationFields};
use crate::fares::CurveColumn;
use crate::report::{At, Findings};
use crate::table::{Columns, ProgressMeter, Row, Source, read_table};
use crate::{BerthLevel, Calendar, Carriage, FareCurve, LoadError, PriceColumn, PriceKey};

pub(crate) const FILES: &[&str] =
    &["stations.csv", "compositions.csv", "calendar.csv", "fare_curves.csv", "trains.csv", "stops.csv", "fares.csv"];

/// One column per [`PriceKey`], in the order of [`PriceKey::all`].
pub(crate) const PRICES: &[&str] = &[
    "business",
    "first",
    "second",
    "soft_seat",
    "hard_seat",
    "soft_sleeper_lower",
    "soft_sleeper_upper",
    "hard_sleeper_lower",
    "hard_sleeper_middle",
    "hard_sleeper_upper",
    "premier",
    "emu_sleeper_lower",
    "emu_sleeper_upper",
];

const STATIONS: Columns = Columns {
    required: &["station", "name", "telecode", "pinyin", "abbreviation", "city", "longitude", "latitude"],
    optional: &["time_zone"],
    refuse_others: true,
};
const COMPOSITIONS: Columns = Columns {
    required: &["composition", "carriage", "class", "layout", "places", "standing"],
    optional: &[],
    refuse_others: true,
};
const CALENDAR: Columns =
    Columns { required: &["calendar", "from", "to"], optional: &["weekdays"], refuse_others: true };
const CURVES: Columns = Columns { required: &["curve", "km"], optional: PRICES, refuse_others: true };
const TRAINS: Columns =
    Columns { required: &["train", "composition"], optional: &["calendar", "fare_curve"], refuse_others: true };
const STOPS: Columns = Columns {
    required: &["train", "stop", "station", "arrival", "departure", "km"],
    optional: &[],
    refuse_others: true,
};
const FARES: Columns = Columns { required: &["train", "stop"], optional: PRICES, refuse_others: true };

const NAMES: FieldNames = FieldNames {
    sequence: "stop",
    station: "station",
    arrival: "arrival",
    departure: "departure",
    km: "km",
    train: "train",
    time: clock,
    consecutive: true,
};

pub(crate) fn read(
    draft: &mut Draft,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    read_table(source, "stations.csv", &STATIONS, meter, findings, |row, findings| {
        let fields = StationFields {
            key: row.text("station"),
            name: row.text("name"),
            telecode: row.text("telecode"),
            pinyin: row.text("pinyin"),
            abbreviation: row.text("abbreviation"),
            city: row.text("city"),
            longitude: row.text("longitude"),
            latitude: row.text("latitude"),
            time_zone: row.text("time_zone"),
        };
        draft.add_station(row.at, &fields, findings);
    })?;
    read_table(source, "compositions.csv", &COMPOSITIONS, meter, findings, |row, findings| {
        read_carriage(draft, row, findings);
    })?;
    if source.has("calendar.csv") {
        read_calendars(draft, source, meter, findings)?;
    }
    if source.has("fare_curves.csv") {
        read_curves(draft, source, meter, findings)?;
    }
    read_table(source, "trains.csv", &TRAINS, meter, findings, |row, findings| read_train(draft, row, findings))?;
    read_table(source, "stops.csv", &STOPS, meter, findings, |row, findings| read_stop(draft, row, findings))?;
    check_stops(draft, NAMES, findings);
    read_fares(draft, source, meter, findings)?;
    check_references(draft, NAMES, findings);
    Ok(())
}

fn read_carriage(draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
    const PLACES_MAX: u32 = 500;
    let name = row.text("composition");
    let composition = draft.compositions.entry(row.at, name, Vec::new);
    if name.is_empty() {
        findings.problem(row.at, "composition", name, "expected a name");
        draft.compositions.get_mut(composition).broken = true;
    }
    let number = row.whole("carriage", 99, findings);
    let class = row.parsed::<SeatClass>("class", findings);
    let layout = row.text("layout");
    let layout_fits = class.is_none_or(|class| layout_fits(class, layout));
    if !layout_fits {
        let reason = "expected the letters of a row with a bar for the aisle, such as ABC|DF; for sleepers LMU or LU";
        findings.problem(row.at, "layout", layout, reason);
    }
    let places = row.whole("places", PLACES_MAX, findings);
    let standing = row.whole("standing", PLACES_MAX, findings);
    if places == Some(0) {
        findings.problem(row.at, "places", "0", "expected a carriage with at least one place");
    }
    let composition = draft.compositions.get_mut(composition);
    match (number, class, places, standing) {
        (Some(number), Some(class), Some(places @ 1..), Some(standing)) if layout_fits => {
            composition.value.push(Carriage {
                number: number as u8,
                class,
                layout: layout.into(),
                places: places as u16,
                standing: standing as u16,
            });
        }
        _ => composition.broken = true,
    }
}

/// Whether a layout names each place of a row once: distinct capital letters with at most one aisle between them, and for
/// sleepers exactly the levels of the class.
fn layout_fits(class: SeatClass, layout: &str) -> bool {
    if class.is_sleeper() {
        return layout.chars().map(BerthLevel::from_letter).eq(BerthLevel::of(class).iter().copied().map(Some));
    }
    let sides: Vec<&str> = layout.split('|').collect();
    let letters: Vec<u8> = sides.concat().into_bytes();
    let distinct = letters.iter().enumerate().all(|(at, letter)| !letters[..at].contains(letter));
    let filled = sides.len() <= 2 && sides.iter().all(|side| !side.is_empty());
    filled && distinct && letters.len() <= 8 && letters.iter().all(u8::is_ascii_uppercase)
}

fn read_calendars(
    draft: &mut Draft,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut dates: Vec<Vec<ServiceDate>> = Vec::new();
    read_table(source, "calendar.csv", &CALENDAR, meter, findings, |row, findings| {
        let name = row.text("calendar");
        let index = draft.calendars.entry(row.at, name, || Calendar::Daily);
        dates.resize_with(draft.calendars.items.len(), Vec::new);
        if name.is_empty() {
            findings.problem(row.at, "calendar", name, "expected a name");
        }
        let range = date_range(row, findings);
        let weekdays = weekdays(row.text("weekdays"));
        if weekdays.is_none() {
            let reason = "expected digits from 1 for Monday to 7 for Sunday, or blank for every day";
            findings.problem(row.at, "weekdays", row.text("weekdays"), reason);
        }
        match (range, weekdays) {
            (Some((from, to)), Some(weekdays)) if !name.is_empty() => {
                let days = (0..=to.days() - from.days()).map(|day| from.plus_days(day));
                let listed = days.filter(|day| weekdays[day.date().weekday().to_monday_zero_offset() as usize]);
                dates[index].extend(listed);
            }
            _ => draft.calendars.get_mut(index).broken = true,
        }
    })?;
    for (index, dates) in dates.into_iter().enumerate() {
        let (name, item) = &mut draft.calendars.items[index];
        if item.broken {
            continue;
        }
        match Calendar::listed(dates.iter().copied()) {
            Some(calendar) if !dates.is_empty() => item.value = calendar,
            _ => {
                let reason = format!("expected dates, spanning at most {} days", Calendar::SPAN_DAYS_MAX);
                findings.problem(item.at, "calendar", name, reason);
                item.broken = true;
            }
        }
    }
    Ok(())
}

fn date_range(row: &Row<'_>, findings: &mut Findings) -> Option<(ServiceDate, ServiceDate)> {
    let from: Option<ServiceDate> = row.parsed("from", findings);
    let to: Option<ServiceDate> = row.parsed("to", findings);
    let (from, to) = from.zip(to)?;
    if from > to || to.days() - from.days() >= Calendar::SPAN_DAYS_MAX {
        let reason = format!("expected a date on or after `from`, within {} days", Calendar::SPAN_DAYS_MAX);
        findings.problem(row.at, "to", row.text("to"), reason);
        return None;
    }
    Some((from, to))
}

fn weekdays(text: &str) -> Option<[bool; 7]> {
    if text.is_empty() {
        return Some([true; 7]);
    }
    let mut on = [false; 7];
    for digit in text.bytes() {
        *on.get_mut(usize::from(digit.checked_sub(b'1')?))? = true;
    }
    Some(on)
}

fn read_curves(
    draft: &mut Draft,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    read_table(source, "fare_curves.csv", &CURVES, meter, findings, |row, findings| {
        let name = row.text("curve");
        let index = draft.curves.entry(row.at, name, || FareCurve { name: name.into(), columns: Box::default() });
        let km = row.whole("km", KM_MAX, findings);
        let mut broken = name.is_empty() || km.is_none();
        if name.is_empty() {
            findings.problem(row.at, "curve", name, "expected a name");
        }
        let curve = draft.curves.get_mut(index);
        for key in PriceKey::all() {
            match row.fen(key.column(), findings) {
                Ok(Some(fen)) => {
                    broken |= km.is_none_or(|km| !add_point(&mut curve.value, key, km, fen, row.at, findings));
                }
                Ok(None) => {}
                Err(()) => broken = true,
            }
        }
        curve.broken |= broken;
    })
}

/// Adds a point at the end of a curve's column; reports it and answers false if distance or price do not rise.
fn add_point(curve: &mut FareCurve, key: PriceKey, km: u32, fen: u32, at: At, findings: &mut Findings) -> bool {
    let mut columns = std::mem::take(&mut curve.columns).into_vec();
    if columns.iter().all(|column| column.key != key) {
        columns.push(CurveColumn { key, points: Box::default() });
        columns.sort_by_key(|column| column.key);
    }
    let mut rises = true;
    for column in columns.iter_mut().filter(|column| column.key == key) {
        if let Some((last_km, last_fen)) = column.points.last().copied() {
            rises = km > last_km && fen >= last_fen;
        }
        let mut points = std::mem::take(&mut column.points).into_vec();
        points.push((km, fen));
        column.points = points.into_boxed_slice();
    }
    curve.columns = columns.into_boxed_slice();
    if !rises {
        findings.problem(at, key.column(), "", "distances of a curve rise from row to row, and prices never fall");
    }
    rises
}

fn read_train(draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
    let index = draft.add_train(row.at, "train", row.text("train"), findings);
    let mut find = |field: &'static str, found: Option<usize>, file: &str, needed: bool| {
        let name = row.text(field);
        let wrong = found.is_none() && (needed || !name.is_empty());
        if wrong {
            findings.problem(row.at, field, name, format!("no such {field} in {file}"));
        }
        !wrong
    };
    let composition = draft.compositions.find(row.text("composition"));
    let calendar = draft.calendars.find(row.text("calendar"));
    let curve = draft.curves.find(row.text("fare_curve"));
    let good = [
        find("composition", composition, "compositions.csv", true),
        find("calendar", calendar, "calendar.csv", false),
        find("fare_curve", curve, "fare_curves.csv", false),
    ];
    let train = &mut draft.trains[index];
    (train.composition, train.calendar, train.curve) = (composition, calendar, curve);
    train.broken |= good.contains(&false);
}

fn read_stop(draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
    let train = draft.train(row.text("train"));
    if train.is_none() {
        findings.problem(row.at, "train", row.text("train"), "no such train in trains.csv");
    }
    let station = draft.station(row.text("station"));
    if station.is_none() {
        findings.problem(row.at, "station", row.text("station"), "no such station in stations.csv");
    }
    let sequence = row.whole("stop", domain::STOPS_MAX as u32, findings);
    let arrival = time(row, "arrival", findings);
    let departure = time(row, "departure", findings);
    let km = row.whole("km", KM_MAX, findings);
    let Some(train) = train.map(|train| &mut draft.trains[train]) else { return };
    match (station, sequence, arrival, departure, km) {
        (Some(station), Some(sequence), Ok(arrival_min), Ok(departure_min), Some(km)) => {
            train.stops.push(DraftStop { at: row.at, sequence, station, arrival_min, departure_min, km });
        }
        _ => train.broken = true,
    }
}

/// A time as `HH:MM`, hours past 23 for later days; `Ok(None)` where it is blank.
fn time(row: &Row<'_>, column: &'static str, findings: &mut Findings) -> Result<Option<u16>, ()> {
    let text = row.text(column);
    if text.is_empty() {
        return Ok(None);
    }
    minute_of_clock(text).map(Some).ok_or_else(|| {
        findings.problem(row.at, column, text, "expected HH:MM, with hours past 23 for later days, up to 239:59");
    })
}

/// Minutes of `HH:MM`.
fn minute_of_clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=3).contains(&hours.len()) || minutes.len() != 2 || !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTE_MAX).then_some(minute as u16)
}

/// The prices of one stop, in the order of [`PriceKey::all`].
struct FareRow {
    at: At,
    stop: u32,
    fen: Vec<Option<u32>>,
}

fn read_fares(
    draft: &mut Draft,
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let mut rows: Vec<Vec<FareRow>> = Vec::new();
    rows.resize_with(draft.trains.len(), Vec::new);
    read_table(source, "fares.csv", &FARES, meter, findings, |row, findings| {
        let train = draft.train(row.text("train"));
        if train.is_none() {
            findings.problem(row.at, "train", row.text("train"), "no such train in trains.csv");
        }
        let stop = row.whole("stop", domain::STOPS_MAX as u32, findings);
        let fen: Vec<_> = PriceKey::all().map(|key| row.fen(key.column(), findings)).collect();
        let Some(train) = train else { return };
        match (stop, fen.into_iter().collect::<Result<Vec<_>, ()>>()) {
            (Some(stop), Ok(fen)) => rows[train].push(FareRow { at: row.at, stop, fen }),
            _ => draft.trains[train].broken = true,
        }
    })?;
    for (train, mut rows) in draft.trains.iter_mut().zip(rows) {
        let before = findings.problems.len();
        rows.sort_by_key(|row| row.stop);
        check_fare_rows(&rows, train.stops.len(), train.broken, findings);
        train.columns = PriceKey::all()
            .enumerate()
            .filter_map(|(at, key)| price_column(key, at, &rows, train.broken, findings))
            .collect();
        train.broken |= findings.problems.len() > before;
    }
    Ok(())
}

/// Every stop but the origin has one row.
fn check_fare_rows(rows: &[FareRow], stops: usize, train_broken: bool, findings: &mut Findings) {
    for (expected, row) in (2u32..).zip(rows) {
        let past_the_end = row.stop as usize > stops;
        if row.stop != expected && !train_broken || row.stop < 2 {
            let reason = format!("expected stop {expected}: one row for every stop after the origin");
            findings.problem(row.at, "stop", &row.stop.to_string(), reason);
            return;
        }
        if past_the_end && !train_broken {
            findings.problem(row.at, "stop", &row.stop.to_string(), format!("the train has {stops} stops"));
        }
    }
    if let Some(last) = rows.last().filter(|last| (last.stop as usize) < stops && !train_broken) {
        let reason = format!("the fares end here, but the train has {stops} stops");
        findings.problem(last.at, "stop", &last.stop.to_string(), reason);
    }
}

/// The column of one price, if the train has it.
fn price_column(
    key: PriceKey,
    at: usize,
    rows: &[FareRow],
    train_broken: bool,
    findings: &mut Findings,
) -> Option<PriceColumn> {
    if rows.iter().all(|row| row.fen[at].is_none()) {
        return None;
    }
    let mut from_origin = vec![0];
    let mut highest = 0;
    for row in rows {
        match row.fen[at] {
            None if !train_broken => findings.problem(row.at, key.column(), "", "the fare is missing"),
            Some(0) => findings.problem(row.at, key.column(), "0", "expected a fare above 0"),
            Some(fen) if fen < highest => {
                let reason = format!("the fare falls along the route: {} before", yuan(highest));
                findings.problem(row.at, key.column(), &yuan(fen), reason);
            }
            _ => {}
        }
        highest = highest.max(row.fen[at].unwrap_or(0));
        from_origin.push(highest);
    }
    Some(PriceColumn { key, from_origin: from_origin.into_boxed_slice() })
}

/// An amount in fen as yuan without needless zeros: `37.5`, `209`.
pub(crate) fn yuan(fen: u32) -> String {
    match fen % 100 {
        0 => format!("{}", fen / 100),
        cents if cents % 10 == 0 => format!("{}.{}", fen / 100, cents / 10),
        cents => format!("{}.{cents:02}", fen / 100),
    }
}
