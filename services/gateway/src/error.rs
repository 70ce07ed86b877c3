use discovery::DiscoveryError;
use domain::{BoardingDate, Channel, Invalid, OrderId, Time};
use rpc::{Failure, reason};
use tonic::{Code, Status};

/// Why the gateway did not do what it was asked.
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
    /// A field whose value is of its type but not one that is known or allowed.
    #[error("{field}: {message}")]
    Field {
        /// The field's path.
        field: String,
        /// What is allowed, or what is missing.
        message: String,
    },
    /// A date that is not on sale.
    #[error("{field}: {date} is outside the presale horizon: expected {first} to {last}")]
    Horizon {
        /// The field's path.
        field: String,
        /// The date asked for.
        date: BoardingDate,
        /// The first day on sale.
        first: BoardingDate,
        /// The last day on sale.
        last: BoardingDate,
    },
    /// Nothing is sold at this time of day.
    #[error("tickets are not sold at this hour: selling begins again at {opens}")]
    SellingHours {
        /// When selling begins again.
        opens: Time,
    },
    /// The method needs a token.
    #[error("expected authorization: Bearer TOKEN")]
    TokenMissing,
    /// The token does not allow the channel.
    #[error("the token does not allow the channel {}", .0.name())]
    ChannelNotAllowed(Channel),
    /// The token does not carry the role.
    #[error("the token does not carry the role {0}")]
    RoleMissing(&'static str),
    /// The account sends too much.
    #[error("the account sends more than it may")]
    RateLimited {
        /// When to try again at the earliest.
        retry_after_ms: u32,
    },
    /// The account has too much in work.
    #[error("the account has as many calls in work as it may have")]
    InFlight,
    /// The order is being placed with other content.
    #[error("order id {0} is being placed with other content")]
    IdReused(OrderId),
    /// A message of another role that cannot be.
    #[error("the {0} answered what cannot be")]
    Nonsense(&'static str),
    /// Some runs of a sale could not be opened.
    #[error("{failed} of {total} runs could not be put on sale, the first of them {first}: {cause}")]
    NotAllOpened {
        /// How many could not.
        failed: u32,
        /// How many were asked for.
        total: u32,
        /// The first of them.
        first: domain::Run,
        /// Why.
        cause: Box<Failure>,
    },
    /// The ring could not be changed.
    #[error("{0}")]
    Ring(DiscoveryError),
    /// The moves of a change take too long.
    #[error("the moves have not ended in time: see that the shards that join run, and that the others answer")]
    RingUnsettled,
    /// What another role answered: it is passed on as it is.
    #[error("{}", .0.message())]
    Upstream(Status),
}

/// How soon a call in work may have ended.
const IN_FLIGHT_RETRY_MS: u32 = 200;

impl Error {
    /// A field that is no value of its type.
    pub fn invalid(field: impl Into<String>) -> impl FnOnce(Invalid) -> Self {
        let field = field.into();
        |invalid| Self::Invalid { field, invalid }
    }

    /// A field whose value is not allowed.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { field: field.into(), message: message.into() }
    }
}

impl From<failpoints::Injected> for Error {
    fn from(injected: failpoints::Injected) -> Self {
        let failure = Failure::unavailable(reason::UNREACHABLE, injected.to_string(), 1_000);
        Self::Upstream(failure.into())
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Upstream(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid { field, invalid } => Self::invalid_field(field, &invalid),
            Error::Field { field, message } => Self::bad_field(field, message),
            Error::Horizon { field, first, last, .. } => {
                let expected = format!("expected {first} to {last}");
                Self {
                    fields: vec![(field, expected)],
                    ..Self::new(Code::InvalidArgument, reason::PRESALE_HORIZON, message)
                }
                .with("first_date", first)
                .with("last_date", last)
            }
            Error::SellingHours { opens } => {
                Self::refused(reason::SELLING_HOURS, message).with("opens_at_ms", opens.millis())
            }
            Error::TokenMissing => Self::unauthenticated(reason::TOKEN_MISSING, message),
            Error::ChannelNotAllowed(channel) => {
                Self::forbidden(reason::CHANNEL_NOT_ALLOWED, message).with("channel", channel.name())
            }
            Error::RoleMissing(role) => Self::forbidden(reason::ROLE_MISSING, message).with("role", role),
            Error::RateLimited { retry_after_ms } => {
                Self::exhausted(reason::RATE_LIMITED, message).retry_after_ms(retry_after_ms)
            }
            Error::InFlight => Self::exhausted(reason::RATE_LIMITED, message).retry_after_ms(IN_FLIGHT_RETRY_MS),
            Error::IdReused(id) => Self::request_id_reused(id),
            Error::Nonsense(_) => Self::unavailable(reason::UNEXPECTED, message, 1_000),
            Error::NotAllOpened { cause, first, .. } => Self { message, ..*cause }.with("run", first),
            Error::Ring(error) => ring_failure(&error, message),
            Error::RingUnsettled => Self::unavailable(reason::RING_UNSETTLED, message, 5_000),
            Error::Upstream(status) => Self::from_status(&status),
        }
    }
}

fn ring_failure(error: &DiscoveryError, message: String) -> Failure {
    match error {
        DiscoveryError::Fixed => Failure::refused(reason::RING_FIXED, message),
        DiscoveryError::Locked { .. } => Failure::unavailable(reason::RING_BUSY, message, 5_000),
        DiscoveryError::Conflict { .. } | DiscoveryError::LockLost | DiscoveryError::Contended(_) => {
            Failure::new(Code::Aborted, reason::RING_CHANGED, message)
        }
        DiscoveryError::Settings(_) => Failure::bad_field("change", message),
        DiscoveryError::Store(_) => Failure::unavailable(reason::UNAVAILABLE, message, 1_000),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            // Untouched, so that a newer role's reasons and details arrive as they were sent.
            Error::Upstream(status) => status,
            error => Failure::from(error).into(),
        }
    }
}
