//! Those who ask anew together as soon as they are answered together.

use std::time::{Duration, Instant};

use domain::Run;
use engine::{EngineHandle, EngineOptions, ReplyQueue, Submission};

use crate::kit::{Backend, Fault, FaultyJournal, WAIT, hold, on_every_backend, open_sale, run, start_with};

on_every_backend! {
    a_convoy_is_written_in_two_groups,
}

/// Long beside what a busy machine adds.
const COMMIT: Duration = Duration::from_millis(50);

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
