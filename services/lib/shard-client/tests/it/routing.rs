//! Where calls go, and when they are tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Run;
use ring::{Layout, ShardId};
use rpc::{CallContext, Failure, reason};
use shard_client::{Membership, RetryOptions};
use tonic::{Code, Status};

use crate::fake_shard::{fleet, unavailable};

fn retry() -> RetryOptions {
    RetryOptions { pause_ms: 1, pause_max_ms: 2, ..RetryOptions::default() }
}

fn not_owner(owner: &ShardId) -> Status {
    Failure::refused(reason::NOT_OWNER, "not mine").with("owner", owner).into()
}

#[tokio::test]
async fn each_call_goes_to_the_owner_of_its_run() {
    let fleet = fleet(retry()).await;
    let runs: Vec<Run> = (1..200).map(|n| format!("G{n}@2026-12-01").parse().unwrap()).collect();
    let mut expected = BTreeMap::new();
    for run in &runs {
        *expected.entry(fleet.router.ring().owner_of(run).clone()).or_insert(0) += 1;
        fleet.confirm(*run).await.unwrap();
    }
    for (id, shard) in &fleet.shards {
        assert_eq!(shard.calls(), expected[id], "{id}");
    }
}

#[tokio::test]
async fn a_hint_is_followed_once() {
    let fleet = fleet(retry()).await;
    let (run, owner) = fleet.a_run();
    let other = fleet.shards.iter().find(|(id, _)| id != fleet.router.ring().owner_of(&run)).unwrap();
    let hint = other.0.clone();
    owner.answer_with(move |_| Err(not_owner(&hint)));
    fleet.confirm(run).await.unwrap();
    assert_eq!((owner.calls(), other.1.calls()), (1, 1));
}

#[tokio::test]
async fn shards_that_point_at_each_other_end_as_unavailable() {
    let fleet = fleet(retry()).await;
    let (run, _) = fleet.a_run();
    for (index, (_, shard)) in fleet.shards.iter().enumerate() {
        let hint = fleet.shards[(index + 1) % 4].0.clone();
        shard.answer_with(move |_| Err(not_owner(&hint)));
    }
    let failure = Failure::from(fleet.confirm(run).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::Unavailable, reason::UNAVAILABLE));
    assert!(failure.retry_after_ms.is_some());
    let calls: usize = fleet.shards.iter().map(|(_, shard)| shard.calls()).sum();
    assert_eq!(calls, 7, "six attempts and one hint");
}

#[tokio::test]
async fn unavailability_is_tried_again_and_other_answers_are_not() {
    let fleet = fleet(retry()).await;
    let (run, owner) = fleet.a_run();
    owner.answer_with(|number| if number < 3 { Err(unavailable()) } else { Ok(()) });
    fleet.confirm(run).await.unwrap();
    assert_eq!(owner.calls(), 4);
    owner.answer_with(|_| Err(Failure::refused(reason::SOLD_OUT, "sold out").into()));
    assert_eq!(fleet.confirm(run).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(owner.calls(), 5);
}

#[tokio::test]
async fn an_outage_adds_no_more_calls_than_the_budget_allows() {
    let fleet = fleet(RetryOptions { budget_percent: 10, budget_burst: 5, ..retry() }).await;
    let (run, owner) = fleet.a_run();
    owner.answer_with(|_| Err(unavailable()));
    for _ in 0..100 {
        fleet.confirm(run).await.unwrap_err();
    }
    assert!((110..=115).contains(&owner.calls()), "100 calls, a burst of 5 and a tenth: {}", owner.calls());
}

#[tokio::test]
async fn no_attempt_is_made_that_cannot_end_within_the_deadline() {
    let fleet = fleet(RetryOptions { pause_ms: 10_000, pause_max_ms: 10_000, ..retry() }).await;
    let (run, owner) = fleet.a_run();
    owner.answer_with(|_| Err(unavailable()));
    let started = tokio::time::Instant::now();
    let status = CallContext::within(Duration::from_secs(2)).scope(fleet.confirm(run)).await.unwrap_err();
    assert_eq!((status.code(), owner.calls()), (Code::Unavailable, 1));
    assert!(started.elapsed() < Duration::from_secs(2), "it does not sleep up to the deadline either");
}

#[tokio::test]
async fn a_newer_membership_replaces_the_ring_and_an_older_one_does_not() {
    let mut fleet = fleet(retry()).await;
    fleet.add(4).await;
    let all = |version, count| {
        let shards: Vec<ShardId> = (0..count).map(ShardId::numbered).collect();
        let addresses = shards.iter().map(|shard| (shard.clone(), None)).collect();
        Membership { layout: Layout::ordinary(version, shards), addresses }
    };
    fleet.router.replace(all(2, 5)).unwrap();
    let ring = fleet.router.ring();
    let added = ShardId::numbered(4);
    let run =
        (1..).map(|n| format!("G{n}@2026-12-01").parse().unwrap()).find(|run| *ring.owner_of(run) == added).unwrap();
    fleet.confirm(run).await.unwrap();
    assert_eq!(fleet.shard(&added).calls(), 1);
    fleet.router.replace(all(1, 4)).unwrap();
    assert_eq!(fleet.router.ring().version(), 2);
    assert!(fleet.router.replace(all(3, 0)).is_err(), "no shards make no ring");
    assert_eq!(fleet.router.ring().version(), 2, "the last ring stands");
}

#[tokio::test]
async fn a_call_waits_for_a_ring_that_a_shard_has_already() {
    // Without any retry: following a newer ring is none.
    let mut fleet = fleet(RetryOptions { attempts_max: 1, budget_burst: 0, ..retry() }).await;
    fleet.add(4).await;
    let (run, owner) = fleet.a_run();
    let added = ShardId::numbered(4);
    owner.answer_with(move |_| {
        let failure = Failure::refused(reason::NOT_OWNER, "not mine any more");
        Err(failure.with("owner", ShardId::numbered(4)).with("ring_version", 2).into())
    });
    let newer = || {
        let shards: Vec<ShardId> = vec![ShardId::numbered(4)];
        let addresses = shards.iter().map(|shard| (shard.clone(), None)).collect();
        Membership { layout: Layout::ordinary(2, shards), addresses }
    };
    let called = fleet.confirm(run);
    let replaced = async {
        while owner.calls() == 0 {
            tokio::task::yield_now().await;
        }
        fleet.router.replace(newer()).unwrap();
    };
    let (answer, ()) = tokio::join!(called, replaced);
    answer.unwrap();
    assert_eq!((owner.calls(), fleet.shard(&added).calls()), (1, 1));
}
