use std::collections::HashMap;
use std::sync::Arc;

use domain::TrainCode;
use jiff::tz::TimeZone;

use crate::report::{At, Findings};
use crate::{Calendar, Carriage, FareCurve, PriceColumn, Station};

/// A timetable while it is read: everything with the place it came from, good or broken.
///
/// A thing that is broken stays, marked, so that what refers to it is not reported as well; it is left out at the end, and
/// so are the trains that need it.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) stations: Vec<Drafted<Station>>,
    pub(crate) compositions: Keyed<Vec<Carriage>>,
    pub(crate) calendars: Keyed<Calendar>,
    pub(crate) curves: Keyed<FareCurve>,
    pub(crate) trains: Vec<DraftTrain>,
    station_by_key: HashMap<Box<str>, u32>,
    station_by_name: HashMap<Box<str>, u32>,
    station_by_telecode: HashMap<Box<str>, u32>,
    zones: HashMap<Box<str>, TimeZone>,
    train_by_code: HashMap<TrainCode, usize>,
}

/// A thing, where it was introduced, and whether a row about it is bad.
#[derive(Debug)]
pub(crate) struct Drafted<T> {
    pub(crate) at: At,
    pub(crate) broken: bool,
    pub(crate) value: T,
}

/// A train with its rows.
#[derive(Debug)]
pub(crate) struct DraftTrain {
    pub(crate) at: At,
    pub(crate) broken: bool,
    /// The code as the file has it.
    pub(crate) text: String,
    pub(crate) code: Option<TrainCode>,
    pub(crate) composition: Option<usize>,
    pub(crate) calendar: Option<usize>,
    pub(crate) curve: Option<usize>,
    pub(crate) stops: Vec<DraftStop>,
    pub(crate) columns: Vec<PriceColumn>,
}

/// A call of a train. Which of the times must be there depends on its place in the train.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftStop {
    pub(crate) at: At,
    pub(crate) sequence: u32,
    pub(crate) station: u32,
    pub(crate) arrival_min: Option<u16>,
    pub(crate) departure_min: Option<u16>,
    pub(crate) km: u32,
}

/// A station's fields as text.
pub(crate) struct StationFields<'a> {
    pub(crate) key: &'a str,
    pub(crate) name: &'a str,
    pub(crate) telecode: &'a str,
    pub(crate) pinyin: &'a str,
    pub(crate) abbreviation: &'a str,
    pub(crate) city: &'a str,
    pub(crate) longitude: &'a str,
    pub(crate) latitude: &'a str,
    pub(crate) time_zone: &'a str,
}

/// Named things in the order in which they were introduced.
#[derive(Debug)]
pub(crate) struct Keyed<T> {
    pub(crate) items: Vec<(Arc<str>, Drafted<T>)>,
    by_name: HashMap<Arc<str>, usize>,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), by_name: HashMap::new() }
    }
}

