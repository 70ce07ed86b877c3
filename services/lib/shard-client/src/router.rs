use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Invalid, Run};
use ring::{LayoutError, Ring, ShardId};
use rpc::{CallContext, Failure, Link, LinkOptions, Switchboard, reason};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response, Status};

use crate::retry::{RetryBudget, pause};
use crate::{Discovery, Membership, RetryOptions, ShardClient, ShardOperatorClient, ShardsOptions};

/// How long a call waits for a ring that a shard has already and this router has not: news of a ring takes milliseconds.
const RING_WAIT_MAX: Duration = Duration::from_secs(2);

/// Finds the shard of a run and calls it. Cloning is cheap; clones share ring, links and retry budget.
#[derive(Clone)]
pub struct ShardRouter {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: ArcSwap<Fleet>,
    /// Tells hold lines that shards came or went.
    changed: watch::Sender<()>,
    switchboard: Switchboard,
    link: LinkOptions,
    retry: RetryOptions,
    budget: RetryBudget,
}

/// The ring and a link to each of its shards.
struct Fleet {
    ring: Arc<Ring>,
    shards: HashMap<ShardId, Arc<Shard>>,
}

/// A shard that can be called.
pub(crate) struct Shard {
    pub id: ShardId,
    address: Option<String>,
    link: Link,
}

impl Shard {
    pub fn client(&self) -> ShardClient {
        ShardClient::new(self.link.clone())
    }

    /// Whether another one is the same shard at the same place.
    pub fn is_where(&self, other: &Self) -> bool {
        self.id == other.id && self.address == other.address
    }
}

