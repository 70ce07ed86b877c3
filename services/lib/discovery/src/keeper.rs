use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::Time;
use membership::{Judge, Registration};
use ring::ShardId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::registered::Wanted;
use crate::shared::Inner;
use crate::{Announcement, Store, StoreError, Tag, View};

/// A registration that the store does not show is made again after so long: its view may only be late.
const REPEAT_AFTER: Duration = Duration::from_millis(1_000);
/// The keeper looks again at least this often.
const LOOK_AFTER: Duration = Duration::from_millis(60_000);

/// The background work of one process: registers its shards, puts a lost record back, and writes what its judge says.
pub(crate) struct Keeper<S> {
    inner: Arc<Inner<S>>,
    judge: Judge,
    announced: BTreeMap<ShardId, (Announcement, Instant)>,
    /// Failures in a row.
    failures: u32,
    /// The judge's time starts here.
    started: Instant,
}

impl<S: Store> Keeper<S> {
    pub fn new(inner: Arc<Inner<S>>) -> Self {
        let judge = Judge::new(inner.options.damping());
        Self { inner, judge, announced: BTreeMap::new(), failures: 0, started: Instant::now() }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut views = self.inner.store.view();
        let mut wanted = self.inner.wanted.subscribe();
        loop {
            let view = views.borrow_and_update().clone();
            let shards = wanted.borrow_and_update().clone();
            self.inner.see(&view);
            let pause = self.work(&view, &shards).await;
            tokio::select! {
                () = stop.cancelled() => return,
                changed = views.changed() => if changed.is_err() { return },
                _ = wanted.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does what there is to do now; says when to look again if nothing happens.
    async fn work(&mut self, view: &View, wanted: &BTreeMap<ShardId, Wanted>) -> Duration {
        let registered = self.register(view, wanted).await;
        let judged = if registered.is_ok() { self.keep(view, !wanted.is_empty()).await } else { Ok(LOOK_AFTER) };
        match registered.and_then(|again| Ok(again.min(judged?))) {
            Ok(pause) => {
                self.failures = 0;
                pause
            }
            Err(error) => {
                self.failures += 1;
                tracing::warn!(%error, failures = self.failures, "the ring's store does not answer: the last ring stands");
                self.retry_pause()
            }
        }
    }

    /// Makes the registrations of this process what they should be.
    async fn register(&mut self, view: &View, wanted: &BTreeMap<ShardId, Wanted>) -> Result<Duration, StoreError> {
        let mut again = LOOK_AFTER;
        self.announced.retain(|shard, _| wanted.contains_key(shard));
        for (shard, wanted) in wanted {
            let announcement = &wanted.announcement;
            if wanted.withdraw {
                self.inner.store.withdraw(shard).await?;
                self.announced.remove(shard);
                self.inner.wanted.send_modify(|all| {
                    all.retain(|_, other| other.announcement.incarnation != announcement.incarnation);
                });
                continue;
            }
            let present = self.announced.get(shard);
            let current = present.is_some_and(|(announced, _)| announced == announcement);
            if current && view.registrations.get(shard).is_some_and(|seen| shows(seen, announcement)) {
                continue;
            }
            let waited = present.map_or(Duration::MAX, |(_, at)| at.elapsed());
            if current && waited < REPEAT_AFTER {
                again = again.min(REPEAT_AFTER - waited);
                continue;
            }
            self.inner.store.announce(announcement).await?;
            self.announced.insert(shard.clone(), (announcement.clone(), Instant::now()));
            again = again.min(REPEAT_AFTER);
        }
        Ok(again)
    }

    /// Puts a lost record back and writes what the judge says. Judging is for those who have shards.
    async fn keep(&mut self, view: &View, judging: bool) -> Result<Duration, StoreError> {
        if !view.reached {
            self.judge.lost_sight();
            return Ok(LOOK_AFTER);
        }
        let known = self.inner.record();
        let Some(stored) = view.stored.as_ref().filter(|stored| stored.record.version() >= known.version()) else {
            return self.put_back(view.stored.as_ref().map(|stored| &stored.tag)).await;
        };
        let now = self.now();
        self.judge.observe(&known, &view.registrations, now);
        let next = if judging { self.judge.judge(&known, now) } else { None };
        let Some(next) = next else {
            let due = self.judge.next_verdict(&known, now).filter(|_| judging);
            // A millisecond more, because the clock behind `now` is finer than it.
            return Ok(due.map_or(LOOK_AFTER, |at| Duration::from_millis(at.millis_since(now).unsigned_abs() + 1)));
        };
        let next = Arc::new(next);
        if !self.inner.store.write(&next, Some(&stored.tag)).await? {
            return Ok(self.retry_pause());
        }
        let layout = next.layout();
        tracing::info!(version = next.version(), members = layout.members.len(), "the ring changes");
        self.inner.see_record(Some(&next));
        Ok(self.retry_pause())
    }

    /// The store has no record, or an older one, or has not shown this process's own write yet: then nothing is written,
    /// because the tag has changed.
    async fn put_back(&self, over: Option<&Tag>) -> Result<Duration, StoreError> {
        let known = self.inner.record();
        if self.inner.store.write(&known, over).await? {
            tracing::warn!(version = known.version(), "the store had lost the ring's record: it was put back");
        }
        Ok(self.retry_pause())
    }

    fn now(&self) -> Time {
        let elapsed = self.started.elapsed().as_millis();
        Time::from_millis(i64::try_from(elapsed).expect("no process runs for 300 million years"))
    }

    /// Doubles with each failure in a row, shortened by up to half at random so that processes spread.
    fn retry_pause(&self) -> Duration {
        let options = &self.inner.options;
        let full = options.retry_ms.saturating_mul(1 << self.failures.min(16)).min(options.retry_max_ms);
        Duration::from_millis(u64::from(full - rand::random_range(0..=full / 2)))
    }
}

/// Whether a registration is what was announced. Its health is not the announcer's to say.
fn shows(seen: &Registration, announced: &Announcement) -> bool {
    let Announcement { address, state, incarnation, .. } = announced;
    seen.address == *address && seen.state == *state && seen.incarnation == *incarnation
}
