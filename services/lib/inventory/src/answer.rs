use domain::{HoldId, Interval, SeatClass, Time};
use smallvec::SmallVec;

use crate::seat_map::{BerthLevel, Place};

/// What an accepted command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The answer; for a repeat, the one given the first time.
    pub answer: Answer,
    /// Whether the command had been accepted before: nothing happened now.
    pub repeated: bool,
}

/// The answer to an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The run is on sale.
    SaleOpened,
    /// Places are held.
    Held(Held),
    /// The hold waits for payment.
    HoldOpened {
        /// Until when it must be paid.
        pay_by: Time,
        /// When its seats are freed whatever else failed.
        hard_limit: Time,
    },
    /// The hold became tickets.
    Confirmed,
    /// The hold was given back.
    Released,
    /// The tickets were given back.
    Refunded,
    /// The old hold was exchanged; this is the new one.
    Changed(Held),
    /// The carriages are on sale.
    CapacityAdded,
    /// The quotas are in force.
    QuotasSet,
    /// Sale has ended for good.
    SaleClosed,
    /// The entry waits in the line.
    Joined {
        /// Its place in the line of this run: counts up from 1, never reused.
        sequence: u64,
    },
    /// The entry has left the line.
    Left,
    /// The offer was taken.
    OfferAccepted {
        /// The open hold.
        hold: HoldId,
        /// Until when it must be confirmed.
        pay_by: Time,
        /// When its seats are freed whatever else failed.
        hard_limit: Time,
        /// The places.
        parts: AssignedParts,
    },
    /// The offer was refused.
    OfferDeclined,
    /// Time stands here.
    Advanced {
        /// The aggregate's time.
        to: Time,
    },
}

/// Places held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Until when an order must claim the hold.
    pub open_by: Time,
    /// The journal version that holds it.
    pub version: u64,
    /// The places, in order of passenger and then of boarding.
    pub parts: AssignedParts,
}

/// The places of a hold.
pub type AssignedParts = SmallVec<[Assigned; 1]>;

/// One passenger on one place over one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Which passenger of the hold, from 0.
    pub passenger: u8,
    /// The class.
    pub class: SeatClass,
    /// From where to where on this place.
    pub interval: Interval,
    /// The place; none for a standing ticket.
    pub place: Option<Place>,
    /// Whether the passenger has other parts: a seat change on the way.
    pub seat_change: bool,
}

impl Assigned {
    /// Whether it is a standing ticket.
    pub const fn is_standing(&self) -> bool {
        self.place.is_none()
    }

    /// The level of its berth, if it has one.
    pub fn berth(&self) -> Option<BerthLevel> {
        self.place.and_then(|place| place.berth)
    }
}
