//! What may be wrong in the shells around the saga's decisions.

/// How the simulated services carry out what is decided.
#[derive(Clone, Copy, Debug)]
pub struct SagaRules {
    /// Order asks for a refund under the same id each time.
    pub refund_id_kept: bool,
    /// Payment asks the provider for a refund under the same id each time.
    pub provider_refund_id_kept: bool,
    /// The seats of an unpaid order are released only once its trade is closed.
    pub trade_closed_first: bool,
    /// A confirmation without an answer is repeated.
    pub confirm_repeated: bool,
    /// A confirmation without an answer is not taken for granted.
    pub confirm_needs_answer: bool,
    /// Seats are given back until that is answered.
    pub return_needs_answer: bool,
    /// A notice is crossed off only after it was taken.
    pub told_before_crossed_off: bool,
    /// Money that comes after the end is heard of.
    pub late_money_heard: bool,
    /// The closing of a trade needs the provider's answer.
    pub close_needs_answer: bool,
    /// A trade is recorded before the provider is asked for money.
    pub trade_recorded_first: bool,
    /// A row is replaced only while its version is the one that was read.
    pub versions_compared: bool,
    /// News of a hold that has ended is not taken for news of the one that followed it.
    pub stale_news_dropped: bool,
    /// Whatever was interrupted is taken up again.
    pub swept: bool,
    /// A capture that is told twice is posted once.
    pub captured_once: bool,
    /// The ledger's posting is in the transaction of what it records.
    pub posted_with_state: bool,
    /// The same id with another payload is refused.
    pub payload_compared: bool,
    /// The fee of a refund is decided once.
    pub fee_decided_once: bool,
    /// The seats of a ticket that is changed are given back only once the new ones are confirmed.
    pub change_holds_first: bool,
    /// The seats of a changed ticket are given back.
    pub changed_seats_returned: bool,
    /// The difference of a change is one trade however often it is asked for.
    pub difference_id_kept: bool,
    /// The fee of a change is posted.
    pub change_fee_posted: bool,
    /// The same id of a change with another payload is refused.
    pub change_payload_compared: bool,
}

impl SagaRules {
    /// As specified.
    pub const SOUND: Self = Self {
        refund_id_kept: true,
        provider_refund_id_kept: true,
        trade_closed_first: true,
        confirm_repeated: true,
        confirm_needs_answer: true,
        return_needs_answer: true,
        told_before_crossed_off: true,
        late_money_heard: true,
        close_needs_answer: true,
        trade_recorded_first: true,
        versions_compared: true,
        stale_news_dropped: true,
        swept: true,
        captured_once: true,
        posted_with_state: true,
        payload_compared: true,
        fee_decided_once: true,
        change_holds_first: true,
        changed_seats_returned: true,
        difference_id_kept: true,
        change_fee_posted: true,
        change_payload_compared: true,
    };
}

/// A saga with something wrong in it.
#[derive(Clone, Copy, Debug)]
pub struct SagaDefect {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is wrong.
    pub rules: SagaRules,
}

/// The saga as it should be.
pub const SOUND_SAGA: SagaDefect = SagaDefect { name: "none", rules: SagaRules::SOUND };

macro_rules! defects {
    ($($name:literal: $rule:ident,)+) => {
        &[$(SagaDefect { name: $name, rules: SagaRules { $rule: false, ..SagaRules::SOUND } },)+]
    };
}

/// Every planted defect.
pub const SAGA_DEFECTS: &[SagaDefect] = defects![
    "refund-id-drawn-anew": refund_id_kept,
    "double-refund": provider_refund_id_kept,
    "release-before-trade-closed": trade_closed_first,
    "confirm-not-repeated": confirm_repeated,
    "confirm-acknowledged-on-time-out": confirm_needs_answer,
    "seats-returned-on-time-out": return_needs_answer,
    "lost-outbox-cursor": told_before_crossed_off,
    "capture-ignored-after-expiry": late_money_heard,
    "closed-on-time-out": close_needs_answer,
    "charged-before-recorded": trade_recorded_first,
    "versions-not-compared": versions_compared,
    "stale-news-of-a-hold": stale_news_dropped,
    "not-swept": swept,
    "capture-posted-twice": captured_once,
    "posting-apart-from-state": posted_with_state,
    "request-payload-not-compared": payload_compared,
    "fee-decided-again": fee_decided_once,
    "old-seat-released-first": change_holds_first,
    "old-seat-kept": changed_seats_returned,
    "difference-charged-twice": difference_id_kept,
    "change-fee-forgotten": change_fee_posted,
    "change-payload-not-compared": change_payload_compared,
];
