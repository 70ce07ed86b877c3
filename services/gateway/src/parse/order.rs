use domain::{Channel, EntryId, OrderId};
use proto::gateway::v1::{JoinWaitlistRequest, PlaceOrderRequest};

use super::{Leg, Legs, Party, channel, entry_id, order_id};
use crate::error::Error;

/// An order to place.
#[derive(Clone)]
pub struct Placing {
    /// The client's id.
    pub order_id: OrderId,
    /// One or two trains.
    pub legs: Vec<Leg>,
    /// Who travels.
    pub party: Party,
    /// Where the request was made.
    pub channel: Channel,
    /// Whether standing will do.
    pub accept_standing: bool,
    /// Whether changing seats on the way will do.
    pub accept_seat_change: bool,
    /// The price that was shown, in fen; 0 to take what it costs.
    pub quoted_fen: i64,
    /// The signed quote that was shown; empty for none.
    pub quote: String,
}

impl Placing {
    /// Reads a request.
    pub fn read(request: PlaceOrderRequest, legs: &Legs<'_>) -> Result<Self, Error> {
        if request.quoted_fen < 0 {
            return Err(Error::field("quoted_fen", "expected an amount in fen, or 0 to take what it costs"));
        }
        Ok(Self {
            order_id: order_id(&request.order_id)?,
            legs: legs.read_all(&request.legs)?,
            party: Party::read(request.passengers, legs.policy.order.passengers_max)?,
            channel: channel(request.channel)?,
            accept_standing: request.accept_standing,
            accept_seat_change: request.accept_seat_change,
            quoted_fen: request.quoted_fen,
            quote: quote(request.quote)?,
        })
    }
}

/// The longest quote: five passengers on two sleepers have a third of it.
const QUOTE_BYTES_MAX: usize = 8_192;

fn quote(quote: String) -> Result<String, Error> {
    if quote.len() <= QUOTE_BYTES_MAX {
        Ok(quote)
    } else {
        Err(Error::field("quote", format!("expected at most {QUOTE_BYTES_MAX} bytes")))
    }
}

/// A waitlist entry to lodge.
#[derive(Clone)]
pub struct Waiting {
    /// The client's id.
    pub entry_id: EntryId,
    /// The train.
    pub leg: Leg,
    /// Who travels.
    pub party: Party,
    /// Where the request was made.
    pub channel: Channel,
    /// Whether standing will do.
    pub accept_standing: bool,
    /// Until when it waits, in ms since 1970-01-01 UTC; 0 for as long as policy allows.
    pub deadline_ms: i64,
}

impl Waiting {
    /// Reads a request.
    pub fn read(request: JoinWaitlistRequest, legs: &Legs<'_>) -> Result<Self, Error> {
        let leg = request.leg.ok_or_else(|| Error::field("leg", "expected a train"))?;
        if request.deadline_ms < 0 {
            return Err(Error::field("deadline_ms", "expected ms since 1970-01-01 UTC, or 0 for as long as allowed"));
        }
        Ok(Self {
            entry_id: entry_id(&request.entry_id)?,
            leg: legs.read("leg", &leg)?,
            party: Party::read_waiting(request.passengers, legs.policy.order.passengers_max)?,
            channel: channel(request.channel)?,
            accept_standing: request.accept_standing,
            deadline_ms: request.deadline_ms,
        })
    }
}
