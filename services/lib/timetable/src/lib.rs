//! Stations, trains, compositions and fares: the model, its CSV format, importers and checker.
//!
//! A [`Timetable`] is read once, checked as a whole, and never changes afterwards; services share it in an `Arc`.
//! `FORMAT.md` beside this crate describes the CSV layout and every check.

mod calendar;
mod composition;
mod fares;
mod model;
mod search;
mod times;

pub use calendar::Calendar;
pub use composition::{BerthLevel, Carriage, Composition};
pub use fares::{FareCurve, FareTable, PriceColumn, PriceKey};
pub use model::{Station, StationId, Stop, Timetable, Train, TrainIndex};
pub use search::DirectTrain;
