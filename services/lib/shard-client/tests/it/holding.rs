//! Holds over one stream per shard.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use proto::inventory::v1::{ReleaseRequest, ReleaseResponse};
use rpc::{Failure, reason};
use shard_client::{HoldLines, RetryOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake_shard::{FakeShard, Fleet, fleet, hold};

struct Lines {
    lines: HoldLines,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Lines whose stream to the shard is up.
async fn lines(fleet: &Fleet, shard: &FakeShard) -> Lines {
    let (lines, driver) = HoldLines::new(fleet.router.clone());
    let stop = CancellationToken::new();
    let task = tokio::spawn(driver.run(stop.clone()));
    while shard.0.streams.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // Seen by the shard before it is known here: the next holds may still be unary.
    tokio::task::yield_now().await;
    Lines { lines, stop, task }
}

impl Lines {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn holds_that_come_together_travel_together_and_each_gets_its_own_answer() {
    let fleet = fleet(RetryOptions::default()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    let answers = join_all((0..2_000).map(|number| lines.lines.hold(&run, hold(run, number)))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().version, number as u64);
    }
    let batches = shard.0.batches.lock().clone();
    assert_eq!(batches.iter().sum::<usize>() + shard.0.unary_holds.load(Ordering::SeqCst), 2_000);
    assert!(batches.iter().all(|items| *items <= 256), "{batches:?}");
    assert!(batches.len() < 200, "two thousand holds in {} messages", batches.len());
    lines.stop().await;
}

#[tokio::test]
async fn a_release_travels_with_the_holds() {
    let fleet = fleet(RetryOptions::default()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    lines.lines.hold(&run, hold(run, 1)).await.unwrap();
    // The fake shard answers no unary release: this one came on the stream.
    let asked = ReleaseRequest { run: hold(run, 1).run, hold_id: hold(run, 1).hold_id };
    assert_eq!(lines.lines.release(&run, asked).await.unwrap(), ReleaseResponse {});
    lines.stop().await;
}

#[tokio::test]
async fn a_refusal_on_the_stream_is_the_one_a_unary_call_would_give() {
    let fleet = fleet(RetryOptions::default()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    shard.answer_with(|_| Err(Failure::refused(reason::SOLD_OUT, "sold out").with("free", 0).into()));
    let failure = Failure::from(lines.lines.hold(&run, hold(run, 1)).await.unwrap_err());
    assert_eq!((failure.reason, failure.value("free")), (reason::SOLD_OUT, Some("0")));
    lines.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_loses_no_hold_and_comes_back() {
    let fleet = fleet(RetryOptions { pause_ms: 5, ..RetryOptions::default() }).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    lines.lines.hold(&run, hold(run, 1)).await.unwrap();
    shard.0.break_stream.store(true, Ordering::SeqCst);
    let answers = join_all((2..50).map(|number| lines.lines.hold(&run, hold(run, number)))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()), "each was tried again");
    while shard.0.streams.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    lines.lines.hold(&run, hold(run, 99)).await.unwrap();
    lines.stop().await;
}

#[tokio::test]
async fn without_streams_holds_go_as_unary_calls() {
    let fleet = fleet(RetryOptions::default()).await;
    let (run, shard) = fleet.a_run();
    shard.0.no_streams.store(true, Ordering::SeqCst);
    let (lines, driver) = HoldLines::new(fleet.router.clone());
    let stop = CancellationToken::new();
    let task = tokio::spawn(driver.run(stop.clone()));
    assert_eq!(lines.hold(&run, hold(run, 7)).await.unwrap().version, 7);
    assert_eq!(shard.0.unary_holds.load(Ordering::SeqCst), 1);
    stop.cancel();
    task.await.unwrap();
}
