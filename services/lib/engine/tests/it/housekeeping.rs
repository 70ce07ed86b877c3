//! Checkpoints and purging while trains are sold.

use std::sync::Arc;
use std::time::Duration;

use domain::Run;
use engine::{Engine, EngineHandle, EngineOptions, HousekeepingOptions, Outcome};
use journal::Journal;

use crate::kit::{
    Backend, WAIT, free_seats, hold, neighbours, on_every_backend, open_sale, start_with, submit, wait_until,
};

on_every_backend! {
    what_lies_behind_a_checkpoint_is_purged_and_nothing_is_forgotten,
    what_is_younger_than_the_retention_stays,
    a_run_that_cannot_be_rebuilt_keeps_the_checkpoint_back,
}

fn options(name: &str, checkpoint_batches: u64, retention: Duration) -> EngineOptions {
    let interval = Duration::from_millis(20);
    let housekeeping = HousekeepingOptions { interval, checkpoint_batches, retention };
    EngineOptions { housekeeping, ..EngineOptions::named(name) }
}

/// Sells some seats of two runs of one slot, each hold a batch of its own.
async fn sell(engine: &EngineHandle, runs: [Run; 2], holds: std::ops::Range<u128>) {
    for number in holds {
        for run in runs {
            submit(engine, run, hold(number)).await.unwrap().answer().unwrap();
        }
    }
}

async fn first_readable(journal: &Arc<dyn Journal>, run: Run) -> u64 {
    match journal.read_feed(run.slot(), 0, 1).await {
        Ok(batches) => batches.first().map_or(0, |batch| batch.version),
        Err(journal::JournalError::Purged { purged_up_to, .. }) => purged_up_to + 1,
        Err(error) => panic!("{error}"),
    }
}

async fn what_lies_behind_a_checkpoint_is_purged_and_nothing_is_forgotten(backend: &Backend) {
    let (one, other) = neighbours();
    let journal = backend.new_journal().await;
    let engine = start_with(journal.clone(), options("first", 10, Duration::ZERO), &[one, other]).await;
    let handle = engine.handle();
    open_sale(&handle, one, 50, 600_000).await;
    open_sale(&handle, other, 50, 600_000).await;
    sell(&handle, [one, other], 1..11).await;
    wait_until(|| handle.metrics().counts().batches_purged >= 10).await;
    let counts = handle.metrics().counts();
    assert!(counts.checkpoints > 0 && counts.checkpoint_snapshots >= 2, "{counts:?}");
    assert!(first_readable(&journal, one).await > 10);
    let checkpoint = journal.latest_checkpoint(one.slot()).await.unwrap().unwrap();
    assert_eq!(checkpoint.snapshots.len(), 2, "both runs of the slot stand in it");
    // Sold on while housekeeping goes on; then a crash.
    sell(&handle, [one, other], 11..21).await;
    let mut engine = engine;
    engine.stop().await;

    let second: Engine = start_with(journal, options("second", 1_000_000, Duration::ZERO), &[one, other]).await;
    let handle = second.handle();
    for run in [one, other] {
        assert_eq!(free_seats(&handle, run).await, 30, "{run}");
        let repeated = submit(&handle, run, hold(3)).await.unwrap();
        assert!(matches!(repeated.outcome, Outcome::Repeated(_)), "an id outlives its batch: {repeated:?}");
    }
    second.shutdown(WAIT).await;
}

async fn what_is_younger_than_the_retention_stays(backend: &Backend) {
    let (one, other) = neighbours();
    let journal = backend.new_journal().await;
    let engine = start_with(journal.clone(), options("shard", 10, Duration::from_secs(3_600)), &[one, other]).await;
    let handle = engine.handle();
    open_sale(&handle, one, 50, 600_000).await;
    open_sale(&handle, other, 50, 600_000).await;
    sell(&handle, [one, other], 1..11).await;
    wait_until(|| handle.metrics().counts().checkpoints > 0).await;
    sell(&handle, [one, other], 11..21).await;
    wait_until(|| handle.metrics().counts().checkpoints > 1).await;
    assert_eq!(handle.metrics().counts().batches_purged, 0);
    assert_eq!(first_readable(&journal, one).await, 1);
    engine.shutdown(WAIT).await;
}

async fn a_run_that_cannot_be_rebuilt_keeps_the_checkpoint_back(backend: &Backend) {
    let (damaged, whole) = neighbours();
    let journal = backend.new_journal().await;
    crate::kit::damage(&journal, damaged).await;
    let engine = start_with(journal.clone(), options("shard", 10, Duration::ZERO), &[damaged, whole]).await;
    let handle = engine.handle();
    open_sale(&handle, whole, 50, 600_000).await;
    for number in 1..21 {
        submit(&handle, whole, hold(number)).await.unwrap().answer().unwrap();
    }
    wait_until(|| handle.metrics().counts().checkpoint_snapshots > 0).await;
    // Whatever the first snapshot has, there is more now, and so a second one, and a second look at the checkpoint.
    for number in 21..31 {
        submit(&handle, whole, hold(number)).await.unwrap().answer().unwrap();
    }
    wait_until(|| handle.metrics().counts().checkpoint_snapshots > 1).await;
    assert_eq!(handle.metrics().counts().checkpoints, 0);
    assert_eq!(first_readable(&journal, damaged).await, 1, "what a repair needs is there");
    engine.shutdown(WAIT).await;
}
