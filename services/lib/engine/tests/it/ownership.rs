//! What happens when owners change and the journal does not answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, EngineOptions, Failure, Limits, Outcome};
use inventory::{Answer, Refusal};

use crate::kit::{
    Backend, Fault, FaultyJournal, WAIT, damage, free_seats, hold, neighbours, on_every_backend, open_sale, run, slots,
    start, start_with, submit, wait_until,
};

on_every_backend! {
    a_frozen_owner_adds_nothing_and_answers_nobody,
    a_slot_moves_without_losing_anything,
    without_a_journal_requests_are_shed_in_time_and_memory_is_bounded,
    a_damaged_train_is_quarantined_and_the_others_go_on,
    one_heartbeat_proves_the_slots_of_all_lanes,
}

async fn a_frozen_owner_adds_nothing_and_answers_nobody(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let (frozen, fault) = FaultyJournal::over(journal.clone());
    let mut old = start(frozen, "old", &[train]).await;
    open_sale(&old.handle(), train, 1, 600_000).await;

    // The old owner decides to sell the last seat to 1, and stands still before it is written down.
    fault.send(Fault::Frozen).unwrap();
    let late = tokio::spawn({
        let handle = old.handle();
        async move { handle.submit(train, None, hold(1), WAIT).await }
    });
    let appends = old.handle().metrics().counts().appends;
    wait_until(|| old.handle().metrics().counts().appends > appends).await;

    // The new owner sells it to 2.
    let new = start(journal.clone(), "new", &[train]).await;
    let sold = submit(&new.handle(), train, hold(2)).await.unwrap();
    assert!(matches!(sold.outcome, Outcome::Accepted(Answer::Held(_))));
    let versions = journal.read_feed(train.slot(), 0, 100).await.unwrap().len();

    // The old one goes on: its append is refused, and its client learns nothing.
    fault.send(Fault::None).unwrap();
    let answer = late.await.unwrap();
    assert!(matches!(answer, Err(EngineError::NotAnswered(Failure::Unavailable { .. }))), "{answer:?}");
    assert_eq!(journal.read_feed(train.slot(), 0, 100).await.unwrap().len(), versions, "nothing was added");
    let refused = submit(&new.handle(), train, hold(3)).await.unwrap();
    assert!(matches!(refused.outcome, Outcome::Refused(Refusal::SoldOut { .. })));
    old.stop().await;
    new.shutdown(WAIT).await;
}

async fn a_slot_moves_without_losing_anything(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let first = start(journal.clone(), "first", &[train]).await;
    open_sale(&first.handle(), train, 5, 600_000).await;
    submit(&first.handle(), train, hold(1)).await.unwrap().answer().unwrap();
    tokio::time::timeout(WAIT, first.handle().drain()).await.unwrap();
    let turned_away = submit(&first.handle(), train, hold(2)).await;
    assert_eq!(turned_away, Err(EngineError::NotAnswered(Failure::NotOwner)));

    let second = Engine::start(journal, EngineOptions::named("second"));
    second.handle().own(slots(&[train])).await;
    // Asked before the claim is answered: it waits instead of failing.
    submit(&second.handle(), train, hold(2)).await.unwrap().answer().unwrap();
    assert_eq!(free_seats(&second.handle(), train).await, 3);
    first.shutdown(WAIT).await;
    second.shutdown(WAIT).await;
}

