//! Where orders are kept. The rules that two orders could break together are the database's constraints, so that they hold
//! whatever any number of replicas do at once.

mod body;
mod sql;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Debug;

use async_trait::async_trait;
use domain::{AccountId, OrderId, Run, Time};

use crate::order::Order;

pub use sql::{POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS, SqlStore};

/// Durable orders. A returned value is committed.
#[async_trait]
pub trait OrderStore: Debug + Send + Sync {
    /// Records a new order, due at once.
    async fn insert(&self, order: &Order, admission: &Admission) -> Result<(), StoreError>;

    /// One order.
    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError>;

    /// An account's orders, newest first, those before `after` where given.
    async fn list(&self, account: &AccountId, after: Option<PageEnd>, limit: u32) -> Result<Vec<Order>, StoreError>;

    /// Replaces an order whose version is still that of `before`, and gives the one recorded, of the next version.
    async fn update(&self, before: &Order, after: Order, change: Change) -> Result<Order, StoreError>;

    /// At most `limit` orders that are due, longest due first.
    async fn due(&self, now: Time, limit: usize) -> Result<Vec<OrderId>, StoreError>;

    /// At most `limit` orders after `after` with a live ticket of a run, by id.
    async fn of_run(&self, run: Run, after: Option<OrderId>, limit: u32) -> Result<Vec<OrderId>, StoreError>;

    /// How many orders have a live ticket of a run.
    async fn count_of_run(&self, run: Run) -> Result<u32, StoreError>;

    /// At most `limit` sealed passengers behind a ticket, in the order of the tickets.
    async fn sealed_after(&self, after: Option<TicketKey>, limit: u32) -> Result<Vec<SealedPassenger>, StoreError>;

    /// How many tickets there are, each with its sealed passenger.
    async fn count_sealed(&self) -> Result<u64, StoreError>;

    /// Replaces the sealed passenger of a ticket, unless somebody else has meanwhile.
    async fn reseal(&self, before: &SealedPassenger, sealed: Vec<u8>) -> Result<(), StoreError>;

    /// Makes an order due at another time without changing it.
    async fn postpone(&self, id: OrderId, due_at: Time) -> Result<(), StoreError>;
}

/// A ticket by its order and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketKey {
    /// The order.
    pub order: OrderId,
    /// The ticket's position.
    pub position: u32,
}

/// The passenger of one ticket, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPassenger {
    /// Which ticket.
    pub ticket: TicketKey,
    /// Which passenger of the order.
    pub passenger: u8,
    /// Name and document.
    pub sealed: Vec<u8>,
}

/// What an order must pass to be recorded, beside the rules that always hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// When it is recorded.
    pub now: Time,
    /// The railway's day then.
    pub day: i64,
    /// The limits of its account; none on channels that sell for others.
    pub account: Option<AccountLimits>,
    /// Which legs are travelled within a rush period.
    pub rush: Vec<bool>,
    /// Trips at the student fare in a student year.
    pub student_trips_max: u32,
    /// When the sweeper looks at it, should nobody go on with it.
    pub due_at: Time,
}

/// What an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Unpaid orders.
    pub unpaid_max: u32,
    /// Points of unpaid cancellations in a day; from so many on it may not buy.
    pub cancel_points_max: u32,
    /// Untravelled tickets within rush periods.
    pub rush_tickets_max: u32,
}

/// What is recorded beside a changed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When the sweeper looks at it next.
    pub due_at: Option<Time>,
    /// The unpaid cancellation to count for its account.
    pub cancellation: Option<Cancellation>,
    /// What its new tickets must pass, where it has new ones.
    pub added: AddedTickets,
}

/// What the tickets of a change must pass to be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedTickets {
    /// Whether they are travelled within a rush period.
    pub rush: bool,
    /// Trips at the student fare in a student year.
    pub student_trips_max: u32,
}

/// One unpaid cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The railway's day.
    pub day: i64,
    /// How much it counts.
    pub points: u32,
}

/// Where a page of orders ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// When its last order was placed.
    pub created_at: Time,
    /// That order.
    pub id: OrderId,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is an order of that id already.
    #[error("the order exists")]
    Exists,
    /// Somebody else changed the order meanwhile: read it again.
    #[error("the order was changed meanwhile")]
    Conflict,
    /// A rule that spans orders refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database does not answer, or its answer was lost: whether it was done is not known.
    #[error("the order database does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be read back: a bug, or a damaged database.
    #[error("order row cannot be read: {0}")]
    Unreadable(String),
}

/// A rule that spans orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One ticket per document and run.
    #[error("a passenger has a ticket for this train and date already")]
    TicketOnRun,
    /// A person is on one train at a time.
    #[error("a passenger travels on another train at that time")]
    Overlap,
    /// The account has to pay first.
    #[error("the account has an order that waits for its payment")]
    Unpaid,
    /// Too many unpaid cancellations.
    #[error("too many unpaid orders were cancelled today")]
    CancelledTooOften,
    /// Too many tickets in the rush.
    #[error("the account may have {max} untravelled tickets in the rush")]
    RushTickets {
        /// The most.
        max: u32,
    },
    /// No trip at the student fare is left.
    #[error("a student has used the {max} trips of the student year")]
    StudentTrips {
        /// The most.
        max: u32,
    },
}
