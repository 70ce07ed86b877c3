//! Every stable reason an error of the fleet can carry in `google.rpc.ErrorInfo`.
//!
//! Callers branch on these, so a reason is never renamed. Each has a line in `proto/docs/errors.md`; a test walks [`ALL`].

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* pub const $name: &str = stringify!($name);)*

        /// All of them, in order of the alphabet.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

reasons! {
    /// The account has as many open tickets as it may have.
    ACCOUNT_TICKETS_MAX,
    /// The channel's allotment is used up.
    ALLOTMENT_USED_UP,
    /// The run already has what it is asked to become, with other content.
    ALREADY_ON_SALE,
    /// A callback tells of another amount, charge or trade than ours. Answered over HTTP.
    CALLBACK_MISMATCH,
    /// A callback's signature is missing or wrong. Answered over HTTP.
    CALLBACK_SIGNATURE,
    /// A callback was signed too long ago, or in the future. Answered over HTTP.
    CALLBACK_STALE,
    /// Too many unpaid cancellations today.
    CANCELLED_TOO_OFTEN,
    /// The ticket has been changed as often as it may be, or exchanged already.
    CHANGES_USED,
    /// The rules do not allow this change.
    CHANGE_NOT_ALLOWED,
    /// The token does not allow the channel.
    CHANNEL_NOT_ALLOWED,
    /// A child without an adult.
    CHILD_ALONE,
    /// The caller's deadline, or the default one, passed.
    DEADLINE_EXCEEDED,
    /// The server is shutting down; another one answers.
    DRAINING,
    /// A passenger already has a place on this run.
    DUPLICATE_IDENTITY,
    /// The entry is not in a state that allows it.
    ENTRY_STATE,
    /// The account has as many open waitlist entries as it may have.
    ENTRIES_MAX,
    /// No such waitlist entry of this account.
    ENTRY_NOT_FOUND,
    /// No fare is published for the train, class and interval.
    FARE_UNKNOWN,
    /// The hold ended before: released, expired or refunded.
    HOLD_ENDED,
    /// No such hold.
    HOLD_NOT_FOUND,
    /// The hold is not in a state that allows it.
    HOLD_STATE,
    /// A field of the request is wrong.
    INVALID_FIELD,
    /// The places left are kept for longer journeys.
    KEPT_FOR_LONGER_JOURNEYS,
    /// The line takes no entry: what it asks for can be bought.
    LINE_CLOSED,
    /// The line of the run is full.
    LINE_FULL,
    /// A message is larger than the server takes.
    MESSAGE_TOO_LARGE,
    /// The metadata is larger than the server takes.
    METADATA_TOO_LARGE,
    /// The method does not exist.
    METHOD_UNKNOWN,
    /// The slot of the run belongs to another shard, named in the metadata `owner`.
    NOT_OWNER,
    /// No offer stands for the entry.
    OFFER_NOT_FOUND,
    /// No such order of this account.
    ORDER_NOT_FOUND,
    /// The order is not in a state that allows it.
    ORDER_STATE,
    /// The account has an order that waits for its payment.
    ORDER_UNPAID,
    /// The server has as much work as it can do.
    OVERLOADED,
    /// A passenger travels on another train at that time.
    OVERLAPPING_JOURNEY,
    /// The train left the passenger's station.
    DEPARTED,
    /// The payment is not in a state that allows it.
    PAYMENT_STATE,
    /// The date is outside the days that are on sale.
    PRESALE_HORIZON,
    /// The price is not the one the client was shown.
    PRICE_CHANGED,
    /// The train-date was stopped because one of its invariants broke.
    QUARANTINED,
    /// The quote's time is over.
    QUOTE_EXPIRED,
    /// The quote is not one of ours, or for something else.
    QUOTE_INVALID,
    /// The account sends more than it may.
    RATE_LIMITED,
    /// Refunds and fees would exceed what was captured.
    REFUND_EXCEEDS_CAPTURE,
    /// No such refund.
    REFUND_NOT_FOUND,
    /// The request id was used before with other content.
    REQUEST_ID_REUSED,
    /// The token does not carry the role.
    ROLE_MISSING,
    /// Somebody else edits the ring.
    RING_BUSY,
    /// The ring was edited since the change was planned.
    RING_CHANGED,
    /// The shards are a fixed list.
    RING_FIXED,
    /// The moves of a change did not end in time.
    RING_UNSETTLED,
    /// No such run, or it was never put on sale.
    RUN_NOT_FOUND,
    /// Sale for the boarding stop has ended.
    SALE_CLOSED,
    /// Sale for the boarding stop opens later, at the metadata `opens_at_ms`.
    SALE_NOT_OPEN,
    /// It is outside the selling hours.
    SELLING_HOURS,
    /// Nothing is left of what was asked for.
    SOLD_OUT,
    /// The stream is older than the server keeps one.
    STREAM_TOO_OLD,
    /// A student's ticket is for journeys between home and school.
    STUDENT_INTERVAL,
    /// A student has used the trips at the student fare of the student year.
    STUDENT_TRIPS_USED,
    /// No such ticket of this order.
    TICKET_NOT_FOUND,
    /// The ticket is not in a state that allows it.
    TICKET_STATE,
    /// The token has expired.
    TOKEN_EXPIRED,
    /// The token is not one of ours.
    TOKEN_INVALID,
    /// The call needs a token.
    TOKEN_MISSING,
    /// No such trade.
    TRADE_NOT_FOUND,
    /// No such train on that date.
    TRAIN_NOT_FOUND,
    /// The called service cannot be reached.
    UNREACHABLE,
    /// A service it needs, or its store, does not answer; trying again may help.
    UNAVAILABLE,
    /// The message cannot be decoded.
    UNDECODABLE,
    /// Something went wrong that is not the caller's doing; the log has it under the trace id.
    UNEXPECTED,
    /// The places left wait for those in line.
    WITHHELD_FOR_WAITLIST,
}

/// The reason of that name; [`UNEXPECTED`] for one this version does not know.
pub fn known(name: &str) -> &'static str {
    ALL.iter().copied().find(|reason| *reason == name).unwrap_or(UNEXPECTED)
}
