use std::fmt;

use domain::{Channel, HoldId, SeatClass, StopIndex, Time};

use crate::command::WishId;
use crate::hold::HoldStage;
use crate::plan::PlanError;
use crate::policy::{QuotaError, QuotaKind};

/// Why a command was refused. Ordinary answers, not failures: nothing was changed and nothing is remembered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too few seats are free over the whole interval.
    #[error("sold out: {free} seats are free throughout, too few on segments {segments}")]
    SoldOut {
        /// How many seats are free over the whole interval.
        free: u16,
        /// On which segments fewer seats are free than asked for. None: every segment has enough, no single seat runs
        /// through, and a same-train seat change would do.
        segments: Segments,
    },
    /// Too few seats are free because some stand offered to the line.
    #[error("the last seats are offered to the waitlist until {until}")]
    WithheldForWaitlist {
        /// When the first of these offers runs out.
        until: Time,
    },
    /// Seats are free, but a quota or computed protection keeps them for others.
    #[error("protected for longer journeys by {rule}{}", Until(*.until))]
    ProtectedForLonger {
        /// When the rule relaxes enough, as things stand; none if no step of it does.
        until: Option<Time>,
        /// The rule.
        rule: Rule,
    },
    /// Seats are free, but set aside for other channels.
    #[error("nothing is left for channel {}{}", .channel.name(), Until(*.until))]
    AllotmentUsedUp {
        /// The channel that asked.
        channel: Channel,
        /// When enough flows back, as things stand; none if no step does.
        until: Option<Time>,
    },
    /// The run has not been put on sale.
    #[error("the run is not on sale")]
    NotOnSale,
    /// Sale for this boarding stop has not opened.
    #[error("not on sale until {0}")]
    NotOnSaleUntil(Time),
    /// Sale for this boarding stop has ended, shortly before departure.
    #[error("sale at this stop ended at {0}")]
    SaleEnded(Time),
    /// Sale of the run has ended for good.
    #[error("sale of this run is closed")]
    Closed,
    /// The run is on sale already, by another request.
    #[error("the run is on sale already")]
    AlreadyOnSale,
    /// The class is not sold on this train.
    #[error("the train has no class {0}")]
    NoSuchClass(SeatClass),
    /// The interval ends after the terminus.
    #[error("the train has {stops} stops, there is no stop {stop}")]
    NoSuchStop {
        /// The stop that was asked for.
        stop: StopIndex,
        /// How many stops there are.
        stops: u8,
    },
    /// A hold or an entry for nobody.
    #[error("a party has at least one passenger")]
    EmptyParty,
    /// More passengers than one hold may have.
    #[error("a party has at most {max} passengers")]
    PartyTooLarge {
        /// The most allowed.
        max: u8,
    },
    /// The party insists on one carriage, and no carriage of the class has so many places.
    #[error("the largest carriage of the class has {places} places")]
    PartyTooLargeForCarriage {
        /// How many places the largest carriage has.
        places: u16,
    },
    /// The party insists on one carriage, and no carriage has enough free places now.
    #[error("no carriage has room for the whole party, at most for {free}")]
    NotTogether {
        /// The most that one carriage has free over the whole interval.
        free: u16,
    },
    /// A passenger has a ticket or a hold on this run, or stands twice in the party.
    #[error("passenger {passenger} has a ticket on this run already")]
    DuplicatePassenger {
        /// Which passenger of the party, from 0.
        passenger: u8,
    },
    /// No such hold.
    #[error("unknown hold {0}")]
    UnknownHold(HoldId),
    /// The hold's time ran out.
    #[error("hold {0} has expired")]
    HoldExpired(HoldId),
    /// The hold is in a state in which this cannot be done.
    #[error("hold {hold} is {}", .stage.name())]
    WrongState {
        /// The hold.
        hold: HoldId,
        /// Its state.
        stage: HoldStage,
    },
    /// The hold has no such passenger.
    #[error("hold {hold} has no passenger {passenger}")]
    NoSuchPassenger {
        /// The hold.
        hold: HoldId,
        /// The passenger that was asked for.
        passenger: u8,
    },
    /// The id was used before, with another payload.
    #[error("this id was used before with another payload")]
    PayloadDiffers,
    /// The line of this run has as many entries as it may have.
    #[error("the line of this run is full: {max} entries")]
    LineFull {
        /// How many it may have.
        max: u32,
    },
    /// What the entry asks for can be bought now.
    #[error("the line is not open: this can be bought now")]
    LineNotOpen,
    /// The entry's deadline has passed.
    #[error("the deadline {0} has passed")]
    DeadlinePassed(Time),
    /// No such entry in the line.
    #[error("unknown waitlist entry {}/{}", .0.entry, .0.choice)]
    UnknownEntry(WishId),
    /// The entry has no offer that stands: it waits, or its offer was taken, refused or ran out.
    #[error("waitlist entry {}/{} has no standing offer", .0.entry, .0.choice)]
    NoOffer(WishId),
    /// The plan, or the carriages to be added, cannot be sold.
    #[error("the plan cannot be sold")]
    BadPlan(#[source] PlanError),
    /// The quotas do not fit the train.
    #[error("the quotas do not fit the train")]
    BadQuotas(#[source] QuotaError),
}

impl Refusal {
    /// The stable reason that callers branch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SoldOut { .. } => "SOLD_OUT",
            Self::WithheldForWaitlist { .. } => "WITHHELD_FOR_WAITLIST",
            Self::ProtectedForLonger { .. } => "PROTECTED_FOR_LONGER",
            Self::AllotmentUsedUp { .. } => "ALLOTMENT_USED_UP",
            Self::NotOnSale => "NOT_ON_SALE",
            Self::NotOnSaleUntil(_) => "NOT_ON_SALE_UNTIL",
            Self::SaleEnded(_) => "SALE_ENDED",
            Self::Closed => "SALE_CLOSED",
            Self::AlreadyOnSale => "ALREADY_ON_SALE",
            Self::NoSuchClass(_) => "NO_SUCH_CLASS",
            Self::NoSuchStop { .. } => "NO_SUCH_STOP",
            Self::EmptyParty => "EMPTY_PARTY",
            Self::PartyTooLarge { .. } => "PARTY_TOO_LARGE",
            Self::PartyTooLargeForCarriage { .. } => "PARTY_TOO_LARGE_FOR_CARRIAGE",
            Self::NotTogether { .. } => "NOT_TOGETHER",
            Self::DuplicatePassenger { .. } => "DUPLICATE_PASSENGER",
            Self::UnknownHold(_) => "UNKNOWN_HOLD",
            Self::HoldExpired(_) => "HOLD_EXPIRED",
            Self::WrongState { .. } => "WRONG_STATE",
            Self::NoSuchPassenger { .. } => "NO_SUCH_PASSENGER",
            Self::PayloadDiffers => "PAYLOAD_DIFFERS",
            Self::LineFull { .. } => "LINE_FULL",
            Self::LineNotOpen => "LINE_NOT_OPEN",
            Self::DeadlinePassed(_) => "DEADLINE_PASSED",
            Self::UnknownEntry(_) => "UNKNOWN_ENTRY",
            Self::NoOffer(_) => "NO_OFFER",
            Self::BadPlan(_) => "BAD_PLAN",
            Self::BadQuotas(_) => "BAD_QUOTAS",
        }
    }
}

