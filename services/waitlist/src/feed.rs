//! Follows the journal's feed of every shard: how the waitlist learns of offers.
//!
//! The cursors stand in the waitlist's own database and move in the transaction that takes the batches in, so nothing is
//! missed and nothing counts twice, whatever stops in between. Each shard is asked for all slots and sends those it
//! owns; a slot that moves is sent by two shards for a moment, and the cursor lets one of them through.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use domain::SlotId;
use proto::inventory::v1::{FeedBatch, ReadFeedRequest, SlotCursor};
use ring::ShardId;
use rpc::Failure;
use shard_client::ShardClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::App;
use crate::line_events;
use crate::metrics;
use crate::store::{FeedPart, LineEvent};

/// How often the ring is looked at for shards that came or went.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The first and the longest pause before a feed that was lost is opened again.
const RETRY_MIN_MS: u64 = 50;
const RETRY_MAX_MS: u64 = 2_000;

/// Follows every shard of the ring until told to stop.
pub async fn follow_all(app: Arc<App>, stop: CancellationToken) {
    let mut followed: HashMap<ShardId, CancellationToken> = HashMap::new();
    let mut tasks = JoinSet::new();
    while !stop.is_cancelled() {
        let shards = app.shards.clients();
        followed.retain(|id, stop| {
            let stays = shards.iter().any(|(known, _)| known == id);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (id, client) in shards {
            if let Entry::Vacant(vacant) = followed.entry(id.clone()) {
                let stop = vacant.insert(stop.child_token()).clone();
                tasks.spawn(follow(app.clone(), id, client, stop));
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                // A panic would leave offers to run out for ever: the host restarts the role.
                std::panic::resume_unwind(error.into_panic());
            },
        }
    }
    tasks.join_all().await;
}

/// Follows one shard, over as many streams as it takes.
async fn follow(app: Arc<App>, shard: ShardId, client: ShardClient, stop: CancellationToken) {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(RETRY_MIN_MS))
        .with_max_delay(Duration::from_millis(RETRY_MAX_MS))
        .with_jitter()
        .without_max_times();
    let mut pause = pauses.build();
    loop {
        let mut stream = Stream {
            app: &app,
            shard: shard.clone(),
            reached: BTreeMap::new(),
            kept: BTreeMap::new(),
            heard_something: false,
        };
        // Cursors are not kept at the end: what was being taken in may not be, and is read again.
        let Some(lost) = stop.run_until_cancelled(stream.run(client.clone())).await else { return };
        match lost {
            // Most moves of a slot do that once: the shard that had it was read further than this stream knew.
            Lost::Overtaken => tracing::debug!(%shard, "another stream has read a slot further: going on from there"),
            Lost::Because(reason) => {
                metrics::feed_lost(shard.as_str());
                tracing::warn!(%shard, reason, "the feed of a shard is not followed");
            }
        }
        if stream.heard_something {
            pause = pauses.build();
        }
        let wait = pause.next().unwrap_or(Duration::from_millis(RETRY_MAX_MS));
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

/// Why a stream is read no more.
enum Lost {
    /// A cursor was moved by another stream, of this process or of another replica: what this one has read on top of an older
    /// one was not taken in. It is nobody's fault and nothing is missed.
    Overtaken,
    /// Something else, in words.
    Because(String),
}

impl From<String> for Lost {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

/// One stream of one shard.
struct Stream<'a> {
    app: &'a App,
    shard: ShardId,
    /// How far each slot has been read on this stream.
    reached: BTreeMap<SlotId, u64>,
    /// How far that is kept in the database.
    kept: BTreeMap<SlotId, u64>,
    heard_something: bool,
}

impl Stream<'_> {
    /// Reads until the stream breaks, and says why.
    async fn run(&mut self, mut client: ShardClient) -> Lost {
        let cursors = match self.app.store.cursors().await {
            Ok(cursors) => cursors,
            Err(error) => return error.to_string().into(),
        };
        self.kept = SlotId::all().map(|slot| (slot, 0)).chain(cursors).collect();
        self.reached.clone_from(&self.kept);
        let asked = self.kept.iter();
        let cursors = asked.map(|(slot, version)| SlotCursor { slot: slot.number().into(), version: *version });
        let request = ReadFeedRequest { cursors: cursors.collect() };
        let mut batches = match client.read_feed(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return self.ended(status).await,
        };
        let silence_max = Duration::from_millis(self.app.options.feed_silence_max_ms.into());
        let keep_every = Duration::from_millis(self.app.options.cursor_interval_ms.into());
        let mut keep_at = Instant::now() + keep_every;
        loop {
            let message = match tokio::time::timeout(silence_max, batches.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return "the shard ended the stream".to_owned().into(),
                Ok(Err(status)) => return self.ended(status).await,
                Err(_) => return "the shard was silent for too long".to_owned().into(),
            };
            self.heard_something = true;
            // A message without batches says that there are none.
            let newest_ms = message.batches.iter().map(|batch| batch.committed_at_ms).max();
            metrics::feed_lag(&self.shard, newest_ms.map_or(0, |committed| self.app.clock.now().millis() - committed));
            let events = match self.read(&message.batches) {
                Ok(events) => events,
                Err(reason) => return reason.into(),
            };
            if events.is_empty() && Instant::now() < keep_at {
                continue;
            }
            keep_at = Instant::now() + keep_every;
            if let Err(lost) = self.take(events).await {
                return lost;
            }
        }
    }

    /// Why the stream ended. Where what was not read yet is purged, the cursor goes on behind it: the entries it concerned
    /// have long run out, since the journal keeps batches for weeks longer than anybody waits.
    async fn ended(&mut self, status: Status) -> Lost {
        let failure = Failure::from(status);
        let number = |name: &str| failure.value(name).and_then(|value| value.parse::<u64>().ok());
        let slot = number("slot").and_then(|slot| SlotId::new(u16::try_from(slot).ok()?).ok());
        let (Some(slot), Some(purged_up_to)) = (slot, number("purged_up_to")) else { return failure.message.into() };
        let reached = self.reached.entry(slot).or_default();
        tracing::error!(%slot, read = *reached, purged_up_to, "batches were purged that had not been read: going on after them");
        metrics::feed_missed(purged_up_to.saturating_sub(*reached));
        *reached = purged_up_to.max(*reached);
        match self.take(Vec::new()).await {
            Ok(()) => "it goes on behind what was purged".to_owned().into(),
            Err(lost) => lost,
        }
    }

    /// The events of batches that were not read before.
    fn read(&mut self, batches: &[FeedBatch]) -> Result<Vec<LineEvent>, String> {
        let mut events = Vec::new();
        for batch in batches {
            let slot = u16::try_from(batch.slot).ok().and_then(|slot| SlotId::new(slot).ok());
            let slot = slot.ok_or_else(|| format!("the shard sent slot {}", batch.slot))?;
            let reached = self.reached.entry(slot).or_default();
            if batch.version <= *reached {
                continue;
            }
            // A slot that was purged before anything of it was read begins where it begins by now.
            if batch.version != *reached + 1 && *reached > 0 {
                return Err(format!("slot {slot} has a gap after version {reached}"));
            }
            let happened = line_events::of_batch(&batch.payload);
            events.extend(happened.map_err(|error| format!("slot {slot}, version {}: {error}", batch.version))?);
            *reached = batch.version;
        }
        Ok(events)
    }

    /// Takes events in and moves the cursors up to where they were read.
    async fn take(&mut self, events: Vec<LineEvent>) -> Result<(), Lost> {
        let moved = self.reached.iter().filter_map(|(slot, reached)| {
            let kept = self.kept.get(slot).copied().unwrap_or(0);
            (kept != *reached).then_some((*slot, kept, *reached))
        });
        let cursors: Vec<_> = moved.collect();
        if cursors.is_empty() {
            return Ok(());
        }
        let has_events = !events.is_empty();
        let part = FeedPart { events, cursors, now: self.app.clock.now() };
        match self.app.store.take_feed(part).await {
            Ok(true) => self.kept.clone_from(&self.reached),
            Ok(false) => return Err(Lost::Overtaken),
            Err(error) => return Err(error.to_string().into()),
        }
        if has_events {
            self.app.wake.notify_one();
        }
        Ok(())
    }
}
