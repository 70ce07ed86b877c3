//! Commands that need no running fleet.

mod timetable;
mod token;

pub use timetable::{TimetableCommand, load as load_timetable, timetable};
pub use token::{Token, token};
