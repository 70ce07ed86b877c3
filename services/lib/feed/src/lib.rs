//! Reads slots of the journal from cursors that the reader keeps with its own state.
//!
//! The journal is the outbox: whoever must not miss a change reads the slots' streams. Batches come in order per slot and
//! at least once. A consumer stores each slot's cursor in the same transaction as what it made of the batches, so that a
//! crash in between repeats them and loses none; a consumer that keeps what it takes in by name needs nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::SlotId;
use journal::{FeedBatch, Journal, JournalError};

/// Takes in batches, and remembers how far it has come.
#[async_trait]
pub trait Consumer: Send {
    /// Why it could not.
    type Error: std::error::Error + Send + 'static;

    /// The last version taken in of each slot; slots it has never heard of are left out.
    ///
    /// # Errors
    /// Its storage does not answer.
    async fn cursors(&mut self) -> Result<BTreeMap<SlotId, u64>, Self::Error>;

    /// Takes in batches of one slot, in order and without a gap, and stores the last one's version as the slot's cursor, in
    /// one transaction. Batches taken in before may come again after a failure.
    ///
    /// # Errors
    /// Nothing was taken in: the same batches come again.
    async fn take_in(&mut self, slot: SlotId, batches: &[FeedBatch]) -> Result<(), Self::Error>;
}

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub struct FeedOptions {
    /// Batches of one slot given to the consumer at once.
    pub batches_max: u32,
    /// Rounds of reading in one call of [`Feed::catch_up`], however much is left.
    pub rounds_max: u32,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { batches_max: 500, rounds_max: 100 }
    }
}

/// A reader of some slots.
#[derive(Debug)]
pub struct Feed {
    journal: Arc<dyn Journal>,
    slots: Vec<SlotId>,
    options: FeedOptions,
}

/// How far a consumer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Batches taken in.
    pub batches: u64,
    /// Batches that are committed and not taken in: the lag.
    pub behind: u64,
}

/// Why a feed stopped.
#[derive(Debug, thiserror::Error)]
pub enum FeedError<E: std::error::Error + 'static> {
    /// The journal does not answer.
    #[error("the feed cannot be read")]
    Journal(#[source] JournalError),
    /// The consumer could not take a batch in.
    #[error("the feed's consumer failed")]
    Consumer(#[source] E),
}

impl Feed {
    /// Reads these slots.
    pub fn new(journal: Arc<dyn Journal>, slots: impl IntoIterator<Item = SlotId>, options: FeedOptions) -> Self {
        Self { journal, slots: slots.into_iter().collect(), options }
    }

    /// Gives the consumer what is new in every slot, in turn, until there is nothing new or the rounds are over.
    ///
    /// # Errors
    /// What was taken in before stays; call again to go on.
    pub async fn catch_up<C: Consumer>(&self, consumer: &mut C) -> Result<Progress, FeedError<C::Error>> {
        let mut cursors = consumer.cursors().await.map_err(FeedError::Consumer)?;
        let mut progress = Progress::default();
        for _ in 0..self.options.rounds_max {
            let ends = self.journal.feed_positions(&self.slots).await.map_err(FeedError::Journal)?;
            let behind = |slot: &SlotId, end: u64| end.saturating_sub(cursors.get(slot).copied().unwrap_or_default());
            let new: Vec<SlotId> = self
                .slots
                .iter()
                .zip(&ends)
                .filter(|(slot, end)| behind(slot, **end) > 0)
                .map(|(slot, _)| *slot)
                .collect();
            progress.behind = self.slots.iter().zip(&ends).map(|(slot, end)| behind(slot, *end)).sum();
            if new.is_empty() {
                break;
            }
            for slot in new {
                let after = cursors.get(&slot).copied().unwrap_or_default();
                let batches = self.journal.read_feed(slot, after, self.options.batches_max).await;
                let batches = batches.map_err(FeedError::Journal)?;
                let Some(last) = batches.last() else { continue };
                consumer.take_in(slot, &batches).await.map_err(FeedError::Consumer)?;
                cursors.insert(slot, last.version);
                progress.batches += batches.len() as u64;
                progress.behind = progress.behind.saturating_sub(batches.len() as u64);
            }
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests;
