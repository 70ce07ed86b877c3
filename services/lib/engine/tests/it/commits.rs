//! What is written together, and what is not.

use std::time::{Duration, Instant};

use domain::Run;
use engine::{Engine, EngineHandle, EngineOptions, Limits, ReplyQueue, Submission};

use crate::kit::{
    Backend, Fault, FaultyJournal, WAIT, hold, on_every_backend, open_sale, run, slots, start_with, submit, wait_until,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

on_every_backend! {
    a_convoy_is_written_in_two_groups,
    what_comes_during_a_commit_is_written_together,
    a_slow_commit_holds_up_only_those_who_wait_for_it,
}

/// Long beside what a busy machine adds.
const COMMIT: Duration = Duration::from_millis(100);

async fn a_convoy_is_written_in_two_groups(backend: &Backend) {
    let train = run("G71");
    let (journal, fault) = FaultyJournal::over(backend.new_journal().await);
    let engine = start_with(journal, EngineOptions { lanes: 1, ..EngineOptions::named("shard") }, &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 1_000, 600_000).await;
    fault.send(Fault::Slow(COMMIT)).unwrap();

    let first = ask_together(&handle, train, 0..64).await;
    // Those who come after a long rest are no convoy: nobody gains if half of them wait for a second commit.
    tokio::time::sleep(first.took * 9).await;
    let second = ask_together(&handle, train, 64..128).await;
    assert_eq!(second.commits, 1);
    // Those who come back while storage has stood idle for about a commit are.
    tokio::time::sleep(second.took).await;
    let third = ask_together(&handle, train, 128..192).await;
    assert_eq!(third.commits, 2);
    // A few are none.
    tokio::time::sleep(third.took).await;
    assert_eq!(ask_together(&handle, train, 192..196).await.commits, 1);
    engine.shutdown(WAIT).await;
}

/// Trains of different slots.
const TRAINS: [&str; 3] = ["G71", "G72", "G73"];

/// An engine with these trains on sale, and its journal's fault.
async fn selling(backend: &Backend, limits: Limits) -> (Engine, watch::Sender<Fault>) {
    assert_eq!(slots(&TRAINS.map(run)).len(), TRAINS.len());
    let (journal, fault) = FaultyJournal::over(backend.new_journal().await);
    let options = EngineOptions { lanes: 1, limits, ..EngineOptions::named("shard") };
    let engine = start_with(journal, options, &TRAINS.map(run)).await;
    for train in TRAINS {
        open_sale(&engine.handle(), run(train), 10, 600_000).await;
    }
    (engine, fault)
}

/// Asks for a seat of this train.
fn ask(handle: &EngineHandle, train: &str) -> JoinHandle<()> {
    let (handle, train) = (handle.clone(), run(train));
    tokio::spawn(async move {
        submit(&handle, train, hold(1)).await.unwrap().answer().unwrap();
    })
}

async fn what_comes_during_a_commit_is_written_together(backend: &Backend) {
    let (engine, fault) = selling(backend, Limits { append_alone_ms: 60_000, ..Limits::default() }).await;
    let handle = engine.handle();
    let appends = || handle.metrics().counts().appends;
    let before = appends();
    fault.send(Fault::Frozen).unwrap();
    let first = ask(&handle, TRAINS[0]);
    wait_until(|| appends() == before + 1).await;
    let others = [ask(&handle, TRAINS[1]), ask(&handle, TRAINS[2])];
    tokio::time::sleep(COMMIT).await;
    assert_eq!(appends(), before + 1, "they wait for the end of the first");
    fault.send(Fault::None).unwrap();
    first.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    assert_eq!(appends(), before + 2, "both in one statement");
    engine.shutdown(WAIT).await;
}

async fn a_slow_commit_holds_up_only_those_who_wait_for_it(backend: &Backend) {
    let (engine, fault) = selling(backend, Limits::default()).await;
    let handle = engine.handle();
    let before = handle.metrics().counts().appends;
    fault.send(Fault::Slow(Duration::from_secs(2))).unwrap();
    let slow = ask(&handle, TRAINS[0]);
    wait_until(|| handle.metrics().counts().appends == before + 1).await;
    fault.send(Fault::None).unwrap();
    ask(&handle, TRAINS[1]).await.unwrap();
    assert!(!slow.is_finished(), "answered before the one that was asked for earlier");
    slow.await.unwrap();
    engine.shutdown(WAIT).await;
}

struct Answered {
    commits: u64,
    took: Duration,
}

/// Asks for all these holds in one message, and waits until each is answered.
async fn ask_together(handle: &EngineHandle, train: Run, holds: std::ops::Range<u64>) -> Answered {
    let (replies, began) = (ReplyQueue::new(), Instant::now());
    let (mut left, before) = (holds.clone().count(), handle.metrics().counts().appends);
    let submissions = holds.map(|number| Submission {
        correlation: number,
        run: train,
        command: hold(u128::from(number)),
        trace: None,
        timeout: WAIT,
    });
    handle.submit_all(submissions, &replies);
    while left > 0 {
        for answer in tokio::time::timeout(WAIT, replies.next()).await.unwrap() {
            answer.result.unwrap().answer().unwrap();
            left -= 1;
        }
    }
    Answered { commits: handle.metrics().counts().appends - before, took: began.elapsed() }
}
