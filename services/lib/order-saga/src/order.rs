//! What an order is: one row with its legs, tickets, trades and refunds.

mod balance;
mod change;

use domain::{AccountId, Channel, HoldId, Interval, Money, OrderId, PassengerKind, Run, SeatClass, Time};

pub use balance::Balance;
pub use change::{ChangeStage, Swap, SwapPrice, TicketChange};

/// An order of one account. Names and documents are in it sealed only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The client's id.
    pub id: OrderId,
    /// Who ordered.
    pub account: AccountId,
    /// Where the request was made.
    pub channel: Channel,
    /// Keyed hash of the request: a repeat has the same one.
    pub request: [u8; 32],
    /// Where it stands.
    pub phase: Phase,
    /// The trains: one or two, then one for each change.
    pub legs: Vec<Leg>,
    /// The people.
    pub passengers: Vec<Passenger>,
    /// One ticket per leg and passenger, ordered so; those of changes follow.
    pub tickets: Vec<Ticket>,
    /// The attempts to pay, in order.
    pub trades: Vec<Trade>,
    /// What goes back.
    pub refunds: Vec<Refund>,
    /// The changes of its tickets, in order; at most the last is under way.
    pub changes: Vec<TicketChange>,
    /// When it was placed.
    pub created_at: Time,
    /// Until when it must be paid; none until its holds are open.
    pub pay_by: Option<Time>,
    /// When inventory frees its seats whatever else failed; none until its holds are open.
    pub hard_limit: Option<Time>,
    /// By which trade and when it was paid.
    pub paid: Option<Paid>,
    /// The policy file it was made under.
    pub policy_version: u32,
    /// Counts the row's changes; the store sets it.
    pub version: u64,
}

/// What paid for the tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The attempt whose money it is.
    pub attempt: u32,
    /// When it came.
    pub at: Time,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The row stands, the holds are being claimed.
    Opening,
    /// Waits for the client to pay.
    Held,
    /// The provider was asked for the money.
    Paying,
    /// The money is there, the seats are being confirmed.
    Captured,
    /// Tickets exist.
    Confirmed,
    /// Tickets exist, and some of them are being exchanged for others.
    Changing,
    /// It is being given up: the trade is closed first, then the seats.
    Closing(EndReason),
    /// It ended without tickets and nothing is owed.
    Released(EndReason),
    /// No ticket is left, money is on its way back. The reason is there when it never became tickets.
    Refunding(Option<EndReason>),
    /// Everything was given back and the money has arrived.
    Refunded(Option<EndReason>),
}

impl Phase {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Held => "held",
            Self::Paying => "paying",
            Self::Captured => "captured",
            Self::Confirmed => "confirmed",
            Self::Changing => "changing",
            Self::Closing(_) => "closing",
            Self::Released(_) => "released",
            Self::Refunding(_) => "refunding",
            Self::Refunded(_) => "refunded",
        }
    }

    /// Why it ended or is ending without tickets.
    pub const fn reason(self) -> Option<EndReason> {
        match self {
            Self::Closing(reason) | Self::Released(reason) => Some(reason),
            Self::Refunding(reason) | Self::Refunded(reason) => reason,
            _ => None,
        }
    }

    /// Whether the account is still expected to pay.
    pub const fn is_unpaid(self) -> bool {
        matches!(self, Self::Opening | Self::Held | Self::Paying)
    }
}

/// Why an order did not become tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Not paid in time.
    Lapsed,
    /// The client gave it up.
    Cancelled,
    /// The provider declined too often.
    PaymentFailed,
    /// Its seats were freed before they could be confirmed.
    SeatsLost,
    /// The operator cancelled the train, or withdrew the class.
    Withdrawn,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Lapsed, Self::Cancelled, Self::PaymentFailed, Self::SeatsLost, Self::Withdrawn];

    /// The word on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::Cancelled => "cancelled",
            Self::PaymentFailed => "payment_failed",
            Self::SeatsLost => "seats_lost",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One train of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The run.
    pub run: Run,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// The passengers that the hold is for, in its order. Who is not among them travels without a seat.
    pub riders: Vec<u8>,
    /// The places, several for a passenger who changes seats on the way.
    pub places: Vec<Place>,
    /// The hold at the shard.
    pub hold: HoldId,
    /// What the shard was last known to have.
    pub seats: Seats,
    /// How often the seats were lost and held again.
    pub held_again: u8,
    /// Departure at the boarding stop.
    pub departs_at: Time,
    /// Arrival at the alighting stop.
    pub arrives_at: Time,
}

