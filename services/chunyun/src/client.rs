//! The client in the terminal: what a passenger, a clerk or an operator types.

mod buy;
mod change;
mod connect;
mod failure;
mod json;
mod money;
mod operator;
mod orders;
mod passenger;
pub mod render;
mod ring;
mod search;
mod waitlist;

pub use connect::{Connection, Target};
pub use failure::{ClientError, reason, retry_after_ms};
pub use money::{Reconcile, RefundRun, reconcile, refund_run};
pub use operator::{CloseSale, OpenSale, close_sale, open_sale};
pub use passenger::PassengerArgument;
pub use ring::{RingCommand, pauses_json, ring};

pub use buy::{Buy, buy};
pub use orders::{OrderCommand, order};
pub use search::{Search, Stations, TrainCommand, search, stations, train};
pub use waitlist::{WaitCommand, wait};
