//! Commands that need no running fleet.

mod failpoints;
mod keys;
mod timetable;
mod token;

pub use failpoints::failpoints;
pub use keys::{KeysCommand, keys};
pub use timetable::{TimetableCommand, load as load_timetable, timetable};
pub use token::{Token, token};
