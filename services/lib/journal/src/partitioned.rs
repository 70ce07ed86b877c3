//! One journal made of several clusters: each call is cut by cluster, asked of all at once, and put together again.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{Run, SlotId, Time};
use futures::future::{join_all, try_join_all};

use crate::cluster::{PARTITIONS, partition};
use crate::time::ServerClock;
use crate::{
    AppendOutcome, Checkpoint, Claimed, FeedBatch, FreeClaim, Head, Heartbeat, Journal, JournalError, RunHistory,
    SlotAppend, SlotEpoch, Snapshot,
};

#[derive(Debug)]
pub(crate) struct PartitionedJournal {
    clusters: Vec<Arc<dyn Journal>>,
    /// Index into `clusters` by partition.
    by_partition: [usize; PARTITIONS as usize],
    /// Heartbeats give the earliest of several clusters' times, of whichever clusters were asked: kept from going back.
    clock: ServerClock,
}

impl PartitionedJournal {
    /// Clusters with their partitions; every partition stands in exactly one.
    pub(crate) fn new(clusters: Vec<(Arc<dyn Journal>, Vec<u8>)>) -> Self {
        let mut by_partition = [0; PARTITIONS as usize];
        for (index, (_, partitions)) in clusters.iter().enumerate() {
            for number in partitions {
                by_partition[usize::from(*number)] = index;
            }
        }
        let clusters = clusters.into_iter().map(|(cluster, _)| cluster).collect();
        Self { clusters, by_partition, clock: ServerClock::default() }
    }

    fn index(&self, slot: SlotId) -> usize {
        self.by_partition[usize::from(partition(slot))]
    }

    fn cluster(&self, slot: SlotId) -> &dyn Journal {
        &*self.clusters[self.index(slot)]
    }

    /// Cuts items by cluster; clusters without items are left out. Keeps each item's place.
    fn cut<T>(&self, items: impl IntoIterator<Item = T>, slot: impl Fn(&T) -> SlotId) -> Vec<Piece<'_, T>> {
        let mut pieces: Vec<_> = self.clusters.iter().map(|cluster| Piece::new(&**cluster)).collect();
        for (place, item) in items.into_iter().enumerate() {
            let piece = &mut pieces[self.index(slot(&item))];
            piece.places.push(place);
            piece.items.push(item);
        }
        pieces.retain(|piece| !piece.items.is_empty());
        pieces
    }
}

/// What of a call concerns one cluster.
struct Piece<'a, T> {
    cluster: &'a dyn Journal,
    places: Vec<usize>,
    items: Vec<T>,
}

impl<'a, T> Piece<'a, T> {
    fn new(cluster: &'a dyn Journal) -> Self {
        Self { cluster, places: Vec::new(), items: Vec::new() }
    }
}

/// An answer with the places that its parts have in the call.
async fn placed<T>(
    places: Vec<usize>,
    answer: impl Future<Output = Result<Vec<T>, JournalError>>,
) -> Result<(Vec<usize>, Vec<T>), JournalError> {
    Ok((places, answer.await?))
}

/// Puts the pieces' answers in the order of the call.
fn put_together<T>(pieces: impl IntoIterator<Item = (Vec<usize>, Vec<T>)>) -> Vec<T> {
    let mut placed: Vec<(usize, T)> =
        pieces.into_iter().flat_map(|(places, answers)| places.into_iter().zip(answers)).collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, answer)| answer).collect()
}

#[async_trait]
impl Journal for PartitionedJournal {
    async fn append(&self, appends: Vec<SlotAppend>) -> Vec<AppendOutcome> {
        let pieces = self.cut(appends, |append| append.slot);
        let answers = pieces.into_iter().map(async |piece| (piece.places, piece.cluster.append(piece.items).await));
        put_together(join_all(answers).await)
    }

