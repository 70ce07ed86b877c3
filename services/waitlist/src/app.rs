//! What an account may do with its entries: load, decide, perform.

mod worker;

use std::sync::Arc;

use domain::{AccountId, EntryId, Time};
use policy::Policy;
use privacy::{DocumentVault, Fresh, PersonTokens};
use proto::order::v1::order_service_client::OrderServiceClient;
use rpc::{Clock, Link};
use shard_client::ShardRouter;
use timetable::Timetable;
use tokio::sync::Notify;
use xxhash_rust::xxh3::Xxh3;

pub use worker::Worker;

use crate::config::Options;
use crate::entry::{Entry, Traveller, Wish};
use crate::error::Error;
use crate::state::Stage;
use crate::store::{Change, Lodged, Lodging, SealedPassenger, Store};

/// The waitlist.
#[derive(Debug)]
pub struct App {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The lines.
    pub shards: ShardRouter,
    /// Where seats become orders.
    pub orders: OrderServiceClient<Link>,
    /// Which trains there are.
    pub timetable: Arc<Timetable>,
    /// The railway's numbers.
    pub policy: Arc<Policy>,
    /// Seals passengers.
    pub vault: Arc<DocumentVault>,
    /// Makes the tokens that lines know passengers by.
    pub tokens: Arc<PersonTokens>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the worker when an entry has become due.
    pub wake: Arc<Notify>,
    /// How the service runs.
    pub options: Options,
}

/// What an account asks for. The deadline is none for as long as policy allows.
#[derive(Clone, Debug)]
pub struct Request {
    /// Named by the client.
    pub id: EntryId,
    /// Who asks.
    pub account: AccountId,
    /// What is wished for; its deadline is not looked at.
    pub wish: Wish,
    /// Until when to wait.
    pub deadline: Option<Time>,
    /// Who travels.
    pub travellers: Vec<Traveller>,
}

impl App {
    /// Lodges an entry and joins the line. While the line does not answer, the entry is joining, and goes on by itself.
    ///
    /// # Errors
    /// What policy or the line refuses: nothing is left behind then.
    pub async fn join(&self, request: Request) -> Result<Entry, Error> {
        let now = self.clock.now();
        let content_hash = self.content_hash(&request);
        let Request { id, account, wish, deadline, travellers } = request;
        let wish = Wish { deadline: self.deadline(&wish, deadline, now)?, ..wish };
        self.check_party(&travellers)?;
        let sealed = travellers.iter().enumerate().map(|(position, traveller)| self.seal(id, position, traveller));
        let entry = Entry { id, account, wish, created_at: now, stage: Stage::Joining, place: None, version: 1 };
        let open_max = self.policy.waitlist.entries_max;
        let lodging = Lodging {
            entry: entry.clone(),
            content_hash,
            passengers: sealed.collect::<Result<_, _>>()?,
            open_max,
            due: now.plus_millis(self.options.lease_ms.into()),
        };
        match self.store.lodge(lodging).await? {
            Lodged::IdReused => Err(Error::IdReused(id)),
            Lodged::TooMany => Err(Error::TooManyEntries { max: open_max }),
            Lodged::New => self.join_line_first(entry).await,
            Lodged::Known(known) if known.stage == Stage::Joining => self.join_line_first(*known).await,
            Lodged::Known(known) => Ok(*known),
        }
    }

    /// Gives an entry up.
    ///
    /// # Errors
    /// Another account's entry, or one that seats came for.
    pub async fn leave(&self, account: &AccountId, id: EntryId) -> Result<Entry, Error> {
        loop {
            let entry = self.entry(account, id).await?;
            let Some(stage) = entry.stage.given_up().map_err(|_| Error::AlreadyServed)? else { return Ok(entry) };
            let due = self.clock.now().plus_millis(self.options.lease_ms.into());
            let change =
                Change { id, version: entry.version, stage: stage.clone(), place: entry.place, due: Some(due) };
            if self.store.advance(change).await? {
                let left = Entry { stage, version: entry.version + 1, ..entry };
                return Ok(self.work_on(left, 0).await);
            }
        }
    }

    /// One entry of an account.
    ///
    /// # Errors
    /// No such entry, or another account's.
    pub async fn entry(&self, account: &AccountId, id: EntryId) -> Result<Entry, Error> {
        let entry = self.store.entry(id).await?;
        entry.filter(|entry| entry.account == *account).ok_or(Error::NotFound)
    }

