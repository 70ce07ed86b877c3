use domain::{ChangeId, Invalid, Money, OrderId, Run, Time};
use rpc::{Failure, reason};
use tonic::Status;

use crate::rules::change::NoChange;
use crate::rules::fare::NoFare;
use crate::rules::party::BadParty;
use crate::rules::refund::Departed;
use crate::state::Rejection;
use crate::store::{Refusal, StoreError};

/// Why the order service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field that is no value of its type.
    #[error("{field}: {invalid}")]
    Invalid {
        /// The field's path.
        field: String,
        /// What is wrong with it.
        invalid: Invalid,
    },
    /// Not the number of trains an order may have.
    #[error("an order has one to {max} legs, this one {got}")]
    Legs {
        /// The most.
        max: u32,
        /// How many came.
        got: usize,
    },
    /// A passenger without a place on a leg.
    #[error("leg {leg} has no place for passenger {passenger}")]
    NoPlace {
        /// Which leg.
        leg: usize,
        /// Which passenger.
        passenger: usize,
    },
    /// The second train leaves before the first arrives.
    #[error("the second leg departs before the first arrives")]
    LegsOverlap,
    /// The timetable has no such train on that date, or the train no such stops.
    #[error("no train {run} between these stops")]
    TrainNotFound {
        /// The run asked for.
        run: Run,
    },
    /// No price is published.
    #[error("no fare is published for this class of {run} between these stops")]
    FareUnknown {
        /// The run asked for.
        run: Run,
    },
    /// The type of ticket has no fare here.
    #[error("passenger {passenger}: {source}")]
    NoFare {
        /// Which passenger.
        passenger: usize,
        /// Why.
        source: NoFare,
    },
    /// The price is another one.
    #[error("the price is {total}, the client was shown {quoted}")]
    PriceChanged {
        /// What the client was shown.
        quoted: Money,
        /// What it costs.
        total: Money,
    },
    /// A quote that is none of ours, or for something else.
    #[error("the quote is not one for this journey and party")]
    QuoteInvalid,
    /// A quote whose time is over.
    #[error("the quote held until {expired_at}")]
    QuoteExpired {
        /// Until when it held.
        expired_at: Time,
    },
    /// Nothing is sold at this time of day.
    #[error("tickets are not sold at this hour: selling begins again at {opens}")]
    SellingHours {
        /// When selling begins again.
        opens: Time,
    },
    /// A student's ticket without the card's interval, or with places that are none.
    #[error("passenger {passenger}: expected the cities or stations of the student's home and school")]
    StudentCard {
        /// Which passenger.
        passenger: usize,
    },
    /// A student's ticket for another journey than between home and school.
    #[error("passenger {passenger}: the student fare holds between {home} and {school} only")]
    StudentInterval {
        /// Which passenger.
        passenger: usize,
        /// The city of the home.
        home: String,
        /// The city of the school.
        school: String,
    },
    /// The party may not travel so.
    #[error(transparent)]
    Party(#[from] BadParty),
    /// The train has left.
    #[error("the train left the boarding stop at {departed_at}")]
    Departed {
        /// When.
        departed_at: Time,
    },
    /// The order id names another order.
    #[error("order id {0} was used before with other content")]
    IdReused(OrderId),
    /// The change id names another change of the order.
    #[error("change id {0} was used before with other content")]
    ChangeIdReused(ChangeId),
    /// The ticket may not be exchanged so.
    #[error(transparent)]
    NoChange(#[from] NoChange),
    /// The ticket was exchanged already.
    #[error("the ticket was exchanged for another one already")]
    ChangedBefore,
    /// Tickets that cannot be exchanged in one go.
    #[error("expected tickets of one train of the order, each of them once")]
    ChangedTogether,
    /// The wish is what the ticket says.
    #[error("the ticket is for this train, class and section already")]
    SameJourney,
    /// The new train has no seats for it.
    #[error("the new train gives no seats ({reason}): the old tickets stay good")]
    NoSeatsForChange {
        /// The shard's stable reason.
        reason: String,
    },
    /// The holds ended before the order could claim them.
    #[error("the held seats are gone")]
    SeatsLost,
    /// The shard did not answer yet whether the holds are open.
    #[error("the order's seats are still being claimed")]
    StillOpening,
    /// No such order of this account.
    #[error("no such order")]
    OrderNotFound,
    /// No such ticket of this order.
    #[error("no such ticket of this order")]
    TicketNotFound,
    /// The order, as it stands, does not allow it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The order is changed by too many at once.
    #[error("the order is being changed by others")]
    Busy,
    /// As many orders are watched as may be.
    #[error("too many orders are watched")]
    TooManyWatched,
    /// The system's source of randomness failed.
    #[error("no randomness to seal the passengers with")]
    NoRandomness,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<failpoints::Injected> for Error {
    fn from(injected: failpoints::Injected) -> Self {
        Self::Store(StoreError::Unavailable(Box::new(injected)))
    }
}

impl From<Departed> for Error {
    fn from(departed: Departed) -> Self {
        Self::Departed { departed_at: departed.departed_at }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid { field, invalid } => Self::invalid_field(field, &invalid),
            Error::Legs { .. } | Error::LegsOverlap => Self::bad_field("legs", message),
            Error::NoPlace { leg, .. } => Self::bad_field(format!("legs[{leg}].places"), message),
            Error::TrainNotFound { run } => Self::not_found(reason::TRAIN_NOT_FOUND, message).with("run", run),
            Error::FareUnknown { run } => Self::refused(reason::FARE_UNKNOWN, message).with("run", run),
            Error::NoFare { passenger, .. } => Self::bad_field(format!("passengers[{passenger}].kind"), message),
            Error::PriceChanged { total, .. } => {
                Self::refused(reason::PRICE_CHANGED, message).with("total_fen", total.as_fen())
            }
            Error::StudentCard { passenger } => Self::bad_field(format!("passengers[{passenger}].student"), message),
            Error::StudentInterval { passenger, .. } => {
                Self::refused(reason::STUDENT_INTERVAL, message).with("passenger", passenger)
            }
            Error::QuoteInvalid => Self::refused(reason::QUOTE_INVALID, message),
            Error::QuoteExpired { expired_at } => {
                Self::refused(reason::QUOTE_EXPIRED, message).with("expired_at_ms", expired_at.millis())
            }
            Error::SellingHours { opens } => {
                Self::refused(reason::SELLING_HOURS, message).with("opens_at_ms", opens.millis())
            }
            Error::Party(party) => party_failure(party, message),
            Error::Departed { departed_at } => {
                Self::refused(reason::DEPARTED, message).with("departed_at_ms", departed_at.millis())
            }
            Error::IdReused(id) => Self::request_id_reused(id),
            Error::ChangeIdReused(id) => Self::request_id_reused(id),
            Error::NoChange(NoChange::TooOften { .. }) | Error::ChangedBefore => {
                Self::refused(reason::CHANGES_USED, message)
            }
            Error::NoChange(_) => Self::refused(reason::CHANGE_NOT_ALLOWED, message),
            Error::ChangedTogether => Self::bad_field("ticket_ids", message),
            Error::SameJourney => Self::bad_field("leg", message),
            Error::NoSeatsForChange { reason } => Self::refused(reason::known(&reason), message),
            Error::SeatsLost => Self::refused(reason::HOLD_ENDED, message),
            Error::StillOpening | Error::Busy => Self::unavailable(reason::UNAVAILABLE, message, 200),
            Error::OrderNotFound => Self::not_found(reason::ORDER_NOT_FOUND, message),
            Error::TicketNotFound => Self::not_found(reason::TICKET_NOT_FOUND, message),
            Error::Rejected(rejection) => rejection_failure(rejection, message),
            Error::TooManyWatched => Self::unavailable(reason::OVERLOADED, message, 1_000),
            Error::NoRandomness => Self::unavailable(reason::UNAVAILABLE, message, 1_000),
            Error::Store(store) => store_failure(store, message),
        }
    }
}

fn party_failure(party: BadParty, message: String) -> Failure {
    match party {
        BadParty::Size { .. } => Failure::bad_field("passengers", message),
        BadParty::Twice { second, .. } => Failure::bad_field(format!("passengers[{second}].document_number"), message),
        BadParty::ChildAlone => Failure::refused(reason::CHILD_ALONE, message),
        BadParty::NotAnInfant { passenger, .. }
        | BadParty::TooManyInfants { passenger, .. }
        | BadParty::NotAChild { passenger, .. } => Failure::bad_field(format!("passengers[{passenger}].kind"), message),
    }
}

fn rejection_failure(rejection: Rejection, message: String) -> Failure {
    match rejection {
        Rejection::NotOpen => Failure::unavailable(reason::UNAVAILABLE, message, 200),
        Rejection::TooManyChanges => Failure::refused(reason::CHANGES_USED, message),
        Rejection::TooLate { .. } | Rejection::State(_) => Failure::refused(reason::ORDER_STATE, message),
        Rejection::PaidOtherwise | Rejection::NoTrade => Failure::refused(reason::PAYMENT_STATE, message),
        Rejection::NoTicket | Rejection::NoRefund => Failure::not_found(reason::TICKET_NOT_FOUND, message),
        Rejection::TicketState(_) => Failure::refused(reason::TICKET_STATE, message),
    }
}

fn store_failure(store: StoreError, message: String) -> Failure {
    match store {
        StoreError::Refused(refusal) => refusal_failure(refusal, message),
        StoreError::Exists | StoreError::Conflict => Failure::unavailable(reason::UNAVAILABLE, message, 100),
        StoreError::Unavailable(source) => {
            tracing::warn!(error = %source, "the order database failed");
            Failure::unavailable(reason::UNAVAILABLE, message, 500)
        }
        StoreError::Unreadable(what) => {
            tracing::error!(what, "an order row cannot be read");
            Failure::unavailable(reason::UNEXPECTED, "the order cannot be read", 60_000)
        }
    }
}

fn refusal_failure(refusal: Refusal, message: String) -> Failure {
    match refusal {
        Refusal::TicketOnRun => Failure::refused(reason::DUPLICATE_IDENTITY, message),
        Refusal::Overlap => Failure::refused(reason::OVERLAPPING_JOURNEY, message),
        Refusal::Unpaid => Failure::refused(reason::ORDER_UNPAID, message),
        Refusal::CancelledTooOften => Failure::exhausted(reason::CANCELLED_TOO_OFTEN, message),
        Refusal::RushTickets { .. } => Failure::exhausted(reason::ACCOUNT_TICKETS_MAX, message),
        Refusal::StudentTrips { .. } => Failure::exhausted(reason::STUDENT_TRIPS_USED, message),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
