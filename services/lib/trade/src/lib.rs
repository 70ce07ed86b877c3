//! What becomes of trades and refunds: pure decisions. Shells load, call [`step_trade`] or [`step_refund`], and perform the
//! effects in the same transaction as the new state.

use domain::{Money, Time};

/// The state of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeState {
    /// Recorded; the outcome is not known.
    Pending,
    /// The money is there.
    Captured,
    /// The provider refused.
    Declined,
    /// Closed without money.
    Closed,
}

/// One attempt to be paid for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// `<order id>-<attempt>`.
    pub trade_id: String,
    /// The order it pays.
    pub order_id: String,
    /// How much.
    pub amount: Money,
    /// The provider's token: how.
    pub payment_token: String,
    /// When the provider must give up.
    pub expires_at: Time,
    /// Its state.
    pub state: TradeState,
    /// Whether the provider has ever said that it knows the trade.
    pub submitted: bool,
    /// Whether it is to be closed unless it is captured.
    pub closing: bool,
    /// Paid back or on its way back.
    pub refunded: Money,
    /// Kept as fees.
    pub fees: Money,
    /// The provider's own id, once known.
    pub provider_charge_id: Option<String>,
    /// How often the provider was asked without an outcome.
    pub checks: u32,
}

impl Trade {
    /// What was captured: all or nothing.
    pub fn captured(&self) -> Money {
        if self.state == TradeState::Captured { self.amount } else { Money::ZERO }
    }
}

/// The state of a charge at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// Not decided yet.
    Pending,
    /// The money is there.
    Succeeded,
    /// Refused.
    Declined,
    /// Closed.
    Closed,
}

/// What happened to a trade. An unknown outcome is neither success nor failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TradeEvent {
    /// The provider said this: in an answer, or in a callback whose signature is right.
    ProviderSaid {
        /// The charge's state.
        state: ChargeState,
        /// The charge's amount, where the message carries it.
        amount: Option<Money>,
        /// The provider's own id, where the message carries it.
        provider_charge_id: Option<String>,
    },
    /// The provider does not know the trade.
    NotKnown,
    /// The provider did not answer: anything may have happened.
    NoAnswer,
    /// The order wants it closed.
    CloseAsked,
}

/// What to do beside keeping the new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Post to the ledger.
    Post(Posting),
    /// Tell the order what became of its trade.
    NoteTrade(TradeState),
    /// Tell the order that a refund has arrived.
    NoteRefund,
}

/// Why an event is refused: nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another amount than the trade's.
    #[error("the amount is not the trade's")]
    Amount,
    /// Another charge than the trade's.
    #[error("the charge is not the trade's")]
    Charge,
    /// A captured trade cannot be declined or closed afterwards.
    #[error("the trade is captured")]
    Captured,
}

/// What an event makes of a trade. An event that says what is known already changes nothing and has no effects.
///
/// # Errors
/// See [`Refusal`].
pub fn step_trade(trade: &Trade, event: &TradeEvent) -> Result<(Trade, Vec<Effect>), Refusal> {
    let mut next = trade.clone();
    let pending = trade.state == TradeState::Pending;
    match event {
        TradeEvent::ProviderSaid { state, amount, provider_charge_id } => {
            check(trade, *amount, provider_charge_id.as_deref())?;
            next.provider_charge_id = trade.provider_charge_id.clone().or_else(|| provider_charge_id.clone());
            next.submitted = true;
            return provider_said(trade, next, *state);
        }
        // It is charged again under the same id; a trade that is being closed is closed there unheard of.
        TradeEvent::NotKnown if pending => {
            next.submitted = false;
            next.checks += 1;
        }
        TradeEvent::NoAnswer if pending => next.checks += 1,
        TradeEvent::CloseAsked if pending && !trade.closing => {
            next.closing = true;
            next.checks = 0;
        }
        TradeEvent::NotKnown | TradeEvent::NoAnswer | TradeEvent::CloseAsked => {}
    }
    Ok((next, Vec::new()))
}

fn check(trade: &Trade, amount: Option<Money>, provider_charge_id: Option<&str>) -> Result<(), Refusal> {
    if amount.is_some_and(|amount| amount != trade.amount) {
        return Err(Refusal::Amount);
    }
    match (&trade.provider_charge_id, provider_charge_id) {
        (Some(known), Some(said)) if known != said => Err(Refusal::Charge),
        _ => Ok(()),
    }
}

fn provider_said(trade: &Trade, mut next: Trade, said: ChargeState) -> Result<(Trade, Vec<Effect>), Refusal> {
    let outcome = match said {
        // Said late or out of order, it takes nothing back.
        ChargeState::Pending => {
            if trade.state == TradeState::Pending {
                next.checks += 1;
            }
            return Ok((next, Vec::new()));
        }
        ChargeState::Succeeded => TradeState::Captured,
        ChargeState::Declined => TradeState::Declined,
        ChargeState::Closed => TradeState::Closed,
    };
    match (trade.state, outcome) {
        (known, said) if known == said => Ok((next, Vec::new())),
        // Money that arrived is money that arrived, whatever was believed before: the order gives it back.
        (_, TradeState::Captured) => {
            next.state = TradeState::Captured;
            let capture = Posting::capture(trade.amount);
            Ok((next, vec![Effect::Post(capture), Effect::NoteTrade(TradeState::Captured)]))
        }
        (TradeState::Pending, outcome) => {
            next.state = outcome;
            Ok((next, vec![Effect::NoteTrade(outcome)]))
        }
        (TradeState::Captured, _) => Err(Refusal::Captured),
        // Declined and closed both mean that no money came.
        _ => Ok((next, Vec::new())),
    }
}

