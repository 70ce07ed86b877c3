use std::sync::Arc;

use domain::{Invalid, Money, ServiceDate, Time};
use rpc::Clock;
use tokio::sync::Notify;

use crate::behaviour::{Behaviour, Call, ChargePlan};
use crate::error::Error;
use crate::model::{
    CallbackBody, Charge, ChargeState, NewCharge, NewRefund, Refund, StatementLine, provider_charge_id,
};
use crate::store::{Decision, OwedCallback, Store};

/// The most lines of a statement read at once.
pub const STATEMENT_PAGE_LINES: u32 = 500;

/// What the provider does when it is called, or when a time has come.
pub struct App {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    behaviour: Behaviour,
    /// Told whenever a callback may have become due.
    wake_calling_back: Notify,
}

impl App {
    /// A provider on its store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, behaviour: Behaviour) -> Self {
        Self { store, clock, behaviour, wake_calling_back: Notify::new() }
    }

    /// Takes a charge on. Repeating its id answers the same charge in its present state.
    pub async fn charge(&self, asked: NewCharge) -> Result<Charge, Error> {
        let now = self.clock.now();
        let token = asked.token;
        let plan = self.behaviour.plan_charge(token, &asked.merchant_trade_id, now, asked.expires_at);
        let decision = if plan.decide_at <= now { Some(self.decision(&asked, plan, now)?) } else { None };
        let (charge, created) = self.store.charge(asked, plan, decision).await?;
        self.wake_calling_back.notify_one();
        self.answer(created, Call::Charge, &charge.asked.merchant_trade_id, &charge)?;
        Ok(charge)
    }

    /// A charge in its present state.
    pub async fn query_charge(&self, merchant_trade_id: &str) -> Result<Charge, Error> {
        self.store
            .find_charge(merchant_trade_id)
            .await?
            .ok_or_else(|| Error::ChargeNotFound(merchant_trade_id.to_owned()))
    }

    /// Closes a charge unless it is decided, or the bank is already at work on it; the state afterwards.
    pub async fn close_charge(&self, merchant_trade_id: &str) -> Result<ChargeState, Error> {
        let (state, closed) = self.store.close_charge(merchant_trade_id, self.clock.now()).await?;
        if closed && let Some(charge) = self.store.find_charge(merchant_trade_id).await? {
            self.answer(true, Call::Close, merchant_trade_id, &charge)?;
        }
        Ok(state)
    }

    /// Pays a part of a charge back. Repeating its id answers the same refund in its present state.
    pub async fn refund(&self, asked: NewRefund) -> Result<Refund, Error> {
        let now = self.clock.now();
        let settle_at = self.behaviour.plan_refund(&asked.merchant_refund_id, now);
        let (mut refund, created) = self.store.refund(asked, settle_at).await?;
        let charge = self.query_charge(&refund.asked.merchant_trade_id).await?;
        if created && refund.settle_at <= now {
            self.settle(&refund, &charge, now).await?;
            refund.settled_at = Some(now);
        }
        self.answer(created, Call::Refund, &refund.asked.merchant_refund_id, &charge)?;
        Ok(refund)
    }

    /// A refund in its present state, if it is known.
    pub async fn query_refund(&self, merchant_refund_id: &str) -> Result<Option<Refund>, Error> {
        Ok(self.store.find_refund(merchant_refund_id).await?)
    }

    /// A page of one UTC day's operations, after a line already read.
    pub async fn statement(
        &self,
        day: ServiceDate,
        after: Option<&StatementLine>,
    ) -> Result<Vec<StatementLine>, Error> {
        const DAY_MS: i64 = 86_400_000;
        let from = Time::from_millis(i64::from(day.days()) * DAY_MS);
        Ok(self.store.statement(from, from.plus_millis(DAY_MS), after, STATEMENT_PAGE_LINES).await?)
    }

    /// Decides a charge whose time has come; the state afterwards.
    pub async fn decide(&self, charge: &Charge, now: Time) -> Result<ChargeState, Error> {
        let plan = ChargePlan { succeeds: charge.succeeds, decide_at: charge.decide_at, closable: charge.closable };
        let decision = self.decision(&charge.asked, plan, now)?;
        let state = self.store.decide_charge(&charge.asked.merchant_trade_id, decision).await?;
        self.wake_calling_back.notify_one();
        Ok(state)
    }

    /// Pays a refund back whose time has come.
    pub async fn settle(&self, refund: &Refund, charge: &Charge, now: Time) -> Result<(), Error> {
        let id = &refund.asked.merchant_refund_id;
        let owed = self.owed(&charge.asked, Some(id), ChargeState::Succeeded, refund.asked.amount, now)?;
        self.store.settle_refund(id, now, owed).await?;
        self.wake_calling_back.notify_one();
        Ok(())
    }

    /// What the provider remembers.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The present moment.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Told when a callback is due.
    pub fn wake_calling_back(&self) -> &Notify {
        &self.wake_calling_back
    }

    /// What becomes of a charge now: what was planned, or closed where only its expiry has come.
    fn decision(&self, asked: &NewCharge, plan: ChargePlan, now: Time) -> Result<Decision, Error> {
        let state = match (plan.decide_at <= now, plan.succeeds) {
            (true, true) => ChargeState::Succeeded,
            (true, false) => ChargeState::Declined,
            (false, _) => ChargeState::Closed,
        };
        Ok(Decision { state, at: now, owed: self.owed(asked, None, state, asked.amount, now)? })
    }

    /// The callbacks for something decided now.
    fn owed(
        &self,
        charge: &NewCharge,
        merchant_refund_id: Option<&str>,
        state: ChargeState,
        amount: Money,
        now: Time,
    ) -> Result<Vec<OwedCallback>, Error> {
        let id = merchant_refund_id.unwrap_or(&charge.merchant_trade_id);
        let kind = if merchant_refund_id.is_some() { "refund" } else { "charge" };
        let body = CallbackBody {
            merchant_trade_id: &charge.merchant_trade_id,
            merchant_refund_id,
            provider_charge_id: &provider_charge_id(&charge.merchant_trade_id),
            state: state.name(),
            amount_fen: amount.as_fen(),
            at_ms: now.millis(),
            kind,
        };
        let body = serde_json::to_string(&body).map_err(Error::Encode)?;
        let times = self.behaviour.plan_callbacks(charge.token, id, now).into_iter();
        let owed = times.enumerate().map(|(copy, due)| OwedCallback {
            callback_id: format!("{kind}/{id}/{copy}"),
            url: charge.callback_url.clone(),
            body: body.clone(),
            due,
        });
        Ok(owed.collect())
    }

    /// Loses the reply to work that is done, where the behaviour says so.
    fn answer(&self, first: bool, call: Call, id: &str, charge: &Charge) -> Result<(), Error> {
        if first && self.behaviour.loses_reply(call, charge.asked.token, id) { Err(Error::ReplyLost) } else { Ok(()) }
    }
}

/// An id of the merchant's: 1 to 80 characters of `A-Z a-z 0-9 . _ / -`.
pub fn check_merchant_id(what: &'static str, text: &str) -> Result<String, Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    if (1..=80).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(what, "1 to 80 letters, digits, dots, hyphens, slashes or underscores", text))
    }
}