impl Leg {
    /// The hold to ask for when this one has ended. A shard never gives a second hold to one id, so each round has its own:
    /// the round counts in the upper half of the leg's byte.
    pub const fn next_hold(&self) -> HoldId {
        HoldId { owner: self.hold.owner, leg: (self.hold.leg & 0x0f) | ((self.held_again + 1) << 4) }
    }

    /// Which place of the hold is a passenger's.
    pub fn rider(&self, passenger: u8) -> Option<u8> {
        self.riders.iter().position(|rider| *rider == passenger).map(|position| position as u8)
    }
}

/// The most legs of an order: a hold's id has half a byte for them. Changes that came to nothing count.
pub const LEGS_MAX: usize = 16;

/// What the shard was last known to have of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seats {
    /// Held, waiting for the order to claim them.
    Held,
    /// Claimed, waiting for payment.
    Opened,
    /// Tickets.
    Confirmed,
    /// Not held: freed by the shard before they were paid, or not asked for yet.
    Lost,
    /// Given back.
    Ended,
}

/// One passenger's place over a part of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which passenger, from 0.
    pub passenger: u8,
    /// The class.
    pub class: SeatClass,
    /// Carriage number; 0 for a standing ticket.
    pub carriage: u32,
    /// The place as printed.
    pub label: String,
    /// Whether it is a standing ticket.
    pub standing: bool,
    /// From where to where on this place.
    pub interval: Interval,
    /// `L`, `M` or `U`; empty for seats.
    pub berth: String,
}

/// A passenger as the order keeps one: findable and sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passenger {
    /// The type of ticket.
    pub kind: PassengerKind,
    /// The first half of the document's keyed look-up hash: equal for one person, tells nothing.
    pub document: [u8; 16],
    /// Name and document, sealed.
    pub sealed: Vec<u8>,
    /// The cities of a student's home and school.
    pub student: Option<(String, String)>,
}

/// One passenger's ticket for one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which leg, from 0.
    pub leg: u8,
    /// Which passenger, from 0.
    pub passenger: u8,
    /// Where it stands.
    pub state: TicketState,
    /// What it costs.
    pub fare: Money,
    /// What was kept of it.
    pub fee: Money,
    /// What goes or went back of it.
    pub refund: Money,
    /// Whether its seats are free again after it was given back.
    pub seats_returned: bool,
    /// The student year its trip counts towards.
    pub student_year: Option<i64>,
    /// How it was changed before.
    pub changed: Option<Changed>,
}

/// What a change leaves behind for the fee of giving the ticket back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Departure of the ticket it was changed from.
    pub from_departs_at: Time,
    /// When it was changed.
    pub at: Time,
    /// Whether the travel date is within a rush period, and the one before was not.
    pub into_rush: bool,
    /// How often it was changed in all, this time included.
    pub times: u32,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TicketState {
    /// Not paid and confirmed yet.
    Reserved,
    /// Good for travel.
    Issued,
    /// Given back; the money is on its way.
    Refunding,
    /// Given back; the money has arrived.
    Refunded,
    /// Never issued.
    Void,
    /// To replace another ticket of the order; not good for travel yet.
    Replacing,
    /// Exchanged for another ticket of the order.
    Changed,
}

impl TicketState {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Issued => "issued",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Void => "void",
            Self::Replacing => "replacing",
            Self::Changed => "changed",
        }
    }

    /// Whether its passenger may have no other ticket beside it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Reserved | Self::Issued)
    }
}

