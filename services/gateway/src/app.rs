//! What the gateway does: admit, read, hold, open.

mod change;
mod forward;
mod placing;
mod ring;
mod sale;

use std::sync::Arc;

use discovery::Discovery;
use domain::{Channel, Time};
use policy::{Policy, RailwayClock, Selling};
use privacy::PersonTokens;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::waitlist::v1::waitlist_service_client::WaitlistServiceClient;
use rpc::identity::Identity;
use rpc::{Clock, Link};
use shard_client::{HoldLines, ShardRouter};
use timetable::Timetable;

pub use sale::Opening;

use crate::error::Error;
use crate::fold::Fold;
use crate::limiter::{InFlight, Limiter};
use crate::parse::Legs;
use crate::{Dependencies, Options};

/// Everything a call needs. Shared by all calls; holds no state that may not be lost.
pub struct App {
    timetable: Arc<Timetable>,
    policy: Arc<Policy>,
    calendar: RailwayClock,
    person_tokens: Arc<PersonTokens>,
    clock: Arc<dyn Clock>,
    shards: ShardRouter,
    discovery: Arc<dyn Discovery>,
    holds: HoldLines,
    query: Link,
    order: Link,
    waitlist: Link,
    limiter: Limiter,
    fold: Arc<Fold>,
    opening_timeout_ms: u32,
}

impl App {
    /// The app of a gateway.
    pub fn new(options: &Options, dependencies: Dependencies, holds: HoldLines, limiter: Limiter) -> Self {
        let Dependencies { timetable, policy, person_tokens, shards, discovery, query, order, waitlist, clock, .. } =
            dependencies;
        Self {
            timetable,
            policy,
            calendar: RailwayClock::new(),
            person_tokens,
            clock,
            shards,
            discovery,
            holds,
            query,
            order,
            waitlist,
            limiter,
            fold: Arc::default(),
            opening_timeout_ms: options.opening_timeout_ms,
        }
    }

    /// Admits one call of an account; it counts as in work until the guard is dropped.
    pub async fn admit(&self, identity: &Identity) -> Result<InFlight, Error> {
        self.limiter.admit(identity, self.clock.now()).await
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// Reads legs as of now.
    fn legs(&self) -> Legs<'_> {
        Legs {
            timetable: &self.timetable,
            policy: &self.policy,
            calendar: &self.calendar,
            now: self.now(),
            any_date: false,
        }
    }

    /// Refuses outside the selling hours and on channels the token does not allow.
    fn check_selling(&self, identity: &Identity, channel: Channel) -> Result<(), Error> {
        if !identity.may_use(channel) {
            return Err(Error::ChannelNotAllowed(channel));
        }
        match self.calendar.selling(&self.policy.sale, self.now()).map_err(Error::invalid("clock"))? {
            Selling::Now => Ok(()),
            Selling::From(opens) => Err(Error::SellingHours { opens }),
        }
    }

    fn orders(&self) -> OrderServiceClient<Link> {
        OrderServiceClient::new(self.order.clone())
    }

    fn queries(&self) -> QueryServiceClient<Link> {
        QueryServiceClient::new(self.query.clone())
    }

    fn entries(&self) -> WaitlistServiceClient<Link> {
        WaitlistServiceClient::new(self.waitlist.clone())
    }
}
