use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use csv::StringRecord;
use domain::{Interval, Run, SeatClass, ServiceDate, Time, TrainCode};
use inventory::PARTY_MAX;
use timetable::{Timetable, TrainIndex};

use super::train::{Unsellable, fares, plan, run};
use crate::forecast::{Forecast, ForecastSource};
use crate::scenario::{ClassScenario, Request, SaleSpan, Scenario, interval_index};

/// Demand as it was recorded, read from CSV.
///
/// UTF-8 with a header. One row is one party that asked, whether it got anything or not:
///
/// | column         | what                                                                                       |
/// |----------------|--------------------------------------------------------------------------------------------|
/// | `time_ms`      | when it asked, in milliseconds since 1970-01-01 UTC; before the departure where it boards      |
/// | `train`        | the train's code, such as `G71`; a train of the timetable                                   |
/// | `service_date` | the date at the train's origin, `YYYY-MM-DD`; a date on which the train runs                 |
/// | `from_stop`    | where it boards: the position of the stop, from 0 at the origin                              |
/// | `to_stop`      | where it alights, counted likewise; after `from_stop`                                        |
/// | `class`        | the class, such as `second`; one that the train has                                         |
/// | `party`        | how many travel, 1 to 64                                                                   |
/// | `cancel_at_ms` | may be left out, column or value: when it gave its tickets back, or would have if it had got any; after `time_ms`, before departure |
///
/// Rows may come in any order; parties of one moment are served in the order of the file. A column that is not in this list is
/// refused, and so is a file with any bad row: all of them are reported.
#[derive(Debug)]
pub struct Recording {
    runs: BTreeMap<Run, (TrainIndex, Vec<Request>)>,
}

/// Why recorded demand is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file is not CSV, or cannot be read to its end.
    #[error("cannot read the demand as CSV")]
    Csv(#[from] csv::Error),
    /// Columns that are missing, doubled or unknown.
    #[error("columns of the demand: {faults}; expected {}, and {OPTIONAL} if there is one", REQUIRED.join(", "))]
    Columns {
        /// Which, in words.
        faults: String,
    },
    /// Rows that are wrong.
    #[error("{} bad rows, the first: {}", .0.len(), .0[0])]
    BadRows(Vec<BadRow>),
    /// More rows than are held in memory.
    #[error("more than {ROWS_MAX} rows")]
    TooManyRows,
}

/// One thing that is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The line, counted from 1; the header is line 1.
    pub line: u64,
    /// The column.
    pub column: &'static str,
    /// What stands there, cut to 40 characters.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

const REQUIRED: [&str; 7] = ["time_ms", "train", "service_date", "from_stop", "to_stop", "class", "party"];
const OPTIONAL: &str = "cancel_at_ms";

/// The most rows: about 2 GiB in memory.
const ROWS_MAX: usize = 32_000_000;

impl Recording {
    /// Reads and checks a file against the timetable its trains are from.
    ///
    /// # Errors
    /// Unreadable, wrong columns, or bad rows, all of which are reported.
    pub fn read(file: impl Read, timetable: &Timetable) -> Result<Self, RecordingError> {
        let mut reader = csv::Reader::from_reader(file);
        let columns = Columns::find(reader.headers()?)?;
        let mut recording = Self { runs: BTreeMap::new() };
        let mut bad = Vec::new();
        let mut record = StringRecord::new();
        let mut rows = 0;
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => match (Row { record: &record, columns: &columns, timetable }).read() {
                    Ok((run, train, request)) => {
                        recording.runs.entry(run).or_insert_with(|| (train, Vec::new())).1.push(request);
                    }
                    Err(fault) => bad.push(fault),
                },
                Err(error) => bad.push(unsplit(error)?),
            }
            rows += 1;
            if rows > ROWS_MAX {
                return Err(RecordingError::TooManyRows);
            }
        }
        if !bad.is_empty() {
            return Err(RecordingError::BadRows(bad));
        }
        for (_, requests) in recording.runs.values_mut() {
            // Stable: parties of one moment stay in the order of the file.
            requests.sort_by_key(|request| request.at);
        }
        Ok(recording)
    }

    /// The train-dates that were asked for, in order of train and date.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Run> + '_ {
        self.runs.keys().copied()
    }

    /// What was asked of one train-date. Policies are told what was recorded for the same train on the other dates of the file;
    /// where there is no other date, what was recorded on this one, which is hindsight.
    ///
    /// # Errors
    /// A train that cannot be sold.
    ///
    /// # Panics
    /// A run that is not one of [`Self::runs`].
    pub fn scenario(&self, timetable: &Timetable, run: Run) -> Result<Scenario, Unsellable> {
        let (train, requests) = &self.runs[&run];
        let first = requests.first().map_or(Time::default(), |request| request.at);
        let last = requests.last().map_or(first, |request| request.at);
        let plan = plan(timetable, *train, run, first)?;
        let stops = plan.stops.len();
        let classes = timetable.composition(*train).classes().map(|class| {
            let forecast = self.forecast(run, class, stops);
            (class, ClassScenario { fares: fares(timetable, *train, class), forecast })
        });
        Ok(Scenario {
            name: run.to_string(),
            run,
            classes: classes.collect(),
            plan,
            sale: SaleSpan { opens: first, ends: last.plus_millis(1) },
            requests: requests.clone(),
        })
    }

    fn forecast(&self, run: Run, class: SeatClass, stops: usize) -> Forecast {
        let same_train = || self.runs.iter().filter(move |(other, _)| other.train == run.train);
        let others = same_train().filter(|(other, _)| **other != run).count();
        let source = if others > 0 { ForecastSource::OtherDates } else { ForecastSource::SameDate };
        let told = same_train().filter(|(other, _)| others == 0 || **other != run);
        let mut passengers = vec![0.0; Interval::all(stops).count()];
        let (mut all, mut cancelled) = (0.0, 0.0);
        for request in told.flat_map(|(_, (_, requests))| requests).filter(|request| request.class == class) {
            let party = f64::from(request.party);
            passengers[interval_index(request.interval, stops)] += party / others.max(1) as f64;
            all += party;
            cancelled += if request.cancel_at.is_some() { party } else { 0.0 };
        }
        Forecast { passengers, cancelled_share: if all > 0.0 { cancelled / all } else { 0.0 }, source }
    }
}

