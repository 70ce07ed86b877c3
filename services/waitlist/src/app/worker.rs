//! Goes on with entries: whatever a stage says is to be done, until nothing is, or until something does not answer.

use std::sync::Arc;
use std::time::Duration;

use domain::{EntryId, HoldId};
use due_work::DueWork;
use prost::Message as _;
use proto::inventory::v1 as line;
use proto::journal::v1::Wish as LineWish;
use proto::order::v1 as order;
use rpc::{CallContext, Failure, reason};
use tonic::{Code, Status};

use crate::app::{App, seal_context};
use crate::convert;
use crate::entry::{Entry, Grant, LinePlace, Traveller};
use crate::error::Error;
use crate::metrics;
use crate::state::{Effect, Happened, OVERDUE_GRACE_MS, Stage};
use crate::store::{Change, DueEntry, SealedPassenger, StoreError};

/// Works on entries that are due.
#[derive(Clone, Debug)]
pub struct Worker(pub Arc<App>);

impl DueWork for Worker {
    type Item = DueEntry;
    type Key = EntryId;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "waitlist entries"
    }

    fn key(&self, item: &DueEntry) -> EntryId {
        item.entry.id
    }

    async fn due(&self, limit: usize) -> Result<Vec<DueEntry>, StoreError> {
        self.0.store.due(self.0.clock.now(), u32::try_from(limit).unwrap_or(u32::MAX)).await
    }

    async fn perform(&self, item: DueEntry) {
        self.0.work_on(item.entry, item.attempts).await;
    }
}

/// Whether a failure is an answer: repeating the call would not change it.
pub fn is_final(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::OutOfRange
    ) && failure.reason != reason::NOT_OWNER
        || failure.reason == reason::LINE_FULL
}

impl App {
    /// Goes on with an entry as far as it goes now, and gives it as it stands then.
    pub(crate) async fn work_on(&self, mut entry: Entry, attempts: u32) -> Entry {
        let mut attempts = attempts;
        while let Some(happened) = self.next_step(&entry).await {
            let effect = entry.stage.effect();
            match happened {
                Ok(happened) => match self.record(&entry, happened).await {
                    Some(next) => entry = next,
                    None => return entry,
                },
                Err(failure) => {
                    if let Some(effect) = effect {
                        metrics::retried(effect);
                        tracing::debug!(entry = %entry.id, ?effect, %failure, "a step of an entry is tried again");
                    }
                    self.put_off(&entry, attempts).await;
                    return entry;
                }
            }
            attempts = 0;
        }
        entry
    }

    /// Records that the line has an entry.
    pub(super) async fn joined(&self, entry: Entry, place: LinePlace) -> Entry {
        match self.record(&entry, Happened::Joined(place)).await {
            Some(joined) => joined,
            // The feed was faster, or the store did not answer: either way the entry is in the line.
            None => Entry { place: Some(place), stage: Stage::Waiting, ..entry },
        }
    }

    /// Does what the entry's stage says; none when there is nothing to do.
    async fn next_step(&self, entry: &Entry) -> Option<Result<Happened, Failure>> {
        let overdue = entry.wish.deadline.plus_millis(OVERDUE_GRACE_MS) <= self.clock.now();
        let Some(effect) = entry.stage.effect() else {
            let waits = matches!(entry.stage, Stage::Waiting);
            return (waits && overdue).then_some(Ok(Happened::Overdue));
        };
        Some(match effect {
            Effect::JoinLine => match self.join_line(entry).await {
                Ok(place) => Ok(Happened::Joined(place)),
                Err(failure) if is_final(&failure) => Ok(Happened::JoinRefused(failure.reason.to_owned())),
                Err(failure) => Err(failure),
            },
            Effect::AcceptOffer => match self.accept_offer(entry).await {
                Ok(grant) => Ok(Happened::OfferTaken(grant)),
                Err(failure) if is_final(&failure) => Ok(Happened::OfferGone),
                Err(failure) => Err(failure),
            },
            Effect::OpenOrder => match self.open_order(entry).await {
                Ok(()) => Ok(Happened::OrderOpened),
                Err(failure) if is_final(&failure) || failure.code == Code::ResourceExhausted => {
                    Ok(Happened::OrderRefused(failure.reason.to_owned()))
                }
                Err(failure) => Err(failure),
            },
            Effect::ReleaseHold => self.release_hold(entry).await.map(|()| Happened::HoldReleased),
            Effect::LeaveLine => self.leave_line(entry).await.map(|()| Happened::OutOfLine { expired: false }),
        })
    }

