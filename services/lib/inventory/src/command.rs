use domain::{Channel, EntryId, HoldId, Interval, PersonToken, SeatClass, Time};
use smallvec::SmallVec;

use crate::plan::{Carriage, Plan};
use crate::policy::QuotaPolicy;
use crate::seat_map::BerthLevel;

/// What may be asked of a train-date. Every kind is safe to repeat: holds are named by the caller, entries by their wish,
/// operators' commands by a request id, and the rest ends in the state it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Puts the run on sale.
    OpenSale {
        /// Makes it safe to repeat.
        request: RequestId,
        /// What is sold, and how.
        plan: Box<Plan>,
    },
    /// Holds places for a party until `open_by`: all of it or nothing.
    Hold(HoldRequest),
    /// An order claims a hold: from now on it waits for payment.
    OpenHold {
        /// The hold.
        hold: HoldId,
    },
    /// A paid hold becomes tickets.
    Confirm {
        /// The hold.
        hold: HoldId,
    },
    /// Gives a hold back before it is paid.
    Release {
        /// The hold.
        hold: HoldId,
    },
    /// Gives tickets back after they were paid.
    Refund {
        /// The hold they belong to.
        hold: HoldId,
        /// Which of its passengers, from 0.
        passengers: SmallVec<[u8; 8]>,
    },
    /// Exchanges a hold, as a whole, for another one on this run. The new places are taken before the old ones are freed;
    /// the new hold has the state and the deadlines of the old one.
    Change {
        /// The hold that ends.
        old: HoldId,
        /// What takes its place.
        new: HoldRequest,
    },
    /// Adds carriages to a train on sale; their places follow the earlier ones of their class.
    AddCapacity {
        /// Makes it safe to repeat.
        request: RequestId,
        /// The carriages.
        carriages: Vec<Carriage>,
    },
    /// Replaces quotas, allotments and protection.
    SetQuotas {
        /// Makes it safe to repeat.
        request: RequestId,
        /// What is in force from now on.
        quotas: Box<QuotaPolicy>,
    },
    /// Ends sale for good and sends the line home. Holds and tickets stay; they can be confirmed, released and refunded.
    CloseSale {
        /// Makes it safe to repeat.
        request: RequestId,
        /// Whether the run does not go at all.
        cancelled: bool,
    },
    /// A waitlist entry joins the line.
    Join {
        /// The entry and which of its choices.
        id: WishId,
        /// What it would take.
        wish: Wish,
        /// Until when it waits; never past the end of sale at its boarding stop.
        deadline: Time,
    },
    /// A waitlist entry leaves the line. An offer made to it is given back.
    Leave {
        /// The entry and choice.
        id: WishId,
    },
    /// Takes an offer: its hold is open from now on, with the entry as its owner.
    AcceptOffer {
        /// The entry and choice.
        id: WishId,
    },
    /// Refuses an offer: its seats go on to the next, or to the public.
    DeclineOffer {
        /// The entry and choice.
        id: WishId,
    },
    /// Moves time: the only way anything expires, opens or relaxes.
    Advance {
        /// A moment of the database's clock.
        to: Time,
    },
}

/// What a hold asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The hold's id, made by the caller.
    pub hold: HoldId,
    /// Where the request was made.
    pub channel: Channel,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// Who travels: 1 to the terms' `party_max`.
    pub passengers: SmallVec<[Passenger; 1]>,
    /// How far the party insists on sitting together.
    pub together: Together,
    /// Whether standing will do for those for whom no seat is left.
    pub allow_standing: bool,
    /// Whether changing seats on the way will do when no single seat runs through.
    pub allow_seat_change: bool,
}

/// One passenger of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passenger {
    /// Who, without saying who.
    pub person: PersonToken,
    /// What seat or berth is liked best.
    pub preference: Preference,
    /// Aged 60 or over: gets a lower berth when one is free.
    pub elderly: bool,
}

