//! Slots move between shards while callers ask.

use std::time::Duration;

use domain::Run;
use proto::inventory::v1::{GetShardRequest, HoldStreamItem, HoldStreamRequest, hold_stream_answer::Outcome};
use rpc::CallContext;

use crate::fleet::{Fleet, hold};

const RUN: &str = "G71@2027-01-05";

fn knowing_ring_2() -> CallContext {
    CallContext { ring_version: Some(2), ..CallContext::within(Duration::from_secs(5)) }
}

#[tokio::test]
async fn a_call_that_knows_the_next_ring_waits_for_it_and_for_the_slot() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap();
    let mut next_owner = fleet.other(RUN);
    // Its caller has heard of ring 2 before the shard has.
    let asked = knowing_ring_2().scope(async move { next_owner.hold(hold(RUN, 2, 0, 3)).await });
    let moved = async {
        tokio::task::yield_now().await;
        fleet.move_to_the_other(RUN);
    };
    let (held, ()) = tokio::join!(asked, moved);
    held.unwrap();
    let sold_out = fleet.hold(hold(RUN, 3, 0, 3)).await.unwrap_err();
    assert_eq!(sold_out.reason, "SOLD_OUT");
    fleet.stop().await;
}

#[tokio::test]
async fn a_streamed_hold_that_knows_the_next_ring_waits_for_it_and_one_that_does_not_is_sent_on() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    let item = |correlation, ring_version| HoldStreamItem {
        correlation,
        hold: Some(hold(RUN, correlation.into(), 0, 3)),
        ring_version,
        ..HoldStreamItem::default()
    };
    let message = HoldStreamRequest { items: vec![item(1, 2), item(2, 1)] };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::iter([message]), tokio_stream::pending());
    let mut answers = fleet.other(RUN).hold_stream(requests).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap().answers;
    assert_eq!(first.iter().map(|answer| answer.correlation).collect::<Vec<_>>(), [2], "sent on at once");
    assert!(matches!(first[0].outcome, Some(Outcome::Status(_))));
    fleet.move_to_the_other(RUN);
    let second = answers.message().await.unwrap().unwrap().answers;
    assert_eq!(second[0].correlation, 1);
    assert!(matches!(second[0].outcome, Some(Outcome::Held(_))));
    drop(answers);
    fleet.stop().await;
}

#[tokio::test]
async fn both_sides_of_a_move_tell_how_long_it_took() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    let slot = u32::from(RUN.parse::<Run>().unwrap().slot().number());
    fleet.move_to_the_other(RUN);
    knowing_ring_2().scope(fleet.hold(hold(RUN, 1, 0, 3))).await.unwrap();
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    for (_, mut shard) in fleet.router.operator_clients() {
        let request = GetShardRequest { handovers_within_ms: 60_000 };
        let told = shard.get_shard(request).await.unwrap().into_inner();
        assert_eq!(told.ring_version, 2);
        for handover in told.handovers.into_iter().filter(|handover| handover.slot == slot) {
            if handover.taken { taken.push(handover) } else { given.push(handover) }
        }
    }
    assert_eq!((taken.len(), given.len()), (2, 1), "taken at the start, given away, taken again");
    assert!(given[0].began_at_us <= given[0].ended_at_us);
    assert!(taken.iter().any(|taken| taken.ended_at_us >= given[0].began_at_us));
    fleet.stop().await;
}
