//! Holds on a stream, boards and the feed.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::SLOTS;
use prost::Message as _;
use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::*;
use proto::journal::v1::event::Kind;
use rpc::Failure;
use tonic::Streaming;

use crate::fleet::{Fleet, hold, hold_id, wire_run};

const RUN: &str = "G71@2027-01-05";
const PATIENCE: Duration = Duration::from_secs(10);

async fn next<T>(stream: &mut Streaming<T>) -> T {
    tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("a message comes")
        .unwrap()
        .expect("the stream goes on")
}

#[tokio::test]
async fn every_hold_of_a_stream_is_answered_by_its_number() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 300).await;
    let mut items: Vec<HoldStreamItem> = (1..=510)
        .map(|number: u64| HoldStreamItem {
            correlation: number,
            hold: Some(hold(RUN, u128::from(number), 0, 3)),
            ..HoldStreamItem::default()
        })
        .collect();
    items.push(HoldStreamItem { correlation: 511, ..HoldStreamItem::default() });
    items.push(HoldStreamItem {
        correlation: 512,
        hold: Some(HoldRequest { to_stop: 0, ..hold(RUN, 512, 0, 3) }),
        ..HoldStreamItem::default()
    });
    let messages: Vec<HoldStreamRequest> =
        items.chunks(256).map(|items| HoldStreamRequest { items: items.to_vec() }).collect();
    let mut answers = fleet.owner(RUN).hold_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();

    let mut outcomes = BTreeMap::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap() {
        for answer in message.answers {
            let outcome = match answer.outcome.unwrap() {
                Outcome::Held(_) => "HELD".to_owned(),
                Outcome::Released(_) => panic!("nothing was given back"),
                Outcome::Status(status) => Failure::from_status(&rpc::decode_status(&status)).reason.to_owned(),
            };
            assert!(outcomes.insert(answer.correlation, outcome).is_none(), "answered twice");
        }
    }
    // 300 seats: the stream is one writer's, so the first 300 are held and 210 are refused.
    let expected: BTreeMap<u64, String> = (1..=512)
        .map(|number| {
            (
                number,
                if number <= 300 {
                    "HELD"
                } else if number <= 510 {
                    "SOLD_OUT"
                } else {
                    "INVALID_FIELD"
                }
                .to_owned(),
            )
        })
        .collect();
    assert_eq!(outcomes, expected);
    fleet.stop().await;
}

#[tokio::test]
async fn a_seat_is_held_given_back_and_held_again_on_one_stream() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 1).await;
    let item = |correlation, hold, release| HoldStreamRequest {
        items: vec![HoldStreamItem { correlation, hold, release, ..HoldStreamItem::default() }],
    };
    let release = ReleaseRequest { run: Some(wire_run(RUN)), hold_id: hold_id(1) };
    let messages = [
        item(1, Some(hold(RUN, 1, 0, 3)), None),
        item(2, Some(hold(RUN, 2, 0, 3)), None),
        item(3, None, Some(release)),
        item(4, Some(hold(RUN, 3, 0, 3)), None),
    ];
    let mut answers = fleet.owner(RUN).hold_stream(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut outcomes = BTreeMap::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap() {
        outcomes.extend(message.answers.into_iter().map(|answer| (answer.correlation, answer.outcome.unwrap())));
    }
    assert!(matches!(&outcomes[&1], Outcome::Held(held) if held.places[0].label == "01A"));
    assert!(matches!(&outcomes[&2], Outcome::Status(_)), "the only seat is taken");
    assert!(matches!(&outcomes[&3], Outcome::Released(_)));
    assert!(matches!(&outcomes[&4], Outcome::Held(held) if held.places[0].label == "01A"));
    fleet.stop().await;
}

#[tokio::test]
async fn a_shard_that_leaves_says_so_and_answers_what_it_was_sent() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 5).await;
    let (requests, outgoing) = tokio::sync::mpsc::channel(4);
    let item = |correlation: u64| HoldStreamRequest {
        items: vec![HoldStreamItem {
            correlation,
            hold: Some(hold(RUN, correlation.into(), 0, 3)),
            ..HoldStreamItem::default()
        }],
    };
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    requests.send(item(1)).await.unwrap();
    let mut answers = fleet.owner(RUN).hold_stream(outgoing).await.unwrap().into_inner();
    assert_eq!(next(&mut answers).await.answers[0].correlation, 1);
    fleet.departure.leave(PATIENCE).await;
    let told = next(&mut answers).await;
    assert!(told.leaving && told.answers.is_empty());
    // Sent before its caller heard of it.
    requests.send(item(2)).await.unwrap();
    let answered = next(&mut answers).await;
    assert!(!answered.leaving, "said once");
    assert!(matches!(answered.answers[0].outcome, Some(Outcome::Held(_))), "nobody else has its slots");
    drop(requests);
    let end = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap();
    assert_eq!(end, None, "its caller ended its side, and everything is answered");
    fleet.stop().await;
}

#[tokio::test]
async fn a_message_of_too_many_holds_ends_the_stream_with_the_reason() {
    let fleet = Fleet::start().await;
    let message = HoldStreamRequest { items: vec![HoldStreamItem::default(); 257] };
    let mut answers = fleet.owner(RUN).hold_stream(tokio_stream::iter([message])).await.unwrap().into_inner();
    let refused = Failure::from(answers.message().await.unwrap_err());
    assert_eq!(refused.fields[0].0, "items");
    fleet.stop().await;
}