    async fn claim(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<Claimed>, JournalError> {
        let pieces = self.cut(slots.iter().copied(), |slot| *slot);
        let answers = pieces
            .into_iter()
            .map(async |piece| placed(piece.places, piece.cluster.claim(&piece.items, owner, nonce)).await);
        Ok(put_together(try_join_all(answers).await?))
    }

    async fn claim_free(&self, slots: &[SlotId], owner: &str, nonce: u128) -> Result<Vec<FreeClaim>, JournalError> {
        let pieces = self.cut(slots.iter().copied(), |slot| *slot);
        let answers = pieces
            .into_iter()
            .map(async |piece| placed(piece.places, piece.cluster.claim_free(&piece.items, owner, nonce)).await);
        Ok(put_together(try_join_all(answers).await?))
    }

    async fn give_up(&self, slots: &[SlotEpoch]) -> Result<(), JournalError> {
        let pieces = self.cut(slots.iter().copied(), |held| held.slot);
        try_join_all(pieces.iter().map(|piece| piece.cluster.give_up(&piece.items))).await?;
        Ok(())
    }

    async fn heartbeat(&self, slots: &[SlotEpoch]) -> Result<Heartbeat, JournalError> {
        let pieces = self.cut(slots.iter().copied(), |held| held.slot);
        let beats = try_join_all(pieces.iter().map(|piece| piece.cluster.heartbeat(&piece.items))).await?;
        let earliest = beats.iter().map(|beat| beat.time.millis()).min().unwrap_or(0);
        let found: HashSet<SlotId> = beats.into_iter().flat_map(|beat| beat.lost).collect();
        let lost = slots.iter().map(|held| held.slot).filter(|slot| found.contains(slot)).collect();
        Ok(Heartbeat { time: self.clock.hold(earliest), lost })
    }

    async fn heads(&self, slots: &[SlotId]) -> Result<Vec<Head>, JournalError> {
        let pieces = self.cut(slots.iter().copied(), |slot| *slot);
        let answers =
            pieces.into_iter().map(async |piece| placed(piece.places, piece.cluster.heads(&piece.items)).await);
        Ok(put_together(try_join_all(answers).await?))
    }

    async fn feed_positions(&self, slots: &[SlotId]) -> Result<Vec<u64>, JournalError> {
        let pieces = self.cut(slots.iter().copied(), |slot| *slot);
        let answers = pieces
            .into_iter()
            .map(async |piece| placed(piece.places, piece.cluster.feed_positions(&piece.items)).await);
        Ok(put_together(try_join_all(answers).await?))
    }

    async fn read_feed(
        &self,
        slot: SlotId,
        after_version: u64,
        batches_max: u32,
    ) -> Result<Vec<FeedBatch>, JournalError> {
        self.cluster(slot).read_feed(slot, after_version, batches_max).await
    }

    async fn load_run(&self, run: &Run) -> Result<RunHistory, JournalError> {
        self.cluster(run.slot()).load_run(run).await
    }

    async fn put_snapshot(&self, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.cluster(snapshot.run.slot()).put_snapshot(snapshot).await
    }

    async fn checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.cluster(slot).checkpoint(slot).await
    }

    async fn latest_checkpoint(&self, slot: SlotId) -> Result<Option<Checkpoint>, JournalError> {
        self.cluster(slot).latest_checkpoint(slot).await
    }

    async fn purge(&self, slot: SlotId, up_to_version: u64) -> Result<u64, JournalError> {
        self.cluster(slot).purge(slot, up_to_version).await
    }

    async fn runs_of(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.cluster(slot).runs_of(slot).await
    }

    async fn runs_without_snapshot(&self, slot: SlotId) -> Result<Vec<Run>, JournalError> {
        self.cluster(slot).runs_without_snapshot(slot).await
    }

    async fn purgeable(&self, committed_before: Time) -> Result<Vec<(SlotId, u64)>, JournalError> {
        let asked = self.clusters.iter().map(|cluster| cluster.purgeable(committed_before));
        let mut found = try_join_all(asked).await?.concat();
        found.sort_unstable();
        Ok(found)
    }

    async fn close(&self) {
        join_all(self.clusters.iter().map(|cluster| cluster.close())).await;
    }
}
