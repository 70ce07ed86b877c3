use domain::{HoldId, Interval, Time};

use crate::answer::AssignedParts;
use crate::event::{Part, Parts};
use crate::limits::Ticket;

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HoldStage {
    /// Waits for an order to claim it, until `open_by`.
    Held = 1,
    /// Waits for payment, until its hard limit.
    Opened = 2,
    /// Paid: its parts are tickets.
    Confirmed = 3,
    /// Offered to a waitlist entry, until the offer runs out.
    Offered = 4,
    /// Given back before it was paid.
    Released = 5,
    /// Its time ran out, as a hold or as an offer.
    Expired = 6,
    /// All its tickets were given back.
    Refunded = 7,
    /// Exchanged for another hold.
    Changed = 8,
    /// The offer was refused.
    Declined = 9,
}

impl HoldStage {
    /// Whether it occupies places.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Opened | Self::Confirmed | Self::Offered)
    }

    /// The stage of a stable code, if there is one.
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        const ALL: [HoldStage; 9] = [
            HoldStage::Held,
            HoldStage::Opened,
            HoldStage::Confirmed,
            HoldStage::Offered,
            HoldStage::Released,
            HoldStage::Expired,
            HoldStage::Refunded,
            HoldStage::Changed,
            HoldStage::Declined,
        ];
        ALL.into_iter().find(|stage| *stage as u32 == code)
    }

    /// The word for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Opened => "opened",
            Self::Confirmed => "confirmed",
            Self::Offered => "offered",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
            Self::Changed => "changed",
            Self::Declined => "declined",
        }
    }
}

/// The present state of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// Its id.
    pub id: HoldId,
    /// Where it stands.
    pub stage: HoldStage,
    /// When its present stage ends by itself; none for tickets and ended holds.
    pub deadline: Option<Time>,
    /// Until when it must be paid, once it is open.
    pub pay_by: Option<Time>,
    /// The places it was given, in order of passenger.
    pub parts: AssignedParts,
    /// The passengers whose tickets were given back.
    pub refunded: Vec<u8>,
}

/// A hold as the aggregate keeps it, for the life of the run: an id once used must answer the same for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub id: HoldId,
    pub payload_hash: u64,
    /// The journal version of the batch that made it: part of the answer that a repeat gets again.
    pub version: u64,
    pub stage: HoldStage,
    /// Whether it ever became tickets.
    pub confirmed: bool,
    /// Until when an order must claim it; for an offer, until when it stands.
    pub open_by: Time,
    /// Until when it must be paid and when it is freed in any case, once it is open.
    pub payment: Option<Payment>,
    pub parts: Parts,
    /// Passengers whose tickets were given back, one bit each.
    pub refunded: u64,
}

/// The deadlines of an open hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    pub pay_by: Time,
    pub hard_limit: Time,
}

impl Hold {
    /// When its stage ends by itself.
    pub fn deadline(&self) -> Option<Time> {
        match self.stage {
            HoldStage::Held | HoldStage::Offered => Some(self.open_by),
            HoldStage::Opened => self.payment.map(|payment| payment.hard_limit),
            _ => None,
        }
    }

    /// The parts that occupy places: none once the hold has ended, none of refunded passengers.
    pub fn live_parts(&self) -> impl Iterator<Item = &Part> {
        let live = self.stage.is_live();
        self.parts.iter().filter(move |part| live && !self.is_refunded(part.passenger))
    }

    /// Whether a passenger's ticket was given back.
    pub fn is_refunded(&self, passenger: u8) -> bool {
        self.refunded >> passenger & 1 == 1
    }

    /// How many passengers it was made for. Parts are in order of passenger, from 0 without a break.
    pub fn passengers(&self) -> u8 {
        self.parts.last().map_or(0, |part| part.passenger + 1)
    }
}

/// The tickets of a list of parts in order of passenger: the parts of one passenger are one ticket.
pub(crate) fn tickets<'a>(parts: impl Iterator<Item = &'a Part>) -> impl Iterator<Item = Ticket> {
    let mut parts = parts.peekable();
    std::iter::from_fn(move || {
        let first = parts.next()?;
        let mut ticket = Ticket { class: first.class, journey: first.interval, seated: first.place.is_some() };
        while let Some(next) = parts.next_if(|next| next.passenger == first.passenger) {
            ticket.seated |= next.place.is_some();
            ticket.journey = Interval::new(ticket.journey.from(), next.interval.to()).unwrap_or(ticket.journey);
        }
        Some(ticket)
    })
}
