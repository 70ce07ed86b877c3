//! Whatever step is interrupted, by an upstream that does not answer or by the end of the process, the entry goes on.

use proto::waitlist::v1::EntryState;
use rpc::{Failure, reason};

use crate::offered;
use crate::upstreams::silence;
use crate::world::{World, id, request, run};

/// A shard that stays silent for so many calls, over the restart too.
const SILENT: usize = 3;

#[tokio::test]
async fn a_join_whose_answer_was_lost_goes_on_after_a_restart() {
    let mut world = World::new().await;
    world.shard.joins.lock().extend((0..SILENT).map(|_| silence()));
    let joining = world.join(request(1)).await.unwrap();
    assert_eq!((joining.state(), joining.sequence), (EntryState::Joining, 0));
    world.restart().await;
    world.entry_in(&id(1), EntryState::Waiting).await;
    world.stop().await;
}

#[tokio::test]
async fn a_join_that_is_refused_later_fails_with_the_reason() {
    let world = World::new().await;
    world.shard.joins.lock().extend([silence(), Failure::refused(reason::LINE_CLOSED, "can be bought")]);
    world.join(request(1)).await.unwrap();
    let failed = world.entry_in(&id(1), EntryState::Failed).await;
    assert_eq!(failed.end_reason, reason::LINE_CLOSED);
    world.stop().await;
}

#[tokio::test]
async fn an_offer_is_taken_after_a_restart() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.shard.accepts.lock().extend((0..SILENT).map(|_| silence()));
    world.shard.record(run(), offered(1));
    world.eventually(async || world.shard.calls.lock().contains(&"accept").then_some(())).await;
    world.restart().await;
    world.entry_in(&id(1), EntryState::Fulfilled).await;
    world.stop().await;
}

#[tokio::test]
async fn an_offer_made_while_the_waitlist_was_away_is_taken() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.stop_waitlist().await;
    world.shard.record(run(), offered(1));
    world.start().await;
    world.entry_in(&id(1), EntryState::Fulfilled).await;
    assert_eq!(world.orders.opened.lock().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn an_order_is_opened_after_a_restart_with_the_seats_that_were_taken() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.orders.opens.lock().extend((0..SILENT).map(|_| silence()));
    world.shard.record(run(), offered(1));
    world.eventually(async || (!world.orders.opened.lock().is_empty()).then_some(())).await;
    world.restart().await;
    world.entry_in(&id(1), EntryState::Fulfilled).await;
    let opened = world.orders.opened.lock().clone();
    assert!(opened.len() > SILENT && opened.iter().all(|order| *order == opened[0]), "always the same request");
    assert_eq!(world.shard.calls.lock().iter().filter(|call| **call == "accept").count(), 1);
    world.stop().await;
}

#[tokio::test]
async fn seats_are_given_back_after_a_restart() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.orders.opens.lock().push_back(Failure::refused(reason::ACCOUNT_TICKETS_MAX, "too many"));
    world.shard.releases.lock().extend((0..SILENT).map(|_| silence()));
    world.shard.record(run(), offered(1));
    let failed = world.entry_in(&id(1), EntryState::Failed).await;
    assert_eq!(failed.end_reason, reason::ACCOUNT_TICKETS_MAX);
    world.restart().await;
    let releases = async || world.shard.calls.lock().iter().filter(|call| **call == "release").count();
    world.eventually(async || (releases().await > SILENT).then_some(())).await;
    world.stop().await;
}

#[tokio::test]
async fn an_entry_that_was_given_up_leaves_the_line_after_a_restart() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.shard.leaves.lock().extend((0..SILENT).map(|_| silence()));
    assert_eq!(world.leave(&id(1)).await.unwrap().state(), EntryState::Left);
    world.restart().await;
    let leaves = async || world.shard.calls.lock().iter().filter(|call| **call == "leave").count();
    world.eventually(async || (leaves().await > SILENT).then_some(())).await;
    world.stop().await;
}

#[tokio::test]
async fn an_offer_to_an_entry_that_is_over_goes_back() {
    let world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.leave(&id(1)).await.unwrap();
    // The line had made the offer before it heard that the entry left, and it was even taken: its hold goes back too.
    world.shard.leaves.lock().push_back(Failure::not_found(reason::ENTRY_NOT_FOUND, "not in line"));
    world.shard.record(run(), offered(1));
    world.eventually(async || world.shard.calls.lock().ends_with(&["leave", "release"]).then_some(())).await;
    assert_eq!(world.entry(&id(1)).await.unwrap().state(), EntryState::Left);
    assert!(world.orders.opened.lock().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_purged_beginning_and_a_purged_gap_are_passed_over() {
    let mut world = World::new().await;
    world.stop_waitlist().await;
    world.shard.record(run(), offered(9));
    world.shard.purge(run());
    world.start().await;
    world.join(request(1)).await.unwrap();
    world.shard.record(run(), offered(1));
    world.entry_in(&id(1), EntryState::Fulfilled).await;

    // Away for so long that what it has not read is gone: it goes on with what there is.
    world.stop_waitlist().await;
    world.shard.record(run(), offered(9));
    world.shard.record(run(), offered(9));
    world.shard.purge(run());
    world.start().await;
    world.join(request(2)).await.unwrap();
    world.shard.record(run(), offered(2));
    world.entry_in(&id(2), EntryState::Fulfilled).await;
    world.stop().await;
}
