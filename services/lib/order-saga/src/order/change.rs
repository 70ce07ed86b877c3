//! The exchange of tickets for others: another train, date or class.

use domain::{ChangeId, Money, Time};

use super::{Changed, EndReason};

/// One exchange of tickets of one leg for tickets of a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketChange {
    /// The client's id.
    pub id: ChangeId,
    /// Its number within the order, from 0.
    pub number: u8,
    /// Keyed hash of the request: a repeat has the same one.
    pub request: [u8; 32],
    /// The new leg.
    pub leg: u8,
    /// The tickets, in the order of the new hold's passengers where they have seats.
    pub swaps: Vec<Swap>,
    /// Whether standing will do.
    pub standing: bool,
    /// Whether changing seats on the way will do.
    pub seat_change: bool,
    /// When it was asked for: the moment that its fees are reckoned at.
    pub at: Time,
    /// Where it stands.
    pub stage: ChangeStage,
    /// Until when the difference must be paid; none until the new hold is open.
    pub pay_by: Option<Time>,
    /// Why the shard had no seats, as its stable reason; empty where it had.
    pub refusal: String,
}

impl TicketChange {
    /// What has to be paid before the tickets are exchanged.
    pub fn due(&self) -> Money {
        self.swaps.iter().map(|swap| swap.price.pay).sum()
    }

    /// What goes back once they are.
    pub fn refund(&self) -> Money {
        self.swaps.iter().map(|swap| swap.price.refund).sum()
    }

    /// What is kept.
    pub fn fee(&self) -> Money {
        self.swaps.iter().map(|swap| swap.price.fee).sum()
    }

    /// Whether the new seats may still be given up.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.stage, ChangeStage::Holding | ChangeStage::Unpaid)
    }
}

/// One ticket for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The position of the ticket that is given up.
    pub old: u8,
    /// The position of the one that replaces it.
    pub new: u8,
    /// What it costs or brings.
    pub price: SwapPrice,
    /// What is remembered of it for later refunds.
    pub changed: Changed,
}

/// What exchanging one ticket costs or brings: `old fare + pay = new fare + fee + refund`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwapPrice {
    /// The new fare.
    pub fare: Money,
    /// What is kept: the change's own fee, and the refund's fee on a difference that goes back.
    pub fee: Money,
    /// What is paid before.
    pub pay: Money,
    /// What goes back after.
    pub refund: Money,
}

/// Where a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeStage {
    /// The row stands, the new seats are being held.
    Holding,
    /// Waits for the difference.
    Unpaid,
    /// Nothing is owed; the new seats are being confirmed.
    Confirming,
    /// It is being given up: trades first, then the new seats. The old tickets are good.
    GivingUp(EndReason),
    /// It came to nothing; the old tickets are good.
    Failed(EndReason),
    /// The tickets are exchanged.
    Done,
}

impl ChangeStage {
    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Unpaid => "unpaid",
            Self::Confirming => "confirming",
            Self::GivingUp(_) => "giving_up",
            Self::Failed(_) => "failed",
            Self::Done => "done",
        }
    }

    /// Why it came to nothing.
    pub const fn reason(self) -> Option<EndReason> {
        match self {
            Self::GivingUp(reason) | Self::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}
