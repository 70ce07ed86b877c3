//! Requests into the railway's words. Every wrong field is named by its path, with what is allowed.

mod legs;
mod order;
mod passengers;
mod runs;

pub use legs::{Leg, Legs};
pub use order::{Placing, Waiting};
pub use passengers::Party;
pub use runs::run_in;

use domain::{ChangeId, Channel, EntryId, OrderId, Run};
use proto::common::v1 as wire;

use crate::error::Error;

/// The most items of a page.
const PAGE_SIZE_MAX: u32 = 100;
/// The longest free text: names of stations, payment tokens, page tokens.
const TEXT_BYTES_MAX: usize = 512;

/// A run for the wire.
pub fn run_out(run: Run) -> wire::Run {
    wire::Run { train_code: run.train.to_string(), service_date: run.date.to_string(), ordinal: run.ordinal.into() }
}

/// The id of an order.
pub fn order_id(text: &str) -> Result<OrderId, Error> {
    text.parse().map_err(Error::invalid("order_id"))
}

/// The id of a change of tickets.
pub fn change_id(text: &str) -> Result<ChangeId, Error> {
    text.parse().map_err(Error::invalid("change_id"))
}

/// The id of a waitlist entry.
pub fn entry_id(text: &str) -> Result<EntryId, Error> {
    text.parse().map_err(Error::invalid("entry_id"))
}

/// A channel; not said means online.
pub fn channel(code: i32) -> Result<Channel, Error> {
    match u8::try_from(code) {
        Ok(0) => Ok(Channel::Online),
        Ok(code) => Channel::from_code(code).ok_or(()),
        Err(_) => Err(()),
    }
    .map_err(|()| Error::field("channel", "expected a channel of 1 to 4"))
}

/// The size of a page; 0 stands for the service's own choice.
pub fn page_size(size: u32, token: &str) -> Result<(), Error> {
    if size > PAGE_SIZE_MAX {
        return Err(Error::field("page_size", format!("expected 1 to {PAGE_SIZE_MAX}, or 0 for 20")));
    }
    text("page_token", token)
}

/// A free text of bearable length.
pub fn text(field: &'static str, text: &str) -> Result<(), Error> {
    if text.len() <= TEXT_BYTES_MAX {
        Ok(())
    } else {
        Err(Error::field(field, format!("expected at most {TEXT_BYTES_MAX} bytes")))
    }
}