impl<T> Keyed<T> {
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The thing of this name, introduced here if it is new.
    pub(crate) fn entry(&mut self, at: At, name: &str, new: impl FnOnce() -> T) -> usize {
        if let Some(found) = self.find(name) {
            return found;
        }
        let name: Arc<str> = name.into();
        self.items.push((Arc::clone(&name), Drafted { at, broken: false, value: new() }));
        self.by_name.insert(name, self.items.len() - 1);
        self.items.len() - 1
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> &mut Drafted<T> {
        &mut self.items[index].1
    }
}

impl Draft {
    /// Adds a station, reporting every field that is wrong.
    pub(crate) fn add_station(&mut self, at: At, fields: &StationFields<'_>, findings: &mut Findings) {
        let mut broken = false;
        let mut wrong = |field: &'static str, value: &str, reason: String| {
            findings.problem(at, field, value, reason);
            broken = true;
        };
        let index = self.stations.len() as u32;
        for (field, value) in [("station", fields.key), ("name", fields.name)] {
            if value.is_empty() || value.chars().count() > 60 || value.chars().any(char::is_control) {
                wrong(field, value, "expected 1 to 60 characters".into());
            }
        }
        if !fields.telecode.is_empty() && !is_telecode(fields.telecode) {
            wrong("telecode", fields.telecode, "expected 3 to 8 upper-case letters or digits, such as BXP".into());
        }
        if !is_spelling(fields.pinyin) {
            wrong("pinyin", fields.pinyin, "expected lower-case letters and digits without spaces".into());
        }
        if !is_spelling(fields.abbreviation) {
            wrong("abbreviation", fields.abbreviation, "expected lower-case letters and digits".into());
        }
        let position = position(fields, &mut wrong);
        let time_zone = self.zone(fields.time_zone).unwrap_or_else(|| {
            wrong("time_zone", fields.time_zone, "expected an IANA time zone, such as Asia/Shanghai".into());
            TimeZone::UTC
        });
        let indexes = [
            ("station", fields.key, &mut self.station_by_key),
            ("name", fields.name, &mut self.station_by_name),
            ("telecode", fields.telecode, &mut self.station_by_telecode),
        ];
        for (field, value, index_of) in indexes {
            if value.is_empty() {
                continue;
            }
            if let Some(earlier) = index_of.get(value) {
                let line = self.stations[*earlier as usize].at.line();
                wrong(field, value, format!("line {line} has a station of the same {field}"));
            } else {
                index_of.insert(value.into(), index);
            }
        }
        let city = if fields.city.is_empty() { fields.name } else { fields.city };
        let value = Station {
            key: fields.key.into(),
            name: fields.name.into(),
            telecode: (!fields.telecode.is_empty()).then(|| fields.telecode.into()),
            pinyin: fields.pinyin.into(),
            abbreviation: fields.abbreviation.into(),
            city: city.into(),
            position,
            time_zone,
        };
        self.stations.push(Drafted { at, broken, value });
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        const DEFAULT: &str = "Asia/Shanghai";
        let name = if name.is_empty() { DEFAULT } else { name };
        if let Some(zone) = self.zones.get(name) {
            return Some(zone.clone());
        }
        let zone = TimeZone::get(name).ok()?;
        self.zones.insert(name.into(), zone.clone());
        Some(zone)
    }

    /// The station of a key; also a broken one.
    pub(crate) fn station(&self, key: &str) -> Option<u32> {
        self.station_by_key.get(key).copied()
    }

    /// The train of a code; also a broken one.
    pub(crate) fn train(&self, code: &str) -> Option<usize> {
        self.train_by_code.get(&code.parse().ok()?).copied()
    }

    /// Adds a train without stops. A bad or repeated code is reported and marks it broken.
    pub(crate) fn add_train(&mut self, at: At, field: &'static str, text: &str, findings: &mut Findings) -> usize {
        let index = self.trains.len();
        let mut train = DraftTrain::new(at, text);
        train.set_code(field, findings);
        if let Some(code) = train.code {
            if let Some(earlier) = self.train_by_code.get(&code) {
                let (file, line) = findings.place(self.trains[*earlier].at);
                findings.problem(at, field, text, format!("{file}:{line} has a train of the same code"));
                train.broken = true;
            } else {
                self.train_by_code.insert(code, index);
            }
        }
        self.trains.push(train);
        index
    }
}

impl DraftTrain {
    pub(crate) fn new(at: At, text: &str) -> Self {
        Self {
            at,
            broken: false,
            text: text.to_owned(),
            code: None,
            composition: None,
            calendar: None,
            curve: None,
            stops: Vec::new(),
            columns: Vec::new(),
        }
    }

    fn set_code(&mut self, field: &'static str, findings: &mut Findings) {
        match self.text.parse() {
            Ok(code) => self.code = Some(code),
            Err(invalid) => {
                findings.problem(self.at, field, &self.text, crate::table::expected(&invalid));
                self.broken = true;
            }
        }
    }
}

fn is_telecode(text: &str) -> bool {
    (3..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_spelling(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Both coordinates or neither.
fn position(fields: &StationFields<'_>, wrong: &mut impl FnMut(&'static str, &str, String)) -> Option<(f64, f64)> {
    if fields.longitude.is_empty() && fields.latitude.is_empty() {
        return None;
    }
    let mut degrees = |field: &'static str, text: &str, limit: f64| {
        let parsed = text.parse::<f64>().ok().filter(|degrees| degrees.abs() <= limit);
        if parsed.is_none() {
            wrong(field, text, format!("expected degrees from -{limit} to {limit}, or both coordinates blank"));
        }
        parsed
    };
    degrees("longitude", fields.longitude, 180.0).zip(degrees("latitude", fields.latitude, 90.0))
}
