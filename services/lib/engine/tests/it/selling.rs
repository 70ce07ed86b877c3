//! What a buyer notices: seats stay sold, ids stay answered, holds lapse.

use std::time::Duration;

use engine::{EngineHandle, EngineOptions, Limits, Outcome, ReplyQueue, Submission, Version};
use inventory::{Answer, Command, HoldStage, Refusal};

use crate::kit::{
    Backend, WAIT, free_seats, hold, hold_id, on_every_backend, open_sale, run, start, start_with, submit, wait_until,
};

on_every_backend! {
    holds_and_request_ids_survive_a_restart,
    a_hold_that_nobody_opens_lapses_by_a_recorded_event,
    timers_go_on_after_a_restart_though_nobody_asks_for_the_run,
    more_runs_than_fit_in_memory_come_and_go,
    a_new_owner_knows_how_many_records_came_after_the_snapshot,
    many_holds_are_answered_with_their_numbers,
}

async fn holds_and_request_ids_survive_a_restart(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let mut engine = start(journal.clone(), "first", &[train]).await;
    open_sale(&engine.handle(), train, 2, 600_000).await;
    let first = submit(&engine.handle(), train, hold(1)).await.unwrap();
    let Outcome::Accepted(answer) = first.outcome.clone() else { panic!("{first:?}") };
    assert_eq!(free_seats(&engine.handle(), train).await, 1);
    submit(&engine.handle(), train, Command::OpenHold { hold: hold_id(1) }).await.unwrap().answer().unwrap();
    // As a crash would: no drain, no snapshot.
    engine.stop().await;
    journal.close().await;

    let engine = start(backend.open().await, "second", &[train]).await;
    let handle = engine.handle();
    assert_eq!(free_seats(&handle, train).await, 1);
    let again = submit(&handle, train, hold(1)).await.unwrap();
    let Answer::Held(held) = &answer else { panic!("{answer:?}") };
    assert_eq!(held.version, first.version.0, "the version that holds it");
    assert_eq!(again.outcome, Outcome::Repeated(answer), "the same id, the same answer, its version too");
    assert!(again.epoch > first.epoch && again.version > first.version);
    let Command::Hold(mut other) = hold(1) else { unreachable!() };
    other.interval = domain::Interval::new(0, 2).unwrap();
    let other = submit(&handle, train, Command::Hold(other)).await.unwrap();
    assert!(matches!(other.outcome, Outcome::Refused(_)), "the same id with another payload: {other:?}");

    assert!(matches!(submit(&handle, train, hold(2)).await.unwrap().outcome, Outcome::Accepted(_)));
    let refused = submit(&handle, train, hold(3)).await.unwrap();
    assert!(matches!(refused.outcome, Outcome::Refused(Refusal::SoldOut { free: 0, .. })), "{refused:?}");
    engine.shutdown(WAIT).await;
}

async fn a_hold_that_nobody_opens_lapses_by_a_recorded_event(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let engine = start(journal.clone(), "shard", &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 1, 200).await;
    submit(&handle, train, hold(1)).await.unwrap().answer().unwrap();
    // Nobody asks for anything: the timer alone must do it.
    wait_for_version(&handle, 3).await;
    let stage = handle.read(train, WAIT, |train| train.hold(hold_id(1)).map(|hold| hold.stage)).await.unwrap();
    assert_eq!(stage.value, Some(HoldStage::Expired));
    assert_eq!(free_seats(&handle, train).await, 1);
    let feed = journal.read_feed(train.slot(), 0, 100).await.unwrap();
    assert_eq!(feed.len(), 3, "opened, held, lapsed");
    engine.shutdown(WAIT).await;
}

async fn timers_go_on_after_a_restart_though_nobody_asks_for_the_run(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let mut engine = start(journal.clone(), "first", &[train]).await;
    open_sale(&engine.handle(), train, 1, 300).await;
    submit(&engine.handle(), train, hold(1)).await.unwrap().answer().unwrap();
    engine.stop().await;

    let engine = start(journal.clone(), "second", &[train]).await;
    wait_for_version(&engine.handle(), 3).await;
    assert_eq!(journal.read_feed(train.slot(), 0, 100).await.unwrap().len(), 3, "opened, held, lapsed");
    engine.shutdown(WAIT).await;
}