/// What to ask the provider about a pending trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Charge the token; repeating it answers the state.
    Charge,
    /// Ask for the state.
    Query,
    /// Close it; answers the outcome.
    Close,
}

/// The next call for a pending trade; none for one whose outcome is known.
pub fn next_call(trade: &Trade, now: Time) -> Option<Call> {
    if trade.state != TradeState::Pending {
        return None;
    }
    // A trade that nobody asked to close is still closed at its expiry: the order has given it up by then.
    let call = match (trade.closing || now >= trade.expires_at, trade.submitted) {
        (true, _) => Call::Close,
        (false, false) => Call::Charge,
        (false, true) => Call::Query,
    };
    Some(call)
}

/// The state of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// Recorded; the provider has not confirmed.
    Pending,
    /// The money has arrived.
    Succeeded,
}

/// A part of a trade that is paid back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The order's deterministic id.
    pub refund_id: String,
    /// The captured trade.
    pub trade_id: String,
    /// The order it paid.
    pub order_id: String,
    /// How much goes back.
    pub amount: Money,
    /// How much is kept as a fee.
    pub fee: Money,
    /// Its state.
    pub state: RefundState,
    /// How often the provider was asked without an outcome.
    pub checks: u32,
}

/// Why a refund is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefundRefusal {
    /// The trade has no money to give back.
    #[error("the trade is not captured")]
    NotCaptured,
    /// More than is left of the trade.
    #[error("refunds and fees would exceed what was captured")]
    ExceedsCapture,
}

/// A new refund of a trade: the trade and the refund afterwards. Where all is kept as a fee there is nothing to send, and
/// the refund is complete at once.
///
/// # Errors
/// See [`RefundRefusal`].
pub fn begin_refund(trade: &Trade, mut refund: Refund) -> Result<(Trade, Refund, Vec<Effect>), RefundRefusal> {
    if trade.state != TradeState::Captured {
        return Err(RefundRefusal::NotCaptured);
    }
    let taken = [trade.refunded, trade.fees, refund.amount, refund.fee].into_iter().sum::<Money>();
    if taken > trade.amount {
        return Err(RefundRefusal::ExceedsCapture);
    }
    let mut next = trade.clone();
    next.refunded = trade.refunded + refund.amount;
    next.fees = trade.fees + refund.fee;
    let mut effects = vec![Effect::Post(Posting::refund(refund.amount, refund.fee))];
    if refund.amount == Money::ZERO {
        refund.state = RefundState::Succeeded;
        effects.push(Effect::NoteRefund);
    }
    Ok((next, refund, effects))
}

/// What the provider said of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundEvent {
    /// The money has gone back.
    Arrived,
    /// It is on its way, not known, or the provider did not answer: it is asked for again under the same id.
    NotYet,
}

/// What an event makes of a refund.
pub fn step_refund(refund: &Refund, event: RefundEvent) -> (Refund, Vec<Effect>) {
    let mut next = refund.clone();
    if refund.state == RefundState::Succeeded {
        return (next, Vec::new());
    }
    match event {
        RefundEvent::NotYet => {
            next.checks += 1;
            (next, Vec::new())
        }
        RefundEvent::Arrived => {
            next.state = RefundState::Succeeded;
            (next, vec![Effect::Post(Posting::arrival(refund.amount)), Effect::NoteRefund])
        }
    }
}

/// One posting of the ledger: an amount for each of the four accounts, positive for debit, that sum to zero.
///
/// With P the money at the provider, S the value of live tickets, F fees and R refunds under way, every order's balances say
/// `P = -(S + F + R)`: captured - refunded = live tickets + fees + refunds under way (RULES: Money).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// What it records.
    pub kind: PostingKind,
    /// Money at the provider.
    pub provider: Money,
    /// Value of live tickets.
    pub sales: Money,
    /// Fees kept.
    pub fees: Money,
    /// Refunds under way.
    pub refunds_due: Money,
}

/// What a posting records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostingKind {
    /// Money came.
    Capture,
    /// A refund was decided.
    Refund,
    /// A refund has arrived.
    Arrival,
}

impl PostingKind {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Arrival => "arrival",
        }
    }
}

impl Posting {
    fn capture(amount: Money) -> Self {
        let kind = PostingKind::Capture;
        Self { kind, provider: amount, sales: -amount, fees: Money::ZERO, refunds_due: Money::ZERO }
    }

    fn refund(amount: Money, fee: Money) -> Self {
        let kind = PostingKind::Refund;
        Self { kind, provider: Money::ZERO, sales: amount + fee, fees: -fee, refunds_due: -amount }
    }

    fn arrival(amount: Money) -> Self {
        let kind = PostingKind::Arrival;
        Self { kind, provider: -amount, sales: Money::ZERO, fees: Money::ZERO, refunds_due: amount }
    }
}

/// How long to wait before the provider is asked again: doubles with every attempt, up to a bound.
pub fn backoff_ms(checks: u32, first_ms: u32, most_ms: u32) -> i64 {
    i64::from(first_ms).saturating_mul(1 << checks.min(20)).min(i64::from(most_ms))
}

#[cfg(test)]
mod tests;
