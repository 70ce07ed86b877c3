use domain::{Channel, HoldId, Interval, PersonToken, Run, SeatClass, Time};
use smallvec::SmallVec;

use crate::command::{CommandMeta, Wish, WishId};
use crate::plan::{Carriage, Plan};
use crate::policy::QuotaPolicy;

/// One change of a train-date. Events carry decisions, never questions: applying one needs no policy and no choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run went on sale.
    SaleOpened(Box<Plan>),
    /// Time moved.
    Advanced {
        /// To when; never less than before.
        to: Time,
    },
    /// Places were held until `open_by`.
    Held {
        /// The hold.
        hold: HoldId,
        /// Until when an order must claim it.
        open_by: Time,
        /// The places.
        parts: Parts,
    },
    /// An order claimed a hold.
    HoldOpened {
        /// The hold.
        hold: HoldId,
        /// Until when it must be paid.
        pay_by: Time,
        /// When its seats are freed whatever else failed.
        hard_limit: Time,
    },
    /// A hold became tickets.
    Confirmed {
        /// The hold.
        hold: HoldId,
    },
    /// A hold was given back before it was paid.
    Released {
        /// The hold.
        hold: HoldId,
    },
    /// A hold's time ran out.
    HoldExpired {
        /// The hold.
        hold: HoldId,
    },
    /// Tickets of some passengers were given back.
    Refunded {
        /// The hold.
        hold: HoldId,
        /// Which of its passengers.
        passengers: SmallVec<[u8; 8]>,
    },
    /// A hold was exchanged for another one.
    Changed {
        /// The hold that ended.
        old: HoldId,
        /// The hold that took its place, in the old one's state.
        new: HoldId,
        /// What the new one has.
        parts: Parts,
    },
    /// Carriages were added.
    CapacityAdded {
        /// The carriages.
        carriages: Vec<Carriage>,
    },
    /// Quotas, allotments and protection were replaced.
    QuotasSet(Box<QuotaPolicy>),
    /// Sale ended for good; the line was sent home.
    SaleClosed {
        /// Whether the run does not go at all.
        cancelled: bool,
    },
    /// A waitlist entry joined the line.
    Joined {
        /// The entry and choice.
        id: WishId,
        /// Its place in the line.
        sequence: u64,
        /// What it would take.
        wish: Wish,
        /// Until when it waits.
        deadline: Time,
    },
    /// A waitlist entry left the line while it waited.
    Left {
        /// The entry and choice.
        id: WishId,
        /// Whether its deadline passed.
        expired: bool,
    },
    /// Freed seats were offered to a waitlist entry: they are held for it.
    Offered {
        /// The entry and choice; its hold is [`WishId::hold`].
        id: WishId,
        /// Until when the offer stands.
        offer_by: Time,
        /// The places.
        parts: Parts,
    },
    /// An offer was taken: its hold is open.
    OfferAccepted {
        /// The entry and choice.
        id: WishId,
        /// Until when it must be paid.
        pay_by: Time,
        /// When its seats are freed whatever else failed.
        hard_limit: Time,
    },
    /// An offer was refused, or its entry left.
    OfferDeclined {
        /// The entry and choice.
        id: WishId,
    },
    /// An offer's time ran out.
    OfferExpired {
        /// The entry and choice.
        id: WishId,
    },
}

/// The places of a hold: one part per passenger and place, in order of passenger and then of boarding.
pub type Parts = SmallVec<[Part; 1]>;

/// One passenger on one place over one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The class.
    pub class: SeatClass,
    /// The place within the class; none for a standing ticket.
    pub place: Option<u16>,
    /// From where to where.
    pub interval: Interval,
    /// Which passenger of the hold, from 0.
    pub passenger: u8,
    /// Who that is on this service date.
    pub person: PersonToken,
    /// The channel whose allotment the place was drawn from; none for the general pool.
    pub allotment: Option<Channel>,
}

/// One accepted command and what it changed: the unit of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The train-date.
    pub run: Run,
    /// The command's id, payload hash, channel and time.
    pub meta: CommandMeta,
    /// W3C trace context of the request (16 bytes of trace id, 8 of span id), where there was one.
    pub trace: Option<[u8; 24]>,
    /// What changed, in order.
    pub events: Vec<Event>,
}
