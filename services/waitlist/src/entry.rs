//! What waits: an entry, its wish, its place in the line, and the people behind it.

use domain::{AccountId, Channel, Document, EntryId, Interval, PassengerKind, PassengerName, Run, SeatClass, Time};

use crate::state::Stage;

/// One account's wish for seats that are not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Named by the client; the order that fulfils it has the same name.
    pub id: EntryId,
    /// Who waits.
    pub account: AccountId,
    /// What is wished for.
    pub wish: Wish,
    /// When it was lodged.
    pub created_at: Time,
    /// Where it stands.
    pub stage: Stage,
    /// Its place in the line, once it is known.
    pub place: Option<LinePlace>,
    /// Counts up with each change: two writers cannot both change the same state.
    pub version: u64,
}

/// What an entry asks for, without the passengers themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The train-date.
    pub run: Run,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// How many passengers: all of them or none.
    pub passengers: u8,
    /// Whether standing will do.
    pub standing: bool,
    /// Where it was lodged.
    pub channel: Channel,
    /// Until when it waits.
    pub deadline: Time,
}

/// A place in the line of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    /// The number the run gave it when it recorded it: lower ones are served first.
    pub sequence: u64,
    /// How many waited before it when it joined, where that is known.
    pub ahead: Option<u32>,
}

/// Seats that an accepted offer has turned into an open hold: the shard's answer as it came, an encoded
/// `chunyun.inventory.v1.AcceptOfferResponse`. Only the face reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant(pub Vec<u8>);

/// A person who waits. Personal data: stored sealed, dropped when the entry ends, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Traveller {
    /// The name.
    pub name: PassengerName,
    /// The document.
    pub document: Document,
    /// The type of ticket.
    pub kind: PassengerKind,
    /// The wire's code of the place liked best, handed on to the order.
    pub preference: u8,
}

impl std::fmt::Debug for Traveller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Traveller(..)")
    }
}