    /// Up to `limit` entries of an account, newest first, after a position.
    ///
    /// # Errors
    /// The store failed.
    pub async fn entries(
        &self,
        account: &AccountId,
        after: Option<(Time, EntryId)>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        Ok(self.store.entries(account, after, limit).await?)
    }

    /// Joins the line within the client's own call. A refusal takes the entry back: the client hears it and it is as if
    /// nothing had been asked.
    async fn join_line_first(&self, entry: Entry) -> Result<Entry, Error> {
        let (id, version) = (entry.id, entry.version);
        match self.join_line(&entry).await {
            Ok(place) => Ok(self.joined(entry, place).await),
            Err(failure) if worker::is_final(&failure) => {
                self.store.withdraw(id, version).await?;
                Err(Error::Passed(failure))
            }
            // Whether the line has it is not known: the worker finds out.
            Err(_) => Ok(entry),
        }
    }

    /// Until when an entry waits: what was asked for, within policy.
    fn deadline(&self, wish: &Wish, asked: Option<Time>, now: Time) -> Result<Time, Error> {
        let train = self.timetable.train_by_code(wish.run.train).ok_or(Error::NoTrain)?;
        if wish.run.ordinal != 1 || !self.timetable.runs_on(train, wish.run.date) {
            return Err(Error::NoTrain);
        }
        if usize::from(wish.interval.to()) >= self.timetable.train(train).stops.len() {
            let message = "a stop of the train".to_owned();
            return Err(Error::NotAllowed { field: "to_stop".to_owned(), message });
        }
        let departure =
            self.timetable.departure_time(train, wish.run.date, wish.interval.from()).ok_or(Error::NoTrain)?;
        let rules = &self.policy.waitlist;
        let before = |minutes: u32| departure.plus_millis(-60_000 * i64::from(minutes));
        let (earliest, latest) = (before(rules.deadline_max_minutes), before(rules.deadline_min_minutes));
        if latest <= now {
            return Err(Error::TooLate(latest));
        }
        match asked {
            None => Ok(latest),
            Some(asked) if asked > now && (earliest..=latest).contains(&asked) => Ok(asked),
            Some(_) => {
                let message = format!("a moment to come, from {earliest} to {latest}");
                Err(Error::NotAllowed { field: "deadline_ms".to_owned(), message })
            }
        }
    }

    fn check_party(&self, travellers: &[Traveller]) -> Result<(), Error> {
        let max = self.policy.order.passengers_max;
        if travellers.is_empty() || travellers.len() > max as usize {
            let message = format!("1 to {max} passengers");
            return Err(Error::NotAllowed { field: "passengers".to_owned(), message });
        }
        for (position, traveller) in travellers.iter().enumerate() {
            if travellers[..position].iter().any(|earlier| earlier.document == traveller.document) {
                let field = format!("passengers[{position}].document_number");
                return Err(Error::NotAllowed { field, message: "each passenger once".to_owned() });
            }
        }
        Ok(())
    }

    fn seal(&self, id: EntryId, position: usize, traveller: &Traveller) -> Result<SealedPassenger, Error> {
        let fresh = Fresh::from_system().map_err(|_| Error::NoRandomness)?;
        Ok(SealedPassenger {
            kind: traveller.kind.code(),
            preference: traveller.preference,
            sealed: self.vault.seal(&traveller.name, &traveller.document, &seal_context(id, position), fresh),
        })
    }

    /// Tells a repeated request from another one of the same id. Documents go in as keyed hashes, so that nobody can try
    /// numbers against it.
    fn content_hash(&self, request: &Request) -> i64 {
        let Request { id: _, account, wish, deadline, travellers } = request;
        let mut hash = Xxh3::new();
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(account.as_str().as_bytes());
        add(wish.run.to_string().as_bytes());
        let (from, to) = (wish.interval.from(), wish.interval.to());
        add(&[wish.class.code(), from, to, u8::from(wish.standing), wish.channel.code()]);
        add(&deadline.map_or(0, Time::millis).to_le_bytes());
        for traveller in travellers {
            add(&self.vault.lookup(&traveller.document));
            add(traveller.name.as_str().as_bytes());
            add(&[traveller.kind.code(), traveller.preference]);
        }
        hash.digest() as i64
    }
}

/// Where a sealed passenger belongs, so that records cannot be swapped.
fn seal_context(id: EntryId, position: usize) -> Vec<u8> {
    format!("waitlist/{id}/{position}").into_bytes()
}