/// A membership that makes no fleet.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// A name or an address that is none.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A layout that makes no ring.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl ShardRouter {
    /// A router over the shards that `discovery` names now; [`ShardRouter::follow`] keeps it up to date.
    ///
    /// # Errors
    /// A membership that makes no ring, an address that is none, options out of their range.
    pub fn new(
        options: &ShardsOptions,
        discovery: &dyn Discovery,
        switchboard: &Switchboard,
    ) -> Result<Self, RouterError> {
        options.validate()?;
        let membership = discovery.watch().borrow().clone();
        let fleet = Fleet::of(membership, None, switchboard, &options.link)?;
        Ok(Self {
            inner: Arc::new(Inner {
                fleet: ArcSwap::from_pointee(fleet),
                changed: watch::Sender::new(()),
                switchboard: switchboard.clone(),
                link: options.link.clone(),
                retry: options.retry.clone(),
                budget: RetryBudget::new(&options.retry),
            }),
        })
    }

    /// Takes over every newer membership until it is stopped. One that makes no ring is ignored: the last ring stands.
    pub async fn follow(self, discovery: Arc<dyn Discovery>, stop: CancellationToken) {
        let mut memberships = discovery.watch();
        while let Some(Ok(())) = stop.run_until_cancelled(memberships.changed()).await {
            let membership = memberships.borrow_and_update().clone();
            if let Err(error) = self.replace(membership) {
                tracing::error!(%error, "a membership was ignored");
            }
        }
    }

    /// Replaces the fleet unless its version is older than the present one.
    ///
    /// # Errors
    /// A membership that makes no ring, or an address that is none; the present fleet stands.
    pub fn replace(&self, membership: Membership) -> Result<(), RouterError> {
        let inner = &*self.inner;
        let present = inner.fleet.load_full();
        if membership.layout.version < present.ring.version() {
            return Ok(());
        }
        let fleet = Fleet::of(membership, Some(&present), &inner.switchboard, &inner.link)?;
        inner.fleet.store(Arc::new(fleet));
        inner.changed.send_replace(());
        Ok(())
    }

    /// The present ring.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.inner.fleet.load().ring)
    }

    /// The shards of the ring and where they are; none for those in this process.
    pub fn addresses(&self) -> Vec<(ShardId, Option<String>)> {
        let fleet = self.inner.fleet.load();
        let mut shards: Vec<_> = fleet.shards.values().map(|shard| (shard.id.clone(), shard.address.clone())).collect();
        shards.sort();
        shards
    }

    /// A client of every shard, for what is asked of all of them: boards and feeds.
    pub fn clients(&self) -> Vec<(ShardId, ShardClient)> {
        let fleet = self.inner.fleet.load();
        fleet.shards.values().map(|shard| (shard.id.clone(), shard.client())).collect()
    }

    /// A client for operators of every shard.
    pub fn operator_clients(&self) -> Vec<(ShardId, ShardOperatorClient)> {
        let fleet = self.inner.fleet.load();
        fleet.shards.values().map(|shard| (shard.id.clone(), ShardOperatorClient::new(shard.link.clone()))).collect()
    }

    /// A client of the shard that owns a run by the present ring. [`ShardRouter::call`] also follows hints and retries.
    pub fn client_for(&self, run: &Run) -> ShardClient {
        self.owner(run).client()
    }

    /// Makes a call to the owner of a run. It must be safe to repeat, as every call to a shard is.
    ///
    /// ```ignore
    /// router.call(&run, |mut client| { let request = request.clone(); async move { client.confirm(request).await } })
    /// ```
    ///
    /// # Errors
    /// The shard's answer; UNAVAILABLE when it stayed unavailable for as long as the deadline, the number of attempts and
    /// the retry budget allow.
    pub async fn call<T, F, A>(&self, run: &Run, call: F) -> Result<T, Status>
    where
        F: Fn(ShardClient) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.attempt(run, |shard| {
            let answer = call(shard.client());
            async move { Ok(answer.await?.into_inner()) }
        })
        .await
    }

    // Not an `AsyncFn`: of its futures the compiler could not tell callers that they are `Send`.
    pub(crate) async fn attempt<T, A>(&self, run: &Run, send: impl Fn(Arc<Shard>) -> A) -> Result<T, Status>
    where
        A: Future<Output = Result<T, Status>>,
    {
        let inner = &*self.inner;
        inner.budget.earn();
        let context = CallContext::current();
        let mut hint = None;
        let mut hint_followed = false;
        let mut newest = self.version();
        let mut attempt = 1;
        loop {
            let shard = hint.take().unwrap_or_else(|| self.owner(run));
            let context = CallContext { ring_version: Some(newest), ..context };
            let status = match context.scope(send(shard)).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            // Most of what is refused is sold out: that needs no reading.
            let moved = Failure::is_for(&status, reason::NOT_OWNER);
            if !moved && status.code() != Code::Unavailable {
                return Err(status);
            }
            let failure = Failure::from_status(&status);
            if moved {
                let theirs = failure.value("ring_version").and_then(|version| version.parse().ok()).unwrap_or(0);
                if theirs > newest {
                    // The slot moves: each newer ring is followed, which is no retry of something that failed.
                    newest = theirs;
                    hint = self.hinted(&failure);
                    if hint.is_some() || self.wait_for_version(theirs, &context).await {
                        continue;
                    }
                }
                hint = if hint_followed { None } else { self.hinted(&failure) };
                if hint.is_some() {
                    hint_followed = true;
                    continue;
                }
                // The ring and the shards disagree, which a move heals soon: try again like any unavailability.
            }
            let pause = pause(&inner.retry, attempt, failure.retry_after_ms);
            let fits = context.remaining().is_none_or(|remaining| pause < remaining);
            if attempt >= inner.retry.attempts_max || !fits || !inner.budget.take() {
                return Err(given_up(status, &failure));
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
            newest = newest.max(self.version());
        }
    }

    /// The version of the present ring.
    fn version(&self) -> u64 {
        self.inner.fleet.load().ring.version()
    }

    /// Waits until this router has a ring that a shard has already, for a bounded time within the caller's; whether it came.
    async fn wait_for_version(&self, version: u64, context: &CallContext) -> bool {
        let most = context.remaining().map_or(RING_WAIT_MAX, |remaining| remaining.min(RING_WAIT_MAX));
        let mut changes = self.changes();
        let came = async {
            while self.version() < version {
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(most, came).await.unwrap_or(false)
    }

    /// The owner of a run by the present ring.
    pub(crate) fn owner(&self, run: &Run) -> Arc<Shard> {
        let fleet = self.inner.fleet.load();
        Arc::clone(&fleet.shards[fleet.ring.owner_of(run)])
    }

    /// Whether a shard is in the present ring.
    pub(crate) fn counts(&self, shard: &ShardId) -> bool {
        self.inner.fleet.load().shards.contains_key(shard)
    }

    fn hinted(&self, failure: &Failure) -> Option<Arc<Shard>> {
        let owner: ShardId = failure.value("owner")?.parse().ok()?;
        self.inner.fleet.load().shards.get(&owner).cloned()
    }

    pub(crate) fn shards(&self) -> Vec<Arc<Shard>> {
        self.inner.fleet.load().shards.values().cloned().collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }
}

/// NOT_OWNER is between roles: a caller that cannot be served now is told so, and when to try again.
fn given_up(status: Status, failure: &Failure) -> Status {
    if failure.reason == reason::NOT_OWNER {
        Failure::unavailable(reason::UNAVAILABLE, "the train-date is moving between shards", 500).into()
    } else {
        status
    }
}

impl Fleet {
    /// Every member gets a link: invariant of [`ShardRouter::owner`]. Links to unchanged addresses are kept.
    fn of(
        membership: Membership,
        present: Option<&Self>,
        switchboard: &Switchboard,
        options: &LinkOptions,
    ) -> Result<Self, RouterError> {
        let Membership { layout, addresses } = membership;
        let ring = Ring::new(layout)?;
        let mut shards = HashMap::new();
        for member in &ring.layout().members {
            let id = member.shard.clone();
            let address = addresses.get(&id).cloned().flatten();
            let kept = present.and_then(|fleet| fleet.shards.get(&id)).filter(|shard| shard.address == address);
            let link = match kept {
                Some(shard) => shard.link.clone(),
                None => Link::resolve(id.as_str(), address.as_deref(), switchboard, options)?,
            };
            shards.insert(id.clone(), Arc::new(Shard { id, address, link }));
        }
        Ok(Self { ring: Arc::new(ring), shards })
    }
}

impl fmt::Debug for ShardRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardRouter").field("ring_version", &self.ring().version()).finish_non_exhaustive()
    }
}