async fn without_a_journal_requests_are_shed_in_time_and_memory_is_bounded(backend: &Backend) {
    let train = run("G71");
    let (journal, fault) = FaultyJournal::over(backend.new_journal().await);
    let limits = Limits { queue_requests_max: 50, batch_records_max: 20, batch_replies_max: 50, ..Limits::default() };
    let options =
        EngineOptions { limits, journal_timeout: Duration::from_millis(1_500), ..EngineOptions::named("shard") };
    let engine = start_with(journal, options, &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 1_000, 600_000).await;
    let seats = free_seats(&handle, train).await;

    fault.send(Fault::Frozen).unwrap();
    let started = Instant::now();
    let asked = (1..=400).map(|number| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.submit(train, None, hold(number), Duration::from_millis(400)).await })
    });
    let mut shed = 0;
    for asked in asked.collect::<Vec<_>>() {
        match asked.await.unwrap() {
            Err(EngineError::NotAnswered(Failure::Unavailable { retry_after_ms })) => assert!(retry_after_ms > 0),
            Err(EngineError::NotAnswered(Failure::Overloaded { retry_after_ms })) => {
                assert!(retry_after_ms > 0);
                shed += 1;
            }
            Err(EngineError::NotAnswered(Failure::DeadlineExceeded)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(
        started.elapsed() < Duration::from_millis(1_400),
        "answered by the deadline, not by the journal's time-out"
    );
    assert!(shed >= 400 - (2 * 20 + 50 + 50), "{shed} were shed at once");
    assert!(handle.occupancy().requests_queued <= 50);

    // Refused at once while the journal is known to be silent, and again in service by itself.
    fault.send(Fault::Down).unwrap();
    wait_until(|| handle.metrics().counts().claims_unknown > 0).await;
    let refused = submit(&handle, train, hold(9_000)).await;
    assert!(matches!(refused, Err(EngineError::NotAnswered(Failure::Unavailable { .. }))), "{refused:?}");
    fault.send(Fault::None).unwrap();
    let back = async {
        loop {
            if let Ok(decision) = submit(&handle, train, hold(9_001)).await {
                return decision;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let decision = tokio::time::timeout(WAIT, back).await.unwrap();
    assert!(matches!(decision.outcome, Outcome::Accepted(_)));
    // What was decided before the journal fell silent was dropped, or became durable after all; nothing else was.
    assert!((seats - 41..seats).contains(&free_seats(&handle, train).await));
    engine.shutdown(WAIT).await;
}

async fn a_damaged_train_is_quarantined_and_the_others_go_on(backend: &Backend) {
    let (damaged, whole) = neighbours();
    let journal = backend.new_journal().await;
    damage(&journal, damaged).await;

    let engine = start(journal, "shard", &[damaged, whole]).await;
    let handle = engine.handle();
    open_sale(&handle, whole, 2, 600_000).await;
    let answer = submit(&handle, damaged, hold(1)).await;
    assert_eq!(answer, Err(EngineError::NotAnswered(Failure::Quarantined)));
    submit(&handle, whole, hold(1)).await.unwrap().answer().unwrap();
    assert_eq!(handle.metrics().counts().quarantined_runs, 1);

    // Looked at once more with nothing repaired, it is stopped once more: those who show it are told, though its slot has
    // the owner that it had.
    let cursor = handle.changes().since(0).cursor;
    handle.reload(damaged).await;
    let told = || handle.changes().since(cursor).runs.iter().any(|change| change.run == damaged);
    wait_until(told).await;
    assert_eq!(handle.metrics().counts().quarantined_runs, 2);
    engine.shutdown(WAIT).await;
}

async fn one_heartbeat_proves_the_slots_of_all_lanes(backend: &Backend) {
    const LANES: usize = 4;
    let trains: Vec<_> = (1..=16).map(|number| run(&format!("G{number}"))).collect();
    let lanes: BTreeSet<usize> = trains.iter().map(|train| usize::from(train.slot().number()) % LANES).collect();
    assert_eq!(lanes.len(), LANES, "every lane has a train");
    let options = EngineOptions { lanes: LANES, ..EngineOptions::named("shard") };
    let engine = start_with(backend.new_journal().await, options, &trains).await;
    let handle = engine.handle();
    // What is known of a lane's slots at first is what it said itself: let each have asked once.
    wait_until(|| handle.metrics().counts().heartbeats >= 8).await;
    let (before, since) = (handle.metrics().counts().heartbeats, Instant::now());
    wait_until(|| handle.metrics().counts().heartbeats >= before + 8).await;
    // Eight rounds of 250 ms, less the first; four lanes that ask for themselves would need two rounds.
    assert!(since.elapsed() > Duration::from_millis(1_200), "{:?}", since.elapsed());
    for train in &trains {
        // A read rests on a proof no older than a second; the claim's own is older by now.
        handle.read(*train, WAIT, |train| train.waiting()).await.unwrap();
    }
    engine.shutdown(WAIT).await;
}