    /// Writes what happened; none where the entry has changed meanwhile or the store does not answer: what is due then is
    /// found by the next sweep.
    async fn record(&self, entry: &Entry, happened: Happened) -> Option<Entry> {
        let place = match happened {
            Happened::Joined(place) => Some(place),
            _ => entry.place,
        };
        let stage = entry.stage.after(happened)?;
        let now = self.clock.now();
        // This worker goes on by itself; another one only if it does not.
        let due = stage.due(entry.wish.deadline, now.plus_millis(self.options.lease_ms.into()));
        let change = Change { id: entry.id, version: entry.version, stage: stage.clone(), place, due };
        match self.store.advance(change).await {
            Ok(true) => {
                metrics::entered(&stage);
                Some(Entry { stage, place, version: entry.version + 1, ..entry.clone() })
            }
            Ok(false) => {
                self.wake.notify_one();
                None
            }
            Err(error) => {
                tracing::warn!(entry = %entry.id, error = &error as &dyn std::error::Error, "a step was not recorded");
                None
            }
        }
    }

    async fn put_off(&self, entry: &Entry, attempts: u32) {
        let until = self.clock.now().plus_millis(self.options.pause_ms(attempts));
        if let Err(error) = self.store.postpone(entry.id, entry.version, until).await {
            tracing::warn!(entry = %entry.id, error = &error as &dyn std::error::Error, "an entry was not put off");
        }
    }

    pub(super) async fn join_line(&self, entry: &Entry) -> Result<LinePlace, Failure> {
        let travellers = self.travellers(entry).await?;
        let (wish, date) = (&entry.wish, entry.wish.run.date);
        let token = |traveller: &Traveller| self.tokens.token(date, &traveller.document).0.to_vec();
        let request = line::JoinLineRequest {
            run: Some(convert::run_out(wish.run)),
            entry_id: entry.id.bytes().to_vec().into(),
            wish: Some(LineWish {
                seat_class: wish.class.code().into(),
                from: wish.interval.from().into(),
                to: wish.interval.to().into(),
                persons: travellers.iter().map(token).map(Into::into).collect(),
                standing: wish.standing,
                channel: wish.channel.code().into(),
            }),
            deadline_ms: wish.deadline.millis(),
        };
        let joined = self
            .within(self.shards.call(&wish.run, move |mut shard| {
                let request = request.clone();
                async move { shard.join_line(request).await }
            }))
            .await?;
        Ok(LinePlace { sequence: joined.sequence, ahead: Some(joined.ahead) })
    }

    async fn accept_offer(&self, entry: &Entry) -> Result<Grant, Failure> {
        let request = line::AcceptOfferRequest {
            run: Some(convert::run_out(entry.wish.run)),
            entry_id: entry.id.bytes().to_vec().into(),
        };
        let accepted = self
            .within(self.shards.call(&entry.wish.run, move |mut shard| {
                let request = request.clone();
                async move { shard.accept_offer(request).await }
            }))
            .await?;
        Ok(Grant(accepted.encode_to_vec()))
    }

    async fn open_order(&self, entry: &Entry) -> Result<(), Failure> {
        let Stage::Ordering(Grant(granted)) = &entry.stage else { return Ok(()) };
        let granted = line::AcceptOfferResponse::decode(&granted[..]).map_err(|_| damaged())?;
        let travellers = self.travellers(entry).await?;
        let wish = &entry.wish;
        let leg = order::HeldLeg {
            run: Some(convert::run_out(wish.run)),
            seat_class: wish.class.code().into(),
            from_stop: wish.interval.from().into(),
            to_stop: wish.interval.to().into(),
            places: granted.places,
            hold_id: granted.hold_id,
            opened: true,
            pay_by_ms: granted.pay_by_ms,
            hard_limit_ms: granted.hard_limit_ms,
        };
        let request = order::OpenOrderRequest {
            order_id: entry.id.to_string(),
            account: entry.account.to_string(),
            channel: wish.channel.code().into(),
            legs: vec![leg],
            passengers: travellers.iter().map(convert::traveller_out).collect(),
            quoted_fen: 0,
            repeat_only: false,
            quote: String::new(),
        };
        let mut orders = self.orders.clone();
        self.within(async { orders.open_order(request).await }).await?;
        Ok(())
    }

