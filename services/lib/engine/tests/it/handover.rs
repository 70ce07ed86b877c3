//! Slots change hands: in order, after a crash, and with runs that were loaded before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, EngineOptions, Failure, HandoverKind, Outcome};

use crate::kit::{
    Backend, WAIT, free_seats, hold, on_every_backend, open_sale, run, slots, start, start_with, submit, wait_until,
};

on_every_backend! {
    what_is_asked_of_the_new_owner_waits_until_the_old_one_has_given_up,
    a_slot_of_an_owner_that_is_gone_is_taken_at_once,
    a_slot_is_taken_from_an_owner_that_had_its_time,
    runs_loaded_before_the_move_are_brought_up_to_date,
    an_owner_under_an_old_ring_sends_callers_on_and_can_take_the_slot_back,
}

/// Long enough that a test fails if it rests on it.
const NEVER_MS: u64 = 600_000;

/// An engine that never takes a slot from an owner that may be alive.
fn patient(name: &str) -> EngineOptions {
    let mut options = EngineOptions::named(name);
    options.limits.takeover_wait_ms = NEVER_MS;
    options
}

async fn what_is_asked_of_the_new_owner_waits_until_the_old_one_has_given_up(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let old = start(journal.clone(), "old", &[train]).await;
    open_sale(&old.handle(), train, 3, NEVER_MS as u32).await;
    submit(&old.handle(), train, hold(1)).await.unwrap();

    let new = Engine::start(journal, patient("new"));
    new.handle().own(slots(&[train])).await;
    let early = tokio::spawn({
        let handle = new.handle();
        async move { submit(&handle, train, hold(2)).await }
    });
    wait_until(|| new.handle().occupancy().requests_queued == 1).await;
    // The old owner sells on until it is told.
    submit(&old.handle(), train, hold(3)).await.unwrap().answer().unwrap();
    old.handle().drain().await;
    assert!(matches!(early.await.unwrap().unwrap().outcome, Outcome::Accepted(_)));
    assert_eq!(free_seats(&new.handle(), train).await, 0);
    let refused = submit(&old.handle(), train, hold(4)).await;
    assert_eq!(refused, Err(EngineError::NotAnswered(Failure::NotOwner)));

    let counts = new.handle().metrics().counts();
    assert_eq!((counts.slots_claimed, counts.slots_taken_over, counts.batches_fenced), (1, 0, 0));
    assert_eq!(old.handle().metrics().counts().batches_fenced, 0, "nobody was cut off");
    let kinds = |engine: &Engine| engine.handle().handovers(WAIT).iter().map(|it| it.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&new), [HandoverKind::Taken]);
    assert_eq!(kinds(&old), [HandoverKind::Taken, HandoverKind::Given]);
    old.shutdown(WAIT).await;
    new.shutdown(WAIT).await;
}

async fn a_slot_of_an_owner_that_is_gone_is_taken_at_once(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let mut old = start(journal.clone(), "old", &[train]).await;
    open_sale(&old.handle(), train, 2, NEVER_MS as u32).await;
    submit(&old.handle(), train, hold(1)).await.unwrap();
    old.stop().await;

    let new = Engine::start(journal, patient("new"));
    let alive = |names: &[&str]| Some(Arc::new(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()));
    new.handle().own_among(slots(&[train]), alive(&["old", "new"])).await;
    let waiting = tokio::time::timeout(Duration::from_millis(200), new.handle().owned()).await;
    assert!(waiting.is_err(), "one that may be alive gets its time");
    new.handle().own_among(slots(&[train]), alive(&["new"])).await;
    tokio::time::timeout(WAIT, new.handle().owned()).await.unwrap();
    assert_eq!(free_seats(&new.handle(), train).await, 1);
    assert_eq!(new.handle().metrics().counts().slots_taken_over, 1);
    new.shutdown(WAIT).await;
}

async fn a_slot_is_taken_from_an_owner_that_had_its_time(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let mut old = start(journal.clone(), "old", &[train]).await;
    old.stop().await;
    let mut options = EngineOptions::named("new");
    options.limits.takeover_wait_ms = 300;
    let began = Instant::now();
    let new = start_with(journal, options, &[train]).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "it was given its time");
    new.shutdown(WAIT).await;
}

async fn runs_loaded_before_the_move_are_brought_up_to_date(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let old = start(journal.clone(), "old", &[train]).await;
    open_sale(&old.handle(), train, 3, NEVER_MS as u32).await;
    submit(&old.handle(), train, hold(1)).await.unwrap();

    let new = Engine::start(journal.clone(), patient("new"));
    let warmed = new.handle().warm(&slots(&[train])).await.unwrap();
    assert_eq!((warmed.slots, warmed.runs), (1, 1));
    submit(&old.handle(), train, hold(2)).await.unwrap();
    old.shutdown(WAIT).await;
    new.handle().own(slots(&[train])).await;
    assert_eq!(free_seats(&new.handle(), train).await, 1);
    // The same request, answered as the old owner did.
    assert!(matches!(submit(&new.handle(), train, hold(2)).await.unwrap().outcome, Outcome::Repeated(_)));
    let counts = new.handle().metrics().counts();
    assert_eq!((counts.runs_warm, counts.runs_loaded), (1, 0), "nothing was loaded after the move");
    new.shutdown(WAIT).await;
}

async fn an_owner_under_an_old_ring_sends_callers_on_and_can_take_the_slot_back(backend: &Backend) {
    let train = run("G71");
    let journal = backend.new_journal().await;
    let one = start_with(journal.clone(), patient("one"), &[train]).await;
    let other = Engine::start(journal, patient("other"));
    open_sale(&one.handle(), train, 20, NEVER_MS as u32).await;
    // Back and forth, in order: each time the new owner goes on where the old one ended.
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        from.handle().own(BTreeSet::new()).await;
        to.handle().own(slots(&[train])).await;
        submit(&to.handle(), train, hold(round)).await.unwrap().answer().unwrap();
        assert_eq!(free_seats(&to.handle(), train).await, 19 - round as u16);
    }
    one.shutdown(WAIT).await;
    other.shutdown(WAIT).await;
}
