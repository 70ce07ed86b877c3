//! Random calls of several owners against the journal and against a map in memory: they always agree.

use std::collections::BTreeMap;

use domain::SlotId;
use journal::{AppendOutcome, BatchId, Head, Journal, RunBatch, SlotAppend};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::backend::{Backend, new_id, on_every_backend, runs_of, slot};

on_every_backend! { random_owners_agree_with_a_map }

const SLOTS: [u16; 4] = [0, 1, 64, 1023];
const OWNERS: usize = 3;
const CASES: usize = 24;

#[derive(Clone, Debug)]
enum Call {
    /// An owner claims some slots and believes what it is told.
    Claim { owner: usize, slots: Vec<usize> },
    /// An owner appends to some slots at the heads that it believes in; it may not hear the answer.
    Append { owner: usize, slots: Vec<usize>, heard: bool },
    /// An owner reads the heads, as one that lost its answer might, without claiming.
    Peek { owner: usize },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let slots = || proptest::sample::subsequence((0..SLOTS.len()).collect::<Vec<_>>(), 1..=SLOTS.len()).prop_shuffle();
    let call = prop_oneof![
        2 => (0..OWNERS, slots()).prop_map(|(owner, slots)| Call::Claim { owner, slots }),
        6 => (0..OWNERS, slots(), any::<bool>()).prop_map(|(owner, slots, heard)| Call::Append { owner, slots, heard }),
        1 => (0..OWNERS).prop_map(|owner| Call::Peek { owner }),
    ];
    proptest::collection::vec(call, 1..40)
}

/// What the journal is meant to be: a list of batches and an epoch per slot.
#[derive(Clone, Debug, Default)]
struct ModelSlot {
    batches: Vec<(BatchId, u64, String)>,
    epoch: u64,
}

impl ModelSlot {
    fn tail(&self) -> BatchId {
        self.batches.last().map_or(BatchId::NONE, |batch| batch.0)
    }

    fn accepts(&self, expected: &Head) -> bool {
        let version = self.batches.len() as u64;
        (expected.version, expected.tail, expected.epoch) == (version, self.tail(), self.epoch)
    }
}

/// Prints the calls that made a test fail.
struct ShownOnFailure<'a>(&'a [Call]);

impl Drop for ShownOnFailure<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.0);
        }
    }
}

async fn random_owners_agree_with_a_map(backend: &Backend) {
    let journal = backend.journal().await;
    let mut runner = TestRunner::default();
    // Cases go on from each other on one journal: the model starts from where the last case left it.
    let mut model: BTreeMap<usize, ModelSlot> = (0..SLOTS.len()).map(|place| (place, ModelSlot::default())).collect();
    for _ in 0..CASES {
        let calls = calls().new_tree(&mut runner).unwrap().current();
        let _shown = ShownOnFailure(&calls);
        let mut believed = vec![[Head::default(); SLOTS.len()]; OWNERS];
        for (number, call) in calls.iter().enumerate() {
            perform(&*journal, &mut model, &mut believed, call, number).await;
        }
        for (place, expected) in &model {
            compare(&*journal, slot(SLOTS[*place]), expected).await;
        }
    }
    journal.close().await;
}

async fn perform(
    journal: &dyn Journal,
    model: &mut BTreeMap<usize, ModelSlot>,
    believed: &mut [[Head; SLOTS.len()]],
    call: &Call,
    number: usize,
) {
    match call {
        Call::Claim { owner, slots } => {
            let ids: Vec<_> = slots.iter().map(|place| slot(SLOTS[*place])).collect();
            let claimed = journal.claim(&ids, &format!("owner {owner}"), number as u128).await.unwrap();
            for (place, claimed) in slots.iter().zip(claimed) {
                let expected = model.get_mut(place).unwrap();
                expected.epoch += 1;
                assert_eq!((claimed.head.epoch, claimed.head.tail), (expected.epoch, expected.tail()));
                believed[*owner][*place] = claimed.head;
            }
        }
        Call::Append { owner, slots, heard } => {
            let appends: Vec<_> = slots
                .iter()
                .map(|place| SlotAppend {
                    slot: slot(SLOTS[*place]),
                    expected: believed[*owner][*place],
                    batch_id: new_id(),
                    payload: format!("{number} by {owner}").into(),
                    runs: runs_of(slot(SLOTS[*place]), 1),
                })
                .collect();
            let outcomes = journal.append(appends.clone()).await;
            for ((place, append), outcome) in slots.iter().zip(appends).zip(outcomes) {
                let expected = model.get_mut(place).unwrap();
                let accepts = expected.accepts(&append.expected);
                if accepts {
                    expected.batches.push((append.batch_id, expected.epoch, format!("{number} by {owner}")));
                }
                match outcome {
                    AppendOutcome::Committed { version, .. } if accepts => {
                        assert_eq!(version, expected.batches.len() as u64);
                        if *heard {
                            believed[*owner][*place] =
                                append.expected.advanced(append.slot, append.batch_id, &append.payload);
                        }
                    }
                    AppendOutcome::Fenced { head } if !accepts => {
                        assert_eq!((head.tail, head.epoch), (expected.tail(), expected.epoch));
                    }
                    other => panic!("the model says {accepts}, the journal {other:?}"),
                }
            }
        }
        Call::Peek { owner } => {
            let heads = journal.heads(&SLOTS.map(slot)).await.unwrap();
            believed[*owner].copy_from_slice(&heads);
        }
    }
}

async fn compare(journal: &dyn Journal, slot: SlotId, expected: &ModelSlot) {
    let feed = journal.read_feed(slot, 0, u32::MAX).await.unwrap();
    let stored: Vec<_> = feed
        .iter()
        .map(|batch| (batch.batch_id, batch.epoch, String::from_utf8(batch.payload.to_vec()).unwrap()))
        .collect();
    assert_eq!(stored, expected.batches, "slot {slot}");
    let loaded = journal.load_run(&runs_of(slot, 1)[0]).await.unwrap();
    let fed = feed.into_iter().map(|batch| RunBatch { version: batch.version, payload: batch.payload });
    assert_eq!(loaded.batches, fed.collect::<Vec<_>>(), "every batch concerns the first run");
}
