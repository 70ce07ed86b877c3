//! Import of the Chinese national timetable of October 2016: a directory of stations, trains, stop times and fares, and beside
//! it `rolling_stock` with compositions. Stop for stop as the source has it; where the source is silent about carriages or
//! fares, FORMAT.md says what stands in.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use domain::SeatClass;

use crate::check::{FieldNames, KM_MAX, MINUTE_MAX, check_references, check_stops};
use crate::cn2016_fares;
use crate::draft::{Draft, DraftStop, StationFields};
use crate::report::{At, Findings};
use crate::table::{Columns, ProgressMeter, Row, Source, read_table};
use crate::{Carriage, LoadError};

pub(crate) const FILES: &[&str] =
    &["stations.csv", "trains.csv", "stop_times.csv", "fare_curve.csv", "fares_from_origin.csv"];
pub(crate) const ROLLING_STOCK_FILES: &[&str] = &["model_fallback.csv", "compositions.csv"];

/// One standing ticket for ten places, in second class and hard seat: the share that the railway's standing tickets are
/// usually kept to. Other classes sell none.
const STANDING_PERCENT: u32 = 10;

const STATIONS: Columns = Columns {
    required: &["station_id", "name", "telecode", "pinyin", "abbr", "lon", "lat", "city"],
    optional: &[],
    refuse_others: false,
};
const TRAINS: Columns =
    Columns { required: &["train_code", "type", "model_2024"], optional: &[], refuse_others: false };
const STOP_TIMES: Columns = Columns {
    required: &["train_code", "seq", "station_id", "arr_min", "dep_min", "km"],
    optional: &[],
    refuse_others: false,
};
const FALLBACKS: Columns =
    Columns { required: &["model", "use_model", "use_variant"], optional: &[], refuse_others: false };
const COMPOSITIONS: Columns = Columns {
    required: &["model", "variant", "car_no", "car_type", "class", "seats"],
    optional: &[],
    refuse_others: false,
};

const NAMES: FieldNames = FieldNames {
    sequence: "seq",
    station: "station_id",
    arrival: "arr_min",
    departure: "dep_min",
    km: "km",
    train: "train_code",
    time: |minute| minute.to_string(),
    consecutive: true,
};

/// Where the national timetable is: the directory itself, or `cn2016` within it.
pub(crate) fn directory(path: &Path) -> PathBuf {
    let inner = path.join("cn2016");
    if inner.join("stop_times.csv").is_file() { inner } else { path.to_owned() }
}

/// The kind of a train, by the letter before its number; `P` for trains that have only a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind(pub(crate) char);

impl Kind {
    /// Whether it is run by multiple units with first and second class.
    pub(crate) fn is_multiple_unit(self) -> bool {
        matches!(self.0, 'G' | 'D' | 'C')
    }
}

pub(crate) fn read(
    draft: &mut Draft,
    source: &Source<'_>,
    rolling_stock: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    read_table(source, "stations.csv", &STATIONS, meter, findings, |row, findings| {
        let fields = StationFields {
            key: row.text("station_id"),
            name: row.text("name"),
            telecode: row.text("telecode"),
            pinyin: row.text("pinyin"),
            abbreviation: row.text("abbr"),
            city: row.text("city"),
            longitude: row.text("lon"),
            latitude: row.text("lat"),
            time_zone: "",
        };
        draft.add_station(row.at, &fields, findings);
    })?;
    let stock = RollingStock::read(rolling_stock, meter, findings)?;
    let mut kinds = Vec::new();
    let mut without_model = 0;
    read_table(source, "trains.csv", &TRAINS, meter, findings, |row, findings| {
        kinds.push(read_train(draft, &stock, row, findings));
        without_model += u32::from(row.text("model_2024").is_empty());
    })?;
    findings.notes.push(format!("{without_model} trains have no known model: their composition is that of their kind"));
    read_table(source, "stop_times.csv", &STOP_TIMES, meter, findings, |row, findings| {
        read_stop(draft, row, findings);
    })?;
    check_stops(draft, NAMES, findings);
    cn2016_fares::read(draft, &kinds, source, meter, findings)?;
    check_references(draft, NAMES, findings);
    Ok(())
}

fn read_train(draft: &mut Draft, stock: &RollingStock, row: &Row<'_>, findings: &mut Findings) -> Kind {
    let index = draft.add_train(row.at, "train_code", row.text("train_code"), findings);
    let kind = row.text("type");
    let composition = stock.composition(row.text("model_2024"), kind);
    if let Some((name, stands)) = composition {
        let made = draft.compositions.entry(stands.at, name, || stands.carriages.clone());
        draft.compositions.get_mut(made).broken |= stands.broken;
        draft.trains[index].composition = Some(made);
    } else {
        let reason = format!("model_fallback.csv and compositions.csv have nothing for it, nor for type:{kind}");
        findings.problem(row.at, "model_2024", row.text("model_2024"), reason);
        draft.trains[index].broken = true;
    }
    Kind(kind.chars().next().unwrap_or('P'))
}