/// The rule that protects seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A quota of the policy in force.
    Quota {
        /// Its position in the policy, from 0.
        index: u16,
        /// Its kind.
        kind: QuotaKind,
    },
    /// Computed protection: the interval is worth less than its segments.
    BidPrice {
        /// What the interval is worth.
        value: u64,
        /// What its segments must earn together.
        price: u64,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota { index, kind } => write!(f, "quota {index} ({})", kind.name()),
            Self::BidPrice { value, price } => write!(f, "bid prices (worth {value}, needs {price})"),
        }
    }
}

/// A set of segments; segment `s` runs from stop `s` to stop `s + 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Segments(u128);

impl Segments {
    /// Adds a segment.
    pub fn insert(&mut self, segment: StopIndex) {
        self.0 |= 1 << segment;
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The segments in order.
    pub fn iter(self) -> impl Iterator<Item = StopIndex> {
        (0..128).filter(move |segment| self.0 >> segment & 1 == 1)
    }
}

impl FromIterator<StopIndex> for Segments {
    fn from_iter<I: IntoIterator<Item = StopIndex>>(segments: I) -> Self {
        let mut set = Self::default();
        segments.into_iter().for_each(|segment| set.insert(segment));
        set
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

struct Until(Option<Time>);

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        }
    }
}
