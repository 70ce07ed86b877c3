use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::SlotId;
use journal::{AppendOutcome, BatchId, ClusterConfig, FeedBatch, Journal, SlotAppend};

use crate::{Consumer, Feed, FeedError, FeedOptions, Progress};

/// Keeps versions and cursors together, as one transaction would, and fails when it is told to.
#[derive(Default)]
struct Notebook {
    seen: BTreeMap<SlotId, Vec<u64>>,
    fails_at: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the notebook is full")]
struct Full;

#[async_trait]
impl Consumer for Notebook {
    type Error = Full;

    async fn cursors(&mut self) -> Result<BTreeMap<SlotId, u64>, Full> {
        Ok(self.seen.iter().filter_map(|(slot, seen)| Some((*slot, *seen.last()?))).collect())
    }

    async fn take_in(&mut self, slot: SlotId, batches: &[FeedBatch]) -> Result<(), Full> {
        if batches.iter().any(|batch| Some(batch.version) == self.fails_at) {
            return Err(Full);
        }
        self.seen.entry(slot).or_default().extend(batches.iter().map(|batch| batch.version));
        Ok(())
    }
}

/// A journal with so many batches in each of these slots.
async fn journal(directory: &std::path::Path, batches: &[(u16, u64)]) -> Arc<dyn Journal> {
    let clusters = [ClusterConfig::whole(storage::DatabaseUrl::sqlite(directory.join("journal.db")))];
    journal::create(&clusters).await.unwrap();
    let journal = journal::open(&clusters).await.unwrap();
    for &(number, count) in batches {
        let slot = SlotId::new(number).unwrap();
        let mut head = journal.claim(&[slot], "writer", 1).await.unwrap()[0].head;
        for batch in 1..=count {
            let batch_id = BatchId::from_u128(u128::from(number) << 64 | u128::from(batch));
            let payload: bytes::Bytes = vec![8, 1].into();
            let append = SlotAppend { slot, expected: head, batch_id, payload: payload.clone(), runs: Vec::new() };
            assert!(matches!(journal.append(vec![append]).await[..], [AppendOutcome::Committed { .. }]));
            head = head.advanced(slot, batch_id, &payload);
        }
    }
    journal
}

#[tokio::test]
async fn every_batch_comes_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), &[(3, 7), (5, 2)]).await;
    let slots = [3, 4, 5].map(|number| SlotId::new(number).unwrap());
    let feed = Feed::new(journal, slots, FeedOptions { batches_max: 3, ..FeedOptions::default() });
    let mut notebook = Notebook::default();
    assert_eq!(feed.catch_up(&mut notebook).await.unwrap(), Progress { batches: 9, behind: 0 });
    assert_eq!(notebook.seen, BTreeMap::from([(slots[0], (1..=7).collect()), (slots[2], vec![1, 2])]));
    assert_eq!(feed.catch_up(&mut notebook).await.unwrap(), Progress::default(), "nothing comes twice");
}

#[tokio::test]
async fn what_failed_comes_again_and_the_lag_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let slot = SlotId::new(3).unwrap();
    let journal = journal(directory.path(), &[(3, 9)]).await;
    let feed = Feed::new(journal.clone(), [slot], FeedOptions { batches_max: 2, ..FeedOptions::default() });
    let mut notebook = Notebook { fails_at: Some(5), ..Notebook::default() };
    assert!(matches!(feed.catch_up(&mut notebook).await, Err(FeedError::Consumer(Full))));
    assert_eq!(notebook.seen[&slot], [1, 2, 3, 4]);
    notebook.fails_at = None;
    let one_round = Feed::new(journal, [slot], FeedOptions { batches_max: 2, rounds_max: 1 });
    assert_eq!(one_round.catch_up(&mut notebook).await.unwrap(), Progress { batches: 2, behind: 3 });
    feed.catch_up(&mut notebook).await.unwrap();
    assert_eq!(notebook.seen[&slot], (1..=9).collect::<Vec<_>>());
}
