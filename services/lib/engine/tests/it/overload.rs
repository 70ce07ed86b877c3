//! What goes first when not everything can go, and what is not done at all.

use std::time::Duration;

use domain::Run;
use engine::{Decision, Engine, EngineError, EngineHandle, EngineOptions, Failure, Limits, Outcome};
use inventory::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::kit::{
    Backend, Fault, FaultyJournal, WAIT, free_seats, hold, hold_id, on_every_backend, open_sale, run, start_with,
    submit, wait_until,
};

on_every_backend! {
    who_has_paid_goes_before_who_wants_to_buy,
    what_nobody_waits_for_any_more_is_not_done,
}

/// Requests that may wait.
const QUEUE: usize = 6;

/// An engine whose journal stands still, with one hold under way to it, two in the next batch, which is full, and none in
/// the queue. Hold 1 was opened before.
async fn stalled(backend: &Backend, train: Run) -> (Engine, watch::Sender<Fault>) {
    let (journal, fault) = FaultyJournal::over(backend.new_journal().await);
    let limits = Limits { queue_requests_max: QUEUE, batch_records_max: 2, ..Limits::default() };
    let engine =
        start_with(journal, EngineOptions { limits, lanes: 1, ..EngineOptions::named("shard") }, &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 100, 600_000).await;
    submit(&handle, train, hold(1)).await.unwrap().answer().unwrap();
    submit(&handle, train, Command::OpenHold { hold: hold_id(1) }).await.unwrap().answer().unwrap();
    fault.send(Fault::Frozen).unwrap();
    let appends = handle.metrics().counts().appends;
    ask(&handle, train, hold(10), WAIT);
    wait_until(|| handle.metrics().counts().appends > appends).await;
    for number in 11..13 {
        ask(&handle, train, hold(number), WAIT);
    }
    (engine, fault)
}

type Asked = JoinHandle<Result<Decision, EngineError>>;

fn ask(handle: &EngineHandle, train: Run, command: Command, timeout: Duration) -> Asked {
    let handle = handle.clone();
    tokio::spawn(async move { handle.submit(train, None, command, timeout).await })
}

async fn who_has_paid_goes_before_who_wants_to_buy(backend: &Backend) {
    let train = run("G71");
    let (engine, fault) = stalled(backend, train).await;
    let handle = engine.handle();
    let waiting: Vec<Asked> = (0..QUEUE as u128).map(|number| ask(&handle, train, hold(20 + number), WAIT)).collect();
    wait_until(|| handle.occupancy().requests_queued == QUEUE).await;

    let overloaded = |failure: &EngineError| matches!(failure, EngineError::NotAnswered(Failure::Overloaded { .. }));
    let read = handle.read(train, WAIT, |train| train.waiting()).await.unwrap_err();
    assert!(overloaded(&read), "nobody gives way to one who looks: {read:?}");
    let one_more = submit(&handle, train, hold(30)).await.unwrap_err();
    assert!(overloaded(&one_more), "nor to an equal: {one_more:?}");
    let confirm = ask(&handle, train, Command::Confirm { hold: hold_id(1) }, WAIT);
    wait_until(|| waiting.iter().any(JoinHandle::is_finished)).await;
    assert_eq!(waiting.iter().filter(|asked| asked.is_finished()).count(), 1, "one makes room for who has paid");

    fault.send(Fault::None).unwrap();
    let confirmed = confirm.await.unwrap().unwrap();
    assert!(matches!(confirmed.outcome, Outcome::Accepted(_)));
    let (mut shed, mut held) = (0, Vec::new());
    for asked in waiting {
        match asked.await.unwrap() {
            Ok(decision) => held.push(decision.version),
            Err(failure) => shed += usize::from(overloaded(&failure)),
        }
    }
    assert_eq!((shed, held.len()), (1, QUEUE - 1));
    // Two records a batch: the confirmation is in the first, with one hold at most.
    assert!(held.iter().all(|version| *version >= confirmed.version), "{:?} {held:?}", confirmed.version);
    assert!(held.iter().filter(|version| **version == confirmed.version).count() <= 1);
    engine.shutdown(WAIT).await;
}

async fn what_nobody_waits_for_any_more_is_not_done(backend: &Backend) {
    let train = run("G71");
    let (engine, fault) = stalled(backend, train).await;
    let handle = engine.handle();
    let brief = Duration::from_millis(100);
    let given_up: Vec<Asked> = (0..4).map(|number| ask(&handle, train, hold(40 + number), brief)).collect();
    let patient = ask(&handle, train, hold(50), WAIT);
    for asked in given_up {
        // The journal still stands: they are told so at their deadline, not when it is back.
        let answer = tokio::time::timeout(WAIT / 2, asked).await.unwrap().unwrap();
        assert_eq!(answer, Err(EngineError::NotAnswered(Failure::DeadlineExceeded)));
    }
    fault.send(Fault::None).unwrap();
    assert!(matches!(patient.await.unwrap().unwrap().outcome, Outcome::Accepted(_)));
    // Holds 1, 10, 11, 12 and 50.
    assert_eq!(free_seats(&handle, train).await, 95);
    engine.shutdown(WAIT).await;
}
