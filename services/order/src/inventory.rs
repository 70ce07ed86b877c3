//! What the order service asks of inventory. The words of the wire stay behind this trait.

use std::fmt::Debug;

use async_trait::async_trait;
use domain::{Channel, HoldId, Interval, PersonToken, Run, SeatClass, Time};
use rpc::Failure;

use crate::order::Place;

/// The shards, as one. Every call may be repeated.
#[async_trait]
pub trait Inventory: Debug + Send + Sync {
    /// Claims a hold: it waits for payment from now on.
    async fn open_hold(&self, run: Run, hold: HoldId) -> Result<OpenedHold, Failure>;
    /// Makes tickets of a hold.
    async fn confirm(&self, run: Run, hold: HoldId) -> Result<(), Failure>;
    /// Gives an unpaid hold back.
    async fn release(&self, run: Run, hold: HoldId) -> Result<(), Failure>;
    /// Frees the seats of passengers of a confirmed hold.
    async fn refund(&self, run: Run, hold: HoldId, passengers: &[u8]) -> Result<(), Failure>;
    /// Holds seats.
    async fn hold(&self, wanted: Wanted) -> Result<Vec<Place>, Failure>;
}

/// The deadlines of an opened hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedHold {
    /// Until when it must be paid.
    pub pay_by: Time,
    /// When its seats are freed whatever else failed.
    pub hard_limit: Time,
}

/// Seats to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The run.
    pub run: Run,
    /// The hold's id.
    pub hold: HoldId,
    /// Whose allotment it draws on.
    pub channel: Channel,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// Who, and whether a lower berth is due to age.
    pub passengers: Vec<(PersonToken, bool)>,
    /// Whether standing will do.
    pub standing: bool,
    /// Whether changing seats on the way will do.
    pub seat_change: bool,
}
