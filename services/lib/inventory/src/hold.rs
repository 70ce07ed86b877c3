use domain::{HoldId, Time};

use crate::answer::AssignedParts;

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