/// Where each column stands.
struct Columns {
    required: [usize; REQUIRED.len()],
    cancel_at: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, RecordingError> {
        let named = |name: &str| header.iter().filter(|column| *column == name).count();
        let known = || REQUIRED.iter().chain([&OPTIONAL]);
        let mut faults: Vec<String> = Vec::new();
        faults.extend(REQUIRED.iter().filter(|name| named(name) == 0).map(|name| format!("{name} is missing")));
        faults.extend(known().filter(|name| named(name) > 1).map(|name| format!("{name} stands twice")));
        let unknown = header.iter().filter(|column| !known().any(|name| name == column));
        faults.extend(unknown.map(|column| format!("{column:?} is unknown")));
        if !faults.is_empty() {
            return Err(RecordingError::Columns { faults: faults.join(", ") });
        }
        let position = |name: &str| header.iter().position(|column| column == name);
        let required = REQUIRED.map(|name| position(name).expect("a missing column was refused"));
        Ok(Self { required, cancel_at: position(OPTIONAL) })
    }
}

/// A row that has as many fields as the header.
struct Row<'a> {
    record: &'a StringRecord,
    columns: &'a Columns,
    timetable: &'a Timetable,
}

impl Row<'_> {
    fn read(&self) -> Result<(Run, TrainIndex, Request), BadRow> {
        let at = Time::from_millis(self.parse(0, "milliseconds since 1970")?);
        let code: TrainCode = self.parse(1, "a train code such as G71")?;
        let train = self.timetable.train_by_code(code).ok_or_else(|| self.bad(1, "a train of the timetable"))?;
        let date: ServiceDate = self.parse(2, "a date as YYYY-MM-DD")?;
        if !self.timetable.runs_on(train, date) {
            return Err(self.bad(2, "a date on which the train runs"));
        }
        let stops = self.timetable.train(train).stops.len();
        let from = self.parse(3, "the position of a stop, from 0")?;
        let to: u8 = self.parse(4, "the position of a stop, from 0")?;
        let last = stops - 1;
        let interval = Interval::new(from, to).ok().filter(|_| usize::from(to) < stops);
        let interval = interval.ok_or_else(|| self.bad(4, &format!("a stop after {from} and not after {last}")))?;
        let class: SeatClass = self.parse(5, "a class such as second")?;
        if self.timetable.composition(train).places(class) == 0 {
            return Err(self.bad(5, "a class that the train has"));
        }
        let party = self.parse(6, "1 to 64")?;
        if !(1..=PARTY_MAX).contains(&party) {
            return Err(self.bad(6, "1 to 64"));
        }
        let departure = self.timetable.departure_time(train, date, from).unwrap_or_default();
        if at >= departure {
            return Err(self.bad(0, &format!("before the departure at {}", departure.millis())));
        }
        let cancel_at = self.cancel_at(at, departure)?;
        Ok((run(self.timetable, train, date), train, Request { at, class, interval, party, cancel_at }))
    }

    fn cancel_at(&self, at: Time, departure: Time) -> Result<Option<Time>, BadRow> {
        let text = self.columns.cancel_at.and_then(|column| self.record.get(column)).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let time = text.parse().ok().map(Time::from_millis).filter(|time| at < *time && *time < departure);
        let allowed = || format!("nothing, or between {} and the departure at {}", at.millis(), departure.millis());
        time.map(Some).ok_or_else(|| self.fault(OPTIONAL, text, &allowed()))
    }

    fn parse<T: std::str::FromStr>(&self, column: usize, allowed: &str) -> Result<T, BadRow> {
        self.text(column).parse().map_err(|_| self.bad(column, allowed))
    }

    fn text(&self, column: usize) -> &str {
        self.record.get(self.columns.required[column]).unwrap_or_default()
    }

    fn bad(&self, column: usize, allowed: &str) -> BadRow {
        self.fault(REQUIRED[column], self.text(column), allowed)
    }

    fn fault(&self, column: &'static str, value: &str, allowed: &str) -> BadRow {
        let line = self.record.position().map_or(0, csv::Position::line);
        BadRow { line, column, value: value.chars().take(40).collect(), allowed: allowed.to_owned() }
    }
}

/// A row that cannot be split into the header's columns is a bad row; anything else ends the reading.
fn unsplit(error: csv::Error) -> Result<BadRow, csv::Error> {
    let (line, allowed) = match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            (pos.as_ref(), format!("{expected_len} fields, not {len}"))
        }
        csv::ErrorKind::Utf8 { pos, .. } => (pos.as_ref(), "UTF-8".to_owned()),
        _ => return Err(error),
    };
    Ok(BadRow { line: line.map_or(0, csv::Position::line), column: "row", value: String::new(), allowed })
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} {:?}: expected {}", self.line, self.column, self.value, self.allowed)
    }
}
