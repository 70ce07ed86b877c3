//! Refusals and failures as callers see them.

use domain::{Invalid, SlotId, Time};
use engine::EngineError;
use inventory::Refusal;
use rpc::{Failure, reason};
use tonic::Code;

/// How long a caller waits before it asks about a quarantined run again: somebody has to repair it.
const QUARANTINE_RETRY_MS: u32 = 30_000;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field that is no value of its type.
    #[error("{field}: {invalid}")]
    Field {
        /// The field's path.
        field: &'static str,
        /// What is wrong with it.
        invalid: Invalid,
    },
    /// A part of a plan that cannot be read or sold.
    #[error("{field}: {message}")]
    Plan {
        /// The field's path.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The run refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The slot belongs to another shard.
    #[error("the slot of this run belongs to shard {owner}")]
    NotOwner {
        /// The shard the ring names.
        owner: String,
        /// The ring's version.
        ring_version: u64,
    },
    /// The slot was given up while the request waited.
    #[error("the slot of this run has just been given up")]
    Moved {
        /// The version of the ring that says whose it is.
        ring_version: u64,
    },
    /// The engine cannot say.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no such hold.
    #[error("no such hold on this run")]
    HoldNotFound,
    /// The run was never put on sale.
    #[error("the run is not on sale")]
    RunNotFound,
    /// What the reader of a feed has not read is gone.
    #[error("slot {slot} is purged up to version {purged_up_to}: start from there")]
    Purged {
        /// The slot.
        slot: SlotId,
        /// The last version that is gone.
        purged_up_to: u64,
    },
    /// The journal does not answer.
    #[error("the journal cannot be read now")]
    FeedUnavailable,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Field { field, invalid } => Self::invalid_field(field, &invalid),
            Error::Plan { field, message } => Self::bad_field(field, message),
            Error::Refused(refusal) => refused(&refusal),
            Error::NotOwner { ref owner, ring_version } => Self::refused(reason::NOT_OWNER, error.to_string())
                .with("owner", owner)
                .with("ring_version", ring_version),
            Error::Moved { ring_version } => {
                Self::refused(reason::NOT_OWNER, error.to_string()).with("ring_version", ring_version)
            }
            Error::Engine(error) => not_answered(error),
            Error::HoldNotFound => Self::not_found(reason::HOLD_NOT_FOUND, error.to_string()),
            Error::RunNotFound => Self::not_found(reason::RUN_NOT_FOUND, error.to_string()),
            Error::Purged { slot, purged_up_to } => {
                Self::bad_field("cursors", error.to_string()).with("slot", slot).with("purged_up_to", purged_up_to)
            }
            Error::FeedUnavailable => Self::unavailable(reason::UNAVAILABLE, error.to_string(), 500),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

fn not_answered(error: EngineError) -> Failure {
    let millis = |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX);
    let failure = match error {
        EngineError::NotAnswered(failure) => failure,
        EngineError::Closed => return Failure::unavailable(reason::DRAINING, "the shard is shutting down", 200),
    };
    let message = failure.to_string();
    match failure {
        engine::Failure::Unavailable { retry_after_ms } => {
            Failure::unavailable(reason::UNAVAILABLE, message, millis(retry_after_ms))
        }
        engine::Failure::NotOwner => Failure::refused(reason::NOT_OWNER, message),
        engine::Failure::Overloaded { retry_after_ms } => {
            Failure::unavailable(reason::OVERLOADED, message, millis(retry_after_ms))
        }
        engine::Failure::DeadlineExceeded => Failure::new(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, message),
        engine::Failure::Quarantined => Failure::unavailable(reason::QUARANTINED, message, QUARANTINE_RETRY_MS),
    }
}

/// What a refusal says: its reason, and the values a caller may act on.
fn refused(refusal: &Refusal) -> Failure {
    let message = refusal.to_string();
    let refuse = |reason| Failure::refused(reason, message.clone());
    match refusal {
        Refusal::SoldOut { free, segments } => {
            refuse(reason::SOLD_OUT).with("free", free).with("segments", segment_list(*segments))
        }
        Refusal::NotTogether { free } => refuse(reason::SOLD_OUT).with("free_in_one_carriage", free),
        Refusal::WithheldForWaitlist { until } => until_ms(refuse(reason::WITHHELD_FOR_WAITLIST), Some(*until)),
        Refusal::ProtectedForLonger { until, rule } => {
            until_ms(refuse(reason::KEPT_FOR_LONGER_JOURNEYS).with("rule", rule), *until)
        }
        Refusal::AllotmentUsedUp { channel, until } => {
            until_ms(refuse(reason::ALLOTMENT_USED_UP).with("channel", channel.name()), *until)
        }
        Refusal::NotOnSale => Failure::not_found(reason::RUN_NOT_FOUND, message),
        Refusal::NotOnSaleUntil(opens) => refuse(reason::SALE_NOT_OPEN).with("opens_at_ms", opens.millis()),
        Refusal::SaleEnded(ended) => refuse(reason::SALE_CLOSED).with("ended_at_ms", ended.millis()),
        Refusal::Closed => refuse(reason::SALE_CLOSED),
        Refusal::AlreadyOnSale => Failure::new(Code::AlreadyExists, reason::ALREADY_ON_SALE, message),
        Refusal::NoSuchClass(_) => Failure::bad_field("seat_class", message),
        Refusal::NoSuchStop { .. } => Failure::bad_field("to_stop", message),
        Refusal::EmptyParty | Refusal::PartyTooLarge { .. } | Refusal::PartyTooLargeForCarriage { .. } => {
            Failure::bad_field("passengers", message)
        }
        Refusal::DuplicatePassenger { passenger } => refuse(reason::DUPLICATE_IDENTITY).with("passenger", passenger),
        Refusal::UnknownHold(_) => Failure::not_found(reason::HOLD_NOT_FOUND, message),
        Refusal::HoldExpired(_) => refuse(reason::HOLD_ENDED),
        Refusal::WrongState { stage, .. } => {
            let reason = if stage.is_live() { reason::HOLD_STATE } else { reason::HOLD_ENDED };
            refuse(reason).with("state", stage.name())
        }
        Refusal::NoSuchPassenger { .. } => Failure::bad_field("passengers", message),
        Refusal::PayloadDiffers => Failure::new(Code::AlreadyExists, reason::REQUEST_ID_REUSED, message),
        Refusal::LineFull { max } => Failure::exhausted(reason::LINE_FULL, message).with("max", max),
        Refusal::LineNotOpen => refuse(reason::LINE_CLOSED),
        Refusal::DeadlinePassed(_) => Failure::bad_field("deadline_ms", message),
        Refusal::UnknownEntry(_) => Failure::not_found(reason::ENTRY_NOT_FOUND, message),
        Refusal::NoOffer(_) => refuse(reason::OFFER_NOT_FOUND),
        Refusal::BadPlan(error) => Failure::bad_field("plan", error.to_string()),
        Refusal::BadQuotas(error) => Failure::bad_field("quotas", error.to_string()),
        // The kernel may learn to refuse for more reasons before this table knows them.
        _ => refuse(reason::UNEXPECTED),
    }
}

fn segment_list(segments: inventory::Segments) -> String {
    let numbers: Vec<String> = segments.iter().map(|segment| segment.to_string()).collect();
    numbers.join(",")
}

fn until_ms(failure: Failure, until: Option<Time>) -> Failure {
    match until {
        Some(until) => failure.with("until_ms", until.millis()),
        None => failure,
    }
}