/// One attempt to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Counts from 0.
    pub attempt: u32,
    /// The payment service's id, once it has answered.
    pub id: Option<String>,
    /// The provider's token the client gave.
    pub token: String,
    /// What is asked for.
    pub amount: Money,
    /// The change whose difference it pays; none where it pays the order.
    pub change: Option<u8>,
    /// Where it stands.
    pub state: TradeState,
    /// What it brought.
    pub captured: Money,
}

/// Where a trade stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeState {
    /// Its outcome is not known.
    Open,
    /// The money is there.
    Captured,
    /// The provider refused.
    Declined,
    /// Closed without money.
    Closed,
}

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Deterministic: the provider sees one refund however often it is asked.
    pub id: String,
    /// What it gives back.
    pub cause: RefundCause,
    /// Out of which trade.
    pub attempt: u32,
    /// How much.
    pub amount: Money,
    /// What was kept, for the ledger.
    pub fee: Money,
    /// Where it stands.
    pub state: RefundState,
}

/// What a refund gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundCause {
    /// One ticket, by its position in [`Order::tickets`].
    Ticket(u8),
    /// Every ticket of an order that could not be served.
    Order,
    /// Money that came although the order was paid or over.
    Surplus,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundState {
    /// Payment has to be asked.
    Due,
    /// Payment knows it.
    Asked,
    /// The money has arrived.
    Arrived,
}

impl Order {
    /// What it costs: the fares of its tickets, without those that a change has given up or never brought.
    pub fn total(&self) -> Money {
        let of_changes = self.changes.first().map_or(u8::MAX, |change| change.leg);
        let counts = |ticket: &&Ticket| match ticket.state {
            TicketState::Changed | TicketState::Replacing => false,
            TicketState::Void => ticket.leg < of_changes,
            _ => true,
        };
        self.tickets.iter().filter(counts).map(|ticket| ticket.fare).sum()
    }

    /// The order as it stood when it was accepted, which is what a repeat of its request is answered. One that never was
    /// stays as it is. Seats that had to be held again are told as they are now.
    pub fn as_placed(&self) -> Self {
        if self.pay_by.is_none() {
            return self.clone();
        }
        let legs = self.changes.first().map_or(self.legs.len(), |change| usize::from(change.leg));
        let mut placed = self.clone();
        placed.legs.truncate(legs);
        placed.tickets.retain(|ticket| usize::from(ticket.leg) < legs);
        for leg in &mut placed.legs {
            leg.seats = Seats::Opened;
        }
        for ticket in &mut placed.tickets {
            let (fee, refund) = (Money::ZERO, Money::ZERO);
            *ticket =
                Ticket { state: TicketState::Reserved, fee, refund, seats_returned: false, changed: None, ..*ticket };
        }
        (placed.phase, placed.paid) = (Phase::Held, None);
        (placed.trades, placed.refunds, placed.changes) = (Vec::new(), Vec::new(), Vec::new());
        // One version for each hold that was opened.
        placed.version = legs as u64;
        placed
    }

    /// The change that is under way.
    pub fn change(&self) -> Option<&TicketChange> {
        self.changes.last().filter(|_| self.phase == Phase::Changing)
    }

    /// The tickets of one leg.
    pub fn tickets_of(&self, leg: u8) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter().filter(move |ticket| ticket.leg == leg)
    }

    /// A ticket's public id.
    pub fn ticket_id(&self, ticket: &Ticket) -> String {
        format!("{}-{}-{}", self.id, ticket.leg, ticket.passenger)
    }

    /// The payment service's id of an attempt. It names trades after their order and attempt, so one can be asked for even
    /// when the first answer about it was lost.
    pub fn trade_id(&self, attempt: u32) -> String {
        let told = self.trades.get(attempt as usize).and_then(|trade| trade.id.clone());
        told.unwrap_or_else(|| format!("{}-{attempt}", self.id))
    }

    /// Whether nobody on it has a seat.
    pub fn is_seatless(&self) -> bool {
        self.legs.iter().all(|leg| !leg.places.is_empty() && leg.places.iter().all(|place| place.standing))
    }
}