/// Waits until those who watch are told that a run has changed at a version.
async fn wait_for_version(engine: &EngineHandle, version: u64) {
    let told = async {
        let mut cursor = 0;
        loop {
            engine.changes().changed_since(cursor).await;
            let changes = engine.changes().since(cursor);
            if changes.runs.iter().any(|change| change.version >= Version(version)) {
                return;
            }
            cursor = changes.cursor;
        }
    };
    tokio::time::timeout(WAIT, told).await.unwrap();
}

async fn more_runs_than_fit_in_memory_come_and_go(backend: &Backend) {
    let trains: Vec<_> = (1..=40).map(|number| run(&format!("G{number}"))).collect();
    let limits = Limits {
        cache_runs_max: 4,
        snapshot_evict_records: 1,
        check_every_records: 1,
        upkeep_things_per_record: 100,
        ..Limits::default()
    };
    let options = EngineOptions { limits, ..EngineOptions::named("small") };
    let engine = start_with(backend.new_journal().await, options, &trains).await;
    let handle = engine.handle();
    for train in &trains {
        open_sale(&handle, *train, 3, 600_000).await;
    }
    for number in [1, 2] {
        for train in &trains {
            submit(&handle, *train, hold(number)).await.unwrap().answer().unwrap();
        }
    }
    for train in &trains {
        assert_eq!(free_seats(&handle, *train).await, 1, "{train}");
    }
    assert!(handle.metrics().counts().snapshots_stored > 0);
    // Two lanes of four runs each; what is in use at the moment may come on top.
    wait_until(|| handle.occupancy().runs_cached <= 8).await;
    engine.shutdown(WAIT).await;
}

async fn a_new_owner_knows_how_many_records_came_after_the_snapshot(backend: &Backend) {
    let (train, journal) = (run("G71"), backend.new_journal().await);
    let options = |name| {
        let limits = Limits { snapshot_records: 10, ..Limits::default() };
        EngineOptions { limits, ..EngineOptions::named(name) }
    };
    let first = start_with(journal.clone(), options("first"), &[train]).await;
    open_sale(&first.handle(), train, 20, 600_000).await;
    let replies = ReplyQueue::new();
    let submission = |number: u64| Submission {
        correlation: number,
        run: train,
        command: hold(number.into()),
        trace: None,
        timeout: WAIT,
    };
    // One message, and so one batch: nine records are still no snapshot.
    first.handle().submit_all((1..=8).map(submission), &replies);
    let mut answered = 0;
    while answered < 8 {
        answered += tokio::time::timeout(WAIT, replies.next()).await.unwrap().len();
    }
    assert_eq!(first.handle().metrics().counts().snapshots_stored, 0);
    first.shutdown(WAIT).await;

    let second = start_with(journal, options("second"), &[train]).await;
    submit(&second.handle(), train, hold(9)).await.unwrap().answer().unwrap();
    wait_until(|| second.handle().metrics().counts().snapshots_stored == 1).await;
    second.shutdown(WAIT).await;
}

async fn many_holds_are_answered_with_their_numbers(backend: &Backend) {
    let train = run("G71");
    let engine = start(backend.new_journal().await, "shard", &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 10, 600_000).await;
    let replies = ReplyQueue::new();
    let stranger = (1..).map(|number| run(&format!("K{number}"))).find(|other| other.slot() != train.slot()).unwrap();
    let submission = |number: u64, run| Submission {
        correlation: number,
        run,
        command: hold(u128::from(number)),
        trace: None,
        timeout: WAIT,
    };
    handle.submit_all((1..=12).map(|number| submission(number, train)).chain([submission(13, stranger)]), &replies);
    let (mut held, mut refused, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    while held.len() + refused.len() + elsewhere.len() < 13 {
        for answered in tokio::time::timeout(WAIT, replies.next()).await.unwrap() {
            match answered.result.map(|decision| decision.outcome) {
                Ok(Outcome::Accepted(Answer::Held(_))) => held.push(answered.correlation),
                Ok(Outcome::Refused(Refusal::SoldOut { .. })) => refused.push(answered.correlation),
                Err(engine::EngineError::NotAnswered(engine::Failure::NotOwner)) => {
                    elsewhere.push(answered.correlation);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((held, refused, elsewhere), ((1..=10).collect(), vec![11, 12], vec![13]));
    engine.shutdown(Duration::from_secs(5)).await;
}
