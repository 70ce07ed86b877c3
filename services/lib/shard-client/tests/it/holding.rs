//! Holds over one stream per shard.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use proto::inventory::v1::{ReleaseRequest, ReleaseResponse};
use ring::ShardId;
use rpc::{Failure, reason};
use shard_client::{HoldLines, Membership, RetryOptions};
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
        tokio::time::sleep(Duration::from_millis(5)).await;
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

/// No call is tried again: what goes wrong is seen.
fn one_attempt() -> RetryOptions {
    RetryOptions { attempts_max: 1, ..RetryOptions::default() }
}

async fn until(what: impl Fn() -> bool) {
    let came = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), came).await.expect("it comes to that");
}

#[tokio::test]
async fn a_shard_that_leaves_the_ring_answers_what_it_was_sent_and_the_rest_goes_to_the_next() {
    let fleet = fleet(one_attempt()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    shard.0.answering.send_replace(false);
    let holds: Vec<_> = (0..3_000)
        .map(|number| {
            let lines = lines.lines.clone();
            tokio::spawn(async move { lines.hold(&run, hold(run, number)).await })
        })
        .collect();
    until(|| !shard.0.batches.lock().is_empty()).await;
    let owner = fleet.router.ring().owner_of(&run).clone();
    fleet.leave_out(&owner);
    let next = fleet.shard(fleet.router.ring().owner_of(&run)).clone();
    // Whoever asks now is answered by the next owner, while the first has not answered yet.
    assert_eq!(lines.lines.hold(&run, hold(run, 9_999)).await.unwrap().version, 9_999);
    shard.0.answering.send_replace(true);
    for (number, answer) in holds.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap().version, number as u64);
    }
    assert_eq!(shard.calls() + next.calls(), 3_001, "nothing was asked twice");
    assert_eq!(
        shard.0.batches.lock().iter().sum::<usize>() + shard.0.unary_holds.load(Ordering::SeqCst),
        shard.calls()
    );
    until(|| shard.0.streams_ended.load(Ordering::SeqCst) == 1).await;
    lines.stop().await;
}

#[tokio::test]
async fn nothing_more_is_sent_on_the_stream_of_a_shard_that_says_that_it_leaves() {
    let fleet = fleet(one_attempt()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    while shard.0.batches.lock().is_empty() {
        lines.lines.hold(&run, hold(run, 1)).await.unwrap();
    }
    shard.0.answering.send_replace(false);
    let sent = lines.lines.clone();
    let sent = tokio::spawn(async move { sent.hold(&run, hold(run, 2)).await });
    until(|| shard.0.batches.lock().len() == 2).await;
    shard.0.no_streams.store(true, Ordering::SeqCst);
    shard.0.leaving.send_replace(true);
    shard.0.answering.send_replace(true);
    assert_eq!(sent.await.unwrap().unwrap().version, 2, "what was sent is answered");
    until(|| shard.0.streams_ended.load(Ordering::SeqCst) == 1).await;
    // The ring still says that it is asked: by calls of their own.
    let unary = shard.0.unary_holds.load(Ordering::SeqCst);
    assert_eq!(lines.lines.hold(&run, hold(run, 3)).await.unwrap().version, 3);
    assert_eq!(shard.0.unary_holds.load(Ordering::SeqCst), unary + 1);
    assert_eq!(shard.0.batches.lock().len(), 2);
    lines.stop().await;
}

#[tokio::test]
async fn a_shard_that_comes_back_elsewhere_gets_a_stream_there() {
    let fleet = fleet(one_attempt()).await;
    let (run, shard) = fleet.a_run();
    let lines = lines(&fleet, &shard).await;
    let owner = fleet.router.ring().owner_of(&run).clone();
    let streams = shard.0.streams.load(Ordering::SeqCst);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    fleet.running.iter().find(|running| running.name() == owner.as_str()).unwrap().serve(listener);
    let mut layout = fleet.router.ring().layout().clone();
    layout.version += 1;
    let at = |shard: &ShardId| (shard.clone(), (*shard == owner).then(|| address.clone()));
    let addresses = layout.members.iter().map(|member| at(&member.shard)).collect();
    fleet.router.replace(Membership { layout, addresses }).unwrap();
    until(|| shard.0.streams.load(Ordering::SeqCst) == streams + 1).await;
    assert_eq!(lines.lines.hold(&run, hold(run, 1)).await.unwrap().version, 1);
    lines.stop().await;
}
