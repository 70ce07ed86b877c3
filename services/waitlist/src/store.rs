//! What the waitlist keeps: entries, their sealed passengers, and how far it has read the journal.

mod row;
mod sql;

use async_trait::async_trait;
use domain::{AccountId, EntryId, Run, SlotId, Time};

use crate::entry::{Entry, LinePlace};
use crate::state::{Happened, Stage};

pub use sql::open;

/// The waitlist's database. Every write is one transaction.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Records an entry with its sealed passengers, unless its account has too many open ones.
    async fn lodge(&self, lodging: Lodging) -> Result<Lodged, StoreError>;
    /// Takes an entry back that the line refused, unless it has changed since.
    async fn withdraw(&self, id: EntryId, version: u64) -> Result<(), StoreError>;
    /// One entry.
    async fn entry(&self, id: EntryId) -> Result<Option<Entry>, StoreError>;
    /// Up to `limit` entries of an account, newest first, after a position.
    async fn entries(
        &self,
        account: &AccountId,
        after: Option<(Time, EntryId)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;
    /// The sealed passengers of an entry, in its order; none once it is over.
    async fn passengers(&self, id: EntryId) -> Result<Vec<SealedPassenger>, StoreError>;
    /// Moves an entry on, unless it has changed since it was read. Passengers of one that is over are dropped.
    async fn advance(&self, change: Change) -> Result<bool, StoreError>;
    /// Up to `limit` entries with work that is due, longest due first.
    async fn due(&self, now: Time, limit: u32) -> Result<Vec<DueEntry>, StoreError>;
    /// Puts an entry's work off after an attempt that led nowhere.
    async fn postpone(&self, id: EntryId, version: u64, until: Time) -> Result<(), StoreError>;
    /// Takes in what the journal tells, and moves the cursors. False, with nothing taken in, when a cursor stands elsewhere.
    async fn take_feed(&self, feed: FeedPart) -> Result<bool, StoreError>;
    /// How far each slot has been read.
    async fn cursors(&self) -> Result<Vec<(SlotId, u64)>, StoreError>;
}

/// A new entry.
#[derive(Clone, Debug)]
pub struct Lodging {
    /// The entry, in its first stage.
    pub entry: Entry,
    /// A hash of the request.
    pub content_hash: i64,
    /// Who waits.
    pub passengers: Vec<SealedPassenger>,
    /// The most open entries its account may have, this one included.
    pub open_max: u32,
    /// When its first work is due if nobody does it before.
    pub due: Time,
}

/// What became of a new entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lodged {
    /// It is recorded.
    New,
    /// It had been recorded before, by the same request.
    Known(Box<Entry>),
    /// Its id stands for another request.
    IdReused,
    /// The account has as many open entries as it may have.
    TooMany,
}

/// A passenger as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPassenger {
    /// Code of the ticket's type.
    pub kind: u8,
    /// The wire's code of the place liked best.
    pub preference: u8,
    /// Name and document, sealed.
    pub sealed: Vec<u8>,
}

/// A step of one entry.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub id: EntryId,
    /// The version it was read at.
    pub version: u64,
    /// Where it stands from now on.
    pub stage: Stage,
    /// Its place in the line, where it is known by now.
    pub place: Option<LinePlace>,
    /// When there is something to do.
    pub due: Option<Time>,
}

/// An entry with work to do.
#[derive(Clone, Debug)]
pub struct DueEntry {
    /// The entry.
    pub entry: Entry,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// Batches of the journal, as far as they concern the waitlist.
#[derive(Clone, Debug, Default)]
pub struct FeedPart {
    /// What happened, in order.
    pub events: Vec<LineEvent>,
    /// Per slot, the version read before and the one read now.
    pub cursors: Vec<(SlotId, u64, u64)>,
    /// The present moment: when work that follows is due.
    pub now: Time,
}

/// Something that happened in the line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineEvent {
    /// The run, against events of an id used on another one.
    pub run: Run,
    /// The entry; none for every open entry of the run.
    pub entry: Option<EntryId>,
    /// What happened.
    pub happened: Happened,
}

/// The database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Certainly nothing was written.
    #[error("the waitlist's database does not answer")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may have been written.
    #[error("whether the waitlist's database has written is not known")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row says what this version cannot read.
    #[error("a row of the waitlist's database cannot be read: {0}")]
    Unreadable(String),
}