fn read_stop(draft: &mut Draft, row: &Row<'_>, findings: &mut Findings) {
    let train = draft.train(row.text("train_code"));
    if train.is_none() {
        findings.problem(row.at, "train_code", row.text("train_code"), "no such train in trains.csv");
    }
    let station = draft.station(row.text("station_id"));
    if station.is_none() {
        findings.problem(row.at, "station_id", row.text("station_id"), "no such station in stations.csv");
    }
    let sequence = row.whole("seq", domain::STOPS_MAX as u32, findings);
    let arrival = minute(row, "arr_min", findings);
    let departure = minute(row, "dep_min", findings);
    let km = row.whole("km", KM_MAX, findings);
    let Some(train) = train.map(|train| &mut draft.trains[train]) else { return };
    match (station, sequence, arrival, departure, km) {
        (Some(station), Some(sequence), Ok(arrival_min), Ok(departure_min), Some(km)) => {
            train.stops.push(DraftStop { at: row.at, sequence, station, arrival_min, departure_min, km });
        }
        _ => train.broken = true,
    }
}

fn minute(row: &Row<'_>, column: &'static str, findings: &mut Findings) -> Result<Option<u16>, ()> {
    if row.text(column).is_empty() {
        return Ok(None);
    }
    row.whole(column, MINUTE_MAX, findings).map(|minute| Some(minute as u16)).ok_or(())
}

/// Which carriages run on a model, and which model stands in for one without published carriages.
#[derive(Default)]
struct RollingStock {
    compositions: HashMap<String, Stand>,
    /// From a model, or `type:G`, to the name of a composition.
    fallbacks: HashMap<String, String>,
}

struct Stand {
    at: At,
    broken: bool,
    carriages: Vec<Carriage>,
}

impl RollingStock {
    fn read(source: &Source<'_>, meter: &mut ProgressMeter<'_>, findings: &mut Findings) -> Result<Self, LoadError> {
        let mut stock = Self::default();
        read_table(source, "compositions.csv", &COMPOSITIONS, meter, findings, |row, findings| {
            stock.read_carriage(row, findings);
        })?;
        read_table(source, "model_fallback.csv", &FALLBACKS, meter, findings, |row, _| {
            let name = composition_name(row.text("use_model"), row.text("use_variant"));
            stock.fallbacks.insert(row.text("model").to_owned(), name);
        })?;
        Ok(stock)
    }

    fn composition(&self, model: &str, kind: &str) -> Option<(&str, &Stand)> {
        let name = self.fallbacks.get(model).or_else(|| self.fallbacks.get(&format!("type:{kind}")))?;
        let found = self.compositions.get_key_value(name).map(|(name, stand)| (name.as_str(), stand));
        found.filter(|(_, stand)| stand.broken || !stand.carriages.is_empty())
    }

    fn read_carriage(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let name = composition_name(row.text("model"), row.text("variant"));
        let at = row.at;
        let stand = self.compositions.entry(name).or_insert_with(|| Stand { at, broken: false, carriages: Vec::new() });
        let class = match (row.text("class"), row.text("car_type")) {
            // Dining, generator and baggage cars.
            ("none" | "dining_unsold", _) => return,
            // WR: the soft sleepers of multiple units, which tickets call 动卧.
            ("soft_sleeper", "WR") => Some(SeatClass::EmuSleeper),
            // 二等卧, sold as three berths to a side.
            ("second_sleeper", _) => Some(SeatClass::HardSleeper),
            _ => row.parsed("class", findings),
        };
        let number = row.whole("car_no", 99, findings);
        let places = row.whole("seats", 500, findings);
        match (class, number, places) {
            (Some(class), Some(number), Some(places)) => {
                stand.carriages.push(carriage(class, number as u8, places as u16));
            }
            _ => stand.broken = true,
        }
    }
}

fn composition_name(model: &str, variant: &str) -> String {
    format!("{model} {variant}")
}

fn carriage(class: SeatClass, number: u8, places: u16) -> Carriage {
    let layout = match class {
        SeatClass::Second | SeatClass::HardSeat => "ABC|DF",
        SeatClass::First | SeatClass::SoftSeat => "AC|DF",
        SeatClass::Business | SeatClass::Premier => "AC|F",
        SeatClass::HardSleeper => "LMU",
        SeatClass::SoftSleeper | SeatClass::EmuSleeper => "LU",
    };
    let stands = matches!(class, SeatClass::Second | SeatClass::HardSeat);
    let standing = if stands { (u32::from(places) * STANDING_PERCENT / 100) as u16 } else { 0 };
    Carriage { number, class, layout: layout.into(), places, standing }
}
