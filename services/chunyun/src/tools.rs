//! Commands that need no running fleet.

mod failpoints;
mod timetable;
mod token;

pub use failpoints::failpoints;
pub use timetable::{TimetableCommand, load as load_timetable, timetable};
pub use token::{Token, token};
