//! Stations, trains, compositions and fares: the model, its CSV format, importers and checker.
//!
//! A [`Timetable`] is read once, checked as a whole, and never changes afterwards; services share it in an `Arc`.
//! `FORMAT.md` beside this crate describes the CSV layout and every check.

mod build;
mod calendar;
mod check;
mod chunyun;
mod cn2016;
mod cn2016_fares;
mod composition;
mod draft;
mod export;
mod fares;
mod gtfs;
mod load;
mod model;
mod report;
mod sample;
mod search;
mod table;
mod times;

pub use calendar::Calendar;
pub use composition::{BerthLevel, Carriage, Composition};
pub use export::write_csv;
pub use fares::{FARE_MIN, FareCurve, FareTable, PriceColumn, PriceKey};
pub use load::{Layout, LoadError, LoadOptions, Progress, detect};
pub use model::{Station, StationId, Stop, Timetable, Train, TrainIndex};
pub use report::{DroppedTrain, Problem, Report};
pub use search::DirectTrain;
