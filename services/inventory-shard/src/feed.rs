//! The feed: the journal's batches to whoever keeps cursors, as they are committed.
//!
//! Read from the journal itself, so that a reader that was away misses nothing. Batches of slots in which somebody waits in
//! line are sent at once, since an offer stands for seconds only; the others follow within an interval, many at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Invalid, SlotId};
use engine::EngineHandle;
use journal::{Journal, JournalError};
use proto::inventory::v1::{FeedBatch, ReadFeedResponse, SlotCursor};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::boards::Boards;
use crate::error::Error;
use crate::ownership::Ownership;

/// Batches read at once of one slot.
const SLOT_BATCHES_MAX: u32 = 64;
/// The most batches of one message, and about how many bytes they take.
const MESSAGE_BATCHES_MAX: usize = 512;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The least time between two looks at what has changed.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Where feeds come from.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// Tells which runs changed.
    pub engine: EngineHandle,
    /// Tells which slots are this shard's.
    pub ownership: Ownership,
    /// Tells in which slots somebody waits.
    pub boards: Arc<Boards>,
    /// Between two looks at the slots in which nobody waits.
    pub interval: Duration,
}

/// One reader of the feed.
#[derive(Debug)]
pub struct FeedReader {
    feed: Feed,
    cursors: BTreeMap<SlotId, u64>,
    /// Slots that have batches past their cursor.
    behind: BTreeSet<SlotId>,
    changes: u64,
    next_look_at_all: Instant,
}

impl FeedReader {
    /// A reader that stands at these cursors.
    ///
    /// # Errors
    /// A slot that does not exist, or that stands twice.
    pub fn new(feed: Feed, cursors: &[SlotCursor]) -> Result<Self, Error> {
        let mut read = BTreeMap::new();
        for cursor in cursors {
            let wrong = |invalid| Error::Field { field: "cursors.slot", invalid };
            let number = u16::try_from(cursor.slot).unwrap_or(u16::MAX);
            let slot = SlotId::new(number).map_err(wrong)?;
            if read.insert(slot, cursor.version).is_some() {
                return Err(wrong(Invalid::new("slot", "each slot once", &slot.to_string())));
            }
        }
        let changes = feed.engine.changes().since(0).cursor;
        Ok(Self { feed, cursors: read, behind: BTreeSet::new(), changes, next_look_at_all: Instant::now() })
    }

    /// The next batches, as soon as there are any; an empty message as a sign of life.
    ///
    /// # Errors
    /// The journal does not answer, or a cursor other than 0 lies before what was purged.
    pub async fn next(&mut self) -> Result<ReadFeedResponse, Error> {
        if self.next_look_at_all <= Instant::now() {
            self.look_at_all().await?;
            if self.behind.is_empty() {
                return Ok(ReadFeedResponse::default());
            }
        }
        loop {
            let batches = self.read().await?;
            if !batches.is_empty() {
                return Ok(ReadFeedResponse { batches });
            }
            let changed = self.feed.engine.changes();
            tokio::select! {
                () = changed.changed_since(self.changes) => tokio::time::sleep(LOOK_PAUSE).await,
                () = tokio::time::sleep_until(self.next_look_at_all) => {
                    self.look_at_all().await?;
                    if self.behind.is_empty() {
                        return Ok(ReadFeedResponse::default());
                    }
                }
            }
            self.note_urgent();
        }
    }

    /// Finds every slot with something new: one cheap question to the journal.
    async fn look_at_all(&mut self) -> Result<(), Error> {
        let owned = self.feed.ownership.slots();
        let slots: Vec<SlotId> = self.cursors.keys().filter(|slot| owned.contains(slot)).copied().collect();
        let (journal, asked) = (self.feed.journal.clone(), slots.clone());
        let positions = apart(async move { journal.feed_positions(&asked).await }).await.map_err(failed)?;
        let news = slots.into_iter().zip(positions).filter(|(slot, version)| *version > self.cursors[slot]);
        self.behind = news.map(|(slot, _)| slot).collect();
        self.next_look_at_all = Instant::now() + self.feed.interval;
        Ok(())
    }

    /// Notes the slots that have changed and in which somebody waits.
    fn note_urgent(&mut self) {
        let since = self.feed.engine.changes().since(self.changes);
        self.changes = since.cursor;
        for change in since.runs {
            let slot = change.run.slot();
            let is_news = self.cursors.get(&slot).is_some_and(|read| change.version.0 > *read);
            if is_news && self.feed.boards.has_line(slot) {
                self.behind.insert(slot);
            }
        }
    }

    /// Reads what one message takes of the slots that are behind.
    async fn read(&mut self) -> Result<Vec<FeedBatch>, Error> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        while let Some(slot) = self.behind.first().copied() {
            if batches.len() >= MESSAGE_BATCHES_MAX || bytes >= MESSAGE_BYTES_MAX {
                break;
            }
            let cursor = self.cursors.entry(slot).or_default();
            let (journal, after) = (self.feed.journal.clone(), *cursor);
            let read = match apart(async move { journal.read_feed(slot, after, SLOT_BATCHES_MAX).await }).await {
                Ok(read) => read,
                // Whoever has nothing yet begins where the slot begins by now.
                Err(JournalError::Purged { purged_up_to, .. }) if after == 0 => {
                    *cursor = purged_up_to;
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            if read.len() < SLOT_BATCHES_MAX as usize {
                self.behind.remove(&slot);
            }
            for batch in read {
                *cursor = batch.version;
                bytes += batch.payload.len();
                batches.push(FeedBatch {
                    slot: u32::from(slot.number()),
                    version: batch.version,
                    payload: batch.payload,
                    committed_at_ms: batch.time.millis(),
                });
            }
        }
        Ok(batches)
    }
}

/// Runs a question to the journal in a task of its own, ended with this future: a reader that takes no messages for a while
/// is not asked to go on, and must not keep one of the journal's connections meanwhile.
async fn apart<T: Send + 'static>(question: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(question);
    match task.join_next().await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => unreachable!("the task is there, and nobody else can cancel it"),
    }
}

fn failed(error: JournalError) -> Error {
    if let JournalError::Purged { slot, purged_up_to, .. } = error {
        return Error::Purged { slot, purged_up_to };
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "the feed cannot be read");
    Error::FeedUnavailable
}