impl Passenger {
    /// A passenger without wishes.
    pub const fn new(person: PersonToken) -> Self {
        Self { person, preference: Preference::None, elderly: false }
    }
}

/// A liking for a place: granted if such a place is free, else any place is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// Any place.
    #[default]
    None,
    /// A letter of the row, such as `F`.
    Letter(u8),
    /// At the window.
    Window,
    /// At the aisle.
    Aisle,
    /// A berth of this level.
    Berth(BerthLevel),
}

/// How far a party insists on sitting together. It always sits as close as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Together {
    /// As close as can be, anywhere if need be.
    #[default]
    Preferred,
    /// In one carriage or not at all.
    SameCarriage,
}

/// A waitlist entry on this run: the entry, and which of its choices, since one entry may ask for several classes or
/// intervals of one run. The hold made for it has the entry as owner and the choice as leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WishId {
    /// The entry.
    pub entry: EntryId,
    /// Which of its choices on this run, from 0.
    pub choice: u8,
}

impl WishId {
    /// The first choice of an entry on this run.
    pub const fn first(entry: EntryId) -> Self {
        Self { entry, choice: 0 }
    }

    /// The id of the hold that an offer to this wish makes.
    pub const fn hold(self) -> HoldId {
        HoldId { owner: self.entry.as_u128(), leg: self.choice }
    }
}

/// What a waitlist entry would take: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// Who travels.
    pub persons: SmallVec<[PersonToken; 1]>,
    /// Whether standing will do.
    pub standing: bool,
    /// The channel whose allotments it may draw on.
    pub channel: Channel,
}

/// Names an operator's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u128);

/// What a record of the journal calls its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandId {
    /// Time moved by itself.
    Time,
    /// A command about a hold (17 bytes).
    Hold(HoldId),
    /// A command about a waitlist entry, or an operator's request (16 bytes).
    Named(u128),
}

/// What is recorded about a command beside its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandMeta {
    /// The command's id.
    pub id: CommandId,
    /// XXH3 of the command's canonical bytes: the same id with another payload is refused.
    pub payload_hash: u64,
    /// Where the request was made; none for the system itself.
    pub channel: Option<Channel>,
    /// The database's time as the owner knows it. Deadlines count from it; it does not move time.
    pub at: Time,
    /// The journal version of the batch that holds the record. Not written in it: it is where the record stands.
    pub version: u64,
}

impl CommandMeta {
    /// What is recorded about `command`, decided at `at`, outside any journal.
    pub fn of(command: &Command, at: Time) -> Self {
        Self { id: command.id(), payload_hash: command.payload_hash(), channel: command.channel(), at, version: 0 }
    }

    /// The same in the batch of a journal version.
    pub const fn in_version(self, version: u64) -> Self {
        Self { version, ..self }
    }
}

impl Command {
    /// The id that a record of this command bears.
    pub fn id(&self) -> CommandId {
        match self {
            Self::Hold(request) | Self::Change { new: request, .. } => CommandId::Hold(request.hold),
            Self::OpenHold { hold } | Self::Confirm { hold } | Self::Release { hold } | Self::Refund { hold, .. } => {
                CommandId::Hold(*hold)
            }
            Self::OpenSale { request, .. }
            | Self::AddCapacity { request, .. }
            | Self::SetQuotas { request, .. }
            | Self::CloseSale { request, .. } => CommandId::Named(request.0),
            Self::Join { id, .. } | Self::Leave { id } | Self::AcceptOffer { id } | Self::DeclineOffer { id } => {
                CommandId::Named(id.entry.as_u128())
            }
            Self::Advance { .. } => CommandId::Time,
        }
    }

    /// The channel it came by, where it says so.
    pub fn channel(&self) -> Option<Channel> {
        match self {
            Self::Hold(request) | Self::Change { new: request, .. } => Some(request.channel),
            Self::Join { wish, .. } => Some(wish.channel),
            _ => None,
        }
    }
}
