//! The railway's words as types.
//!
//! Everything here is plain data with its grammar: a value that exists is valid, and what can be wrong about an input is
//! said by one [`Invalid`]. Nothing reads a clock, a file or a random number.

mod channel;
mod class;
mod date;
mod document;
mod id;
mod interval;
mod invalid;
mod money;
mod passenger;
mod run;
mod time;

pub use channel::Channel;
pub use class::SeatClass;
pub use date::{BoardingDate, ServiceDate};
pub use document::{Document, DocumentKind};
pub use id::{AccountId, ChangeId, EntryId, HoldId, OrderId, PersonToken};
pub use interval::{Interval, STOPS_MAX, StopIndex};
pub use invalid::Invalid;
pub use money::Money;
pub use passenger::{PassengerKind, PassengerName};
pub use run::{Run, SLOTS, SlotId, TrainCode};
pub use time::Time;