#[tokio::test]
async fn boards_come_at_once_and_after_each_change_and_again_after_a_restart() {
    let mut fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    let mut boards = fleet.owner(RUN).watch_boards(WatchBoardsRequest {}).await.unwrap().into_inner();
    // Two seats on each of the intervals AB AC AD BC BD CD.
    let board = board_with(&mut boards, &[2, 2, 2, 2, 2, 2]).await;
    assert_eq!((board.sale(), board.stops, board.line_open), (SaleState::Open, 4, false));
    let first = board.version;

    fleet.hold(hold(RUN, 1, 1, 2)).await.unwrap();
    let board = board_with(&mut boards, &[2, 1, 1, 1, 1, 2]).await;
    assert!(board.version > first);
    fleet.hold(hold(RUN, 2, 0, 3)).await.unwrap();
    let board = board_with(&mut boards, &[1, 0, 0, 0, 0, 1]).await;
    assert!(board.line_open);

    let proved = loop {
        let message = next(&mut boards).await;
        if message.verified_at_ms > board.as_of_ms {
            break message.verified_at_ms;
        }
    };
    fleet.restart().await;
    let mut boards = fleet.owner(RUN).watch_boards(WatchBoardsRequest {}).await.unwrap().into_inner();
    let again = board_with(&mut boards, &[1, 0, 0, 0, 0, 1]).await;
    assert!(again.epoch > board.epoch && again.as_of_ms >= proved, "{again:?}");
    let asked = fleet.owner(RUN).get_board(GetBoardRequest { run: Some(wire_run(RUN)) }).await.unwrap().into_inner();
    assert_eq!(asked.board.unwrap().classes, again.classes);
    fleet.stop().await;
}

#[tokio::test]
async fn a_slot_that_moves_is_left_by_one_shard_and_sold_by_the_other() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap();
    let mut old = fleet.owner(RUN);
    let mut old_boards = old.watch_boards(WatchBoardsRequest {}).await.unwrap().into_inner();
    let before = board_with(&mut old_boards, &[1; 6]).await;

    fleet.move_to_the_other(RUN);
    let run: domain::Run = RUN.parse().unwrap();
    let slot = u32::from(run.slot().number());
    while next(&mut old_boards).await.left_slots != [slot] {}
    let refused = Failure::from(old.hold(hold(RUN, 2, 0, 3)).await.unwrap_err());
    assert_eq!((refused.reason, refused.value("ring_version")), ("NOT_OWNER", Some("2")));

    // The router tries again while the slot is on its way.
    let request = hold(RUN, 2, 0, 3);
    let sold = fleet.router.call(&run, |mut shard| {
        let request = request.clone();
        async move { shard.hold(request).await }
    });
    assert_eq!(sold.await.unwrap().places[0].label, "01B", "the seat the first hold has stays its own");
    let mut new_boards = fleet.owner(RUN).watch_boards(WatchBoardsRequest {}).await.unwrap().into_inner();
    let after = board_with(&mut new_boards, &[0; 6]).await;
    assert!((after.epoch, after.version) > (before.epoch, before.version));
    fleet.stop().await;
}

/// The first board of the run that shows these seats.
async fn board_with(boards: &mut Streaming<WatchBoardsResponse>, seats: &[u32]) -> Board {
    loop {
        let found = next(boards).await.boards.into_iter().find(|board| board.classes[0].seats == seats);
        if let Some(board) = found {
            return board;
        }
    }
}

#[tokio::test]
async fn the_feed_has_every_batch_once_in_order_and_goes_on_from_a_cursor() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 5).await;
    for order in 1..=3 {
        fleet.hold(hold(RUN, order, 0, 3)).await.unwrap();
    }
    let all = |version| (0..u32::from(SLOTS)).map(|slot| SlotCursor { slot, version }).collect();
    let mut feed = fleet.owner(RUN).read_feed(ReadFeedRequest { cursors: all(0) }).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    let mut last = FeedBatch::default();
    while kinds.len() < 4 {
        for batch in next(&mut feed).await.batches {
            assert_eq!(batch.version, last.version + 1, "one slot is written, and its versions have no gap");
            kinds.extend(kinds_of(&batch));
            last = batch;
        }
    }
    assert_eq!(kinds, ["opened", "held", "held", "held"]);

    let run: domain::Run = RUN.parse().unwrap();
    assert_eq!(last.slot, u32::from(run.slot().number()));
    let cursors = vec![SlotCursor { slot: last.slot, version: last.version }];
    let mut rest = fleet.owner(RUN).read_feed(ReadFeedRequest { cursors }).await.unwrap().into_inner();
    let release = ReleaseRequest { run: Some(wire_run(RUN)), hold_id: hold_id(2) };
    fleet.owner(RUN).release(release).await.unwrap();
    let released = loop {
        if let Some(batch) = next(&mut rest).await.batches.into_iter().next() {
            break batch;
        }
    };
    assert_eq!((released.version, kinds_of(&released)), (last.version + 1, vec!["released"]));

    let twice = ReadFeedRequest { cursors: vec![SlotCursor { slot: 3, version: 0 }; 2] };
    let refused = Failure::from(fleet.owner(RUN).read_feed(twice).await.unwrap_err());
    assert_eq!(refused.fields[0].0, "cursors.slot");
    fleet.stop().await;
}

fn kinds_of(batch: &FeedBatch) -> Vec<&'static str> {
    let batch = proto::journal::v1::Batch::decode(&batch.payload[..]).unwrap();
    let events = batch.records.into_iter().flat_map(|record| record.events);
    let kinds = events.filter_map(|event| match event.kind.unwrap() {
        Kind::SaleOpened(_) => Some("opened"),
        Kind::Held(_) => Some("held"),
        Kind::Released(_) => Some("released"),
        // Time moves whenever it has something to do.
        Kind::Advanced(_) => None,
        _ => Some("other"),
    });
    kinds.collect()
}