    /// Gives the entry's hold back. One that is gone already is as good.
    async fn release_hold(&self, entry: &Entry) -> Result<(), Failure> {
        let hold = HoldId { owner: entry.id.as_u128(), leg: 0 };
        let request =
            line::ReleaseRequest { run: Some(convert::run_out(entry.wish.run)), hold_id: hold.bytes().to_vec().into() };
        let released = self
            .within(self.shards.call(&entry.wish.run, move |mut shard| {
                let request = request.clone();
                async move { shard.release(request).await }
            }))
            .await;
        gone_is_good(released.map(|_| ()))
    }

    /// Leaves the line. An entry that is not in it may have a hold from an offer that was taken just before it ended.
    async fn leave_line(&self, entry: &Entry) -> Result<(), Failure> {
        let request = line::LeaveLineRequest {
            run: Some(convert::run_out(entry.wish.run)),
            entry_id: entry.id.bytes().to_vec().into(),
        };
        let left = self
            .within(self.shards.call(&entry.wish.run, move |mut shard| {
                let request = request.clone();
                async move { shard.leave_line(request).await }
            }))
            .await;
        match left {
            Ok(_) => Ok(()),
            Err(failure) if is_final(&failure) => self.release_hold(entry).await,
            Err(failure) => Err(failure),
        }
    }

    /// The passengers of an entry, opened.
    async fn travellers(&self, entry: &Entry) -> Result<Vec<Traveller>, Failure> {
        let sealed = self.store.passengers(entry.id).await.map_err(|error| Failure::from(Error::from(error)))?;
        if sealed.len() != usize::from(entry.wish.passengers) {
            return Err(damaged());
        }
        let open = |(position, passenger): (usize, &SealedPassenger)| {
            let (name, document) = self
                .vault
                .open(&passenger.sealed, &seal_context(entry.id, position))
                .inspect_err(|error| tracing::error!(entry = %entry.id, %error, "a passenger cannot be opened"))
                .map_err(|_| damaged())?;
            let kind = domain::PassengerKind::from_code(passenger.kind).ok_or_else(damaged)?;
            Ok(Traveller { name, document, kind, preference: passenger.preference })
        };
        sealed.iter().enumerate().map(open).collect()
    }

    /// A call with the caller's deadline, or with the background's own.
    async fn within<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Failure> {
        let present = CallContext::current();
        let context = match present.deadline {
            Some(_) => present,
            None => CallContext::within(Duration::from_millis(self.options.call_timeout_ms.into())),
        };
        context.scope(call).await.map_err(Failure::from)
    }
}

fn gone_is_good(done: Result<(), Failure>) -> Result<(), Failure> {
    match done {
        Err(failure) if is_final(&failure) => Ok(()),
        done => done,
    }
}

/// What is stored cannot be read now: a key that is not configured, or a defect. It is tried again, never dropped.
fn damaged() -> Failure {
    Failure::unavailable(reason::UNAVAILABLE, "what is stored of the entry cannot be read", 5_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_silence() {
        for failure in [
            Failure::refused(reason::OFFER_NOT_FOUND, ""),
            Failure::not_found(reason::ENTRY_NOT_FOUND, ""),
            Failure::exhausted(reason::LINE_FULL, ""),
        ] {
            assert!(is_final(&failure), "{failure}");
        }
        for failure in [
            Failure::unavailable(reason::UNAVAILABLE, "", 1),
            Failure::refused(reason::NOT_OWNER, ""),
            Failure::new(Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED, ""),
            Failure::exhausted(reason::OVERLOADED, ""),
        ] {
            assert!(!is_final(&failure), "{failure}");
        }
    }
}
