//! A run whose journal contradicts itself while it is on sale: it is stopped, and its neighbours on the slot go on.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{HoldId, OrderId, Run};
use inventory::{Command, CommandMeta, Event, encoding::BatchWriter};
use journal::{AppendOutcome, BatchId, SlotAppend};
use proto::inventory::v1::*;
use rpc::Failure;
use tonic::Code;

use crate::fleet::{Fleet, hold, hold_id, wire_run};

const RUN: &str = "G71@2027-01-05";
const PATIENCE: Duration = Duration::from_secs(20);

/// Another run of the same slot.
fn neighbour() -> String {
    let slot = RUN.parse::<Run>().unwrap().slot();
    let runs = (1..).map(|number| format!("K{number}@2027-01-05"));
    runs.into_iter().find(|run| run.parse::<Run>().unwrap().slot() == slot).unwrap()
}

/// Takes the slot away from its owner and writes what cannot be: a hold is released that never was.
async fn damage(fleet: &Fleet, run: Run) {
    let claimed = fleet.journal.claim(&[run.slot()], "vandal", 1).await.unwrap().remove(0);
    let never_held = HoldId::of_order(OrderId::from_u128(999), 0);
    let meta = CommandMeta::of(&Command::Release { hold: never_held }, claimed.time);
    let mut batch = BatchWriter::new();
    batch.push(&run, &meta, None, &[Event::Released { hold: never_held }]);
    let append = SlotAppend {
        slot: run.slot(),
        expected: claimed.head,
        batch_id: BatchId::from_u128(1),
        payload: batch.finish().into(),
        runs: vec![run],
    };
    assert!(matches!(fleet.journal.append(vec![append]).await[..], [AppendOutcome::Committed { .. }]));
}

/// Asks until the answer is the one that is waited for.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{what} in time"))
}

#[tokio::test]
async fn a_run_that_breaks_on_sale_is_stopped_and_its_neighbours_sell_on() {
    let (fleet, other) = (Fleet::start().await, neighbour());
    for run in [RUN, other.as_str()] {
        fleet.open_sale(run, 5).await;
        fleet.hold(hold(run, 1, 0, 3)).await.unwrap();
    }
    damage(&fleet, RUN.parse().unwrap()).await;

    // Its owner finds the slot taken, takes it back, and finds what was written.
    let stopped = until("the run is stopped", async || {
        let refused = fleet.hold(hold(RUN, 2, 0, 3)).await.expect_err("nothing is sold of it");
        (refused.reason == "QUARANTINED").then_some(refused)
    });
    let stopped = stopped.await;
    assert_eq!((stopped.code, stopped.reason), (Code::Unavailable, "QUARANTINED"));
    let confirm = ConfirmRequest { run: Some(wire_run(RUN)), hold_id: hold_id(1) };
    let unpaid = Failure::from(fleet.owner(RUN).confirm(confirm).await.unwrap_err());
    assert_eq!(unpaid.reason, "QUARANTINED", "what was held of it must wait too");

    until("the neighbour sells on", async || fleet.hold(hold(&other, 2, 0, 3)).await.ok()).await;
    let kept = GetHoldRequest { run: Some(wire_run(&other)), hold_id: hold_id(1) };
    assert_eq!(fleet.owner(&other).get_hold(kept).await.unwrap().into_inner().state(), HoldState::Held);

    // Nobody is shown seats of it.
    let mut boards = fleet.owner(RUN).watch_boards(WatchBoardsRequest {}).await.unwrap().into_inner();
    let mut shown = BTreeMap::new();
    until("the boards say so", async || {
        let message = boards.message().await.unwrap().expect("the stream goes on");
        for board in message.boards {
            shown.insert(board.run.clone().unwrap().train_code, board);
        }
        let sells =
            |run: &str| shown.get(run.split('@').next().unwrap()).is_some_and(|board| board.sale() == SaleState::Open);
        (message.caught_up && sells(&other) && !sells(RUN)).then_some(())
    })
    .await;
    fleet.stop().await;
}
