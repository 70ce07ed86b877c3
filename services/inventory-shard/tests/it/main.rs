//! Shards on a real journal, asked over the fleet's own links.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, but not their helpers")]

mod fleet;
mod moving;
mod quarantine;
mod streams;

use fleet::{Fleet, SECOND, hold, hold_id, person, wire_run};
use proto::inventory::v1::*;
use proto::journal::v1::Wish;
use rpc::Failure;
use tonic::{Code, Response};

const RUN: &str = "G71@2027-01-05";

#[tokio::test]
async fn a_hold_becomes_a_ticket_and_is_given_back_and_every_step_repeats() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 2).await;
    fleet.open_sale(RUN, 2).await;
    let held = fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap();
    assert_eq!((held.places[0].carriage, held.places[0].label.as_str()), (5, "01A"));
    assert_eq!(fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap().places, held.places);

    let mut shard = fleet.owner(RUN);
    let run = || Some(wire_run(RUN));
    let get = GetHoldRequest { run: run(), hold_id: hold_id(1) };
    for _ in 0..2 {
        shard.open_hold(OpenHoldRequest { run: run(), hold_id: hold_id(1) }).await.unwrap();
    }
    assert_eq!(shard.get_hold(get.clone()).await.unwrap().into_inner().state(), HoldState::Opened);
    for _ in 0..2 {
        shard.confirm(ConfirmRequest { run: run(), hold_id: hold_id(1) }).await.unwrap();
    }
    let confirmed = shard.get_hold(get.clone()).await.unwrap().into_inner();
    assert_eq!((confirmed.state(), &confirmed.places, confirmed.until_ms), (HoldState::Confirmed, &held.places, 0));
    for _ in 0..2 {
        shard.refund(RefundRequest { run: run(), hold_id: hold_id(1), passengers: vec![0] }).await.unwrap();
    }
    let ended = shard.get_hold(get).await.unwrap().into_inner();
    assert_eq!((ended.state(), ended.places.len()), (HoldState::Ended, 0));
    assert_eq!(fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap().places, held.places, "still the original answer");
    fleet.stop().await;
}

#[tokio::test]
async fn refusals_say_why() {
    let fleet = Fleet::start().await;
    let nothing = fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap_err();
    assert_eq!((nothing.code, nothing.reason), (Code::NotFound, "RUN_NOT_FOUND"));

    // One seat A-D: sold B-C, it can be sold A-B and C-D, but neither A-C nor B-D (textbook example).
    fleet.open_sale(RUN, 1).await;
    fleet.hold(hold(RUN, 1, 1, 2)).await.unwrap();
    for (order, from, to) in [(2, 0, 2), (3, 1, 3)] {
        let refused = fleet.hold(hold(RUN, order, from, to)).await.unwrap_err();
        assert_eq!((refused.code, refused.reason), (Code::FailedPrecondition, "SOLD_OUT"));
        assert_eq!((refused.value("free"), refused.value("segments")), (Some("0"), Some("1")));
    }
    fleet.hold(hold(RUN, 4, 0, 1)).await.unwrap();
    fleet.hold(hold(RUN, 5, 2, 3)).await.unwrap();

    let same_person = HoldRequest { passengers: hold(RUN, 5, 0, 1).passengers, ..hold(RUN, 6, 0, 1) };
    let refused = fleet.hold(same_person).await.unwrap_err();
    assert_eq!((refused.reason, refused.value("passenger")), ("DUPLICATE_IDENTITY", Some("0")));
    let other_payload = fleet.hold(hold(RUN, 1, 0, 1)).await.unwrap_err();
    assert_eq!((other_payload.code, other_payload.reason), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let unknown = fleet.owner(RUN).confirm(ConfirmRequest { run: Some(wire_run(RUN)), hold_id: hold_id(99) }).await;
    assert_eq!(Failure::from(unknown.unwrap_err()).reason, "HOLD_NOT_FOUND");
    fleet.stop().await;
}

#[tokio::test]
async fn another_shard_names_the_owner() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 1).await;
    let refused = Failure::from(fleet.other(RUN).hold(hold(RUN, 1, 0, 3)).await.unwrap_err());
    assert_eq!((refused.code, refused.reason), (Code::FailedPrecondition, "NOT_OWNER"));
    let owner = fleet.router.ring().owner_of(&RUN.parse().unwrap()).to_string();
    assert_eq!((refused.value("owner"), refused.value("ring_version")), (Some(owner.as_str()), Some("1")));
    fleet.stop().await;
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 1).await;
    let good = || hold(RUN, 1, 0, 3);
    let broken: [(&str, HoldRequest); 7] = [
        ("hold_id", HoldRequest { hold_id: vec![1; 16].into(), ..good() }),
        ("seat_class", HoldRequest { seat_class: 77, ..good() }),
        ("seat_class", HoldRequest { seat_class: 1, ..good() }),
        ("channel", HoldRequest { channel: -1, ..good() }),
        ("to_stop", HoldRequest { from_stop: 2, to_stop: 2, ..good() }),
        ("to_stop", HoldRequest { to_stop: 9, ..good() }),
        ("passengers", HoldRequest { passengers: vec![], ..good() }),
    ];
    for (field, request) in broken {
        let refused = fleet.hold(request).await.unwrap_err();
        assert_eq!((refused.code, refused.fields[0].0.as_str()), (Code::InvalidArgument, field));
    }
    let no_run = fleet.owner(RUN).get_board(GetBoardRequest { run: None }).await.unwrap_err();
    assert_eq!(Failure::from(no_run).fields[0].0, "run");
    let mut plan =
        OpenSaleRequest { run: Some(wire_run("G72@2027-01-05")), request_id: vec![1; 16].into(), plan: None };
    let refused = fleet.owner("G72@2027-01-05").open_sale(plan.clone()).await.unwrap_err();
    assert_eq!(Failure::from(refused).fields[0].0, "plan");
    plan.plan = Some(proto::journal::v1::SaleOpened::default());
    let refused = fleet.owner("G72@2027-01-05").open_sale(plan).await.unwrap_err();
    assert_eq!((refused.code(), Failure::from(refused).fields[0].0.as_str()), (Code::InvalidArgument, "plan"));
    fleet.stop().await;
}

#[tokio::test]
async fn the_line_is_joined_when_nothing_is_left_and_served_when_something_is_freed() {
    let fleet = Fleet::start().await;
    fleet.open_sale(RUN, 1).await;
    let mut shard = fleet.owner(RUN);
    let entry = |number: u128| bytes::Bytes::from(number.to_be_bytes().to_vec());
    let join = |number: u128| JoinLineRequest {
        run: Some(wire_run(RUN)),
        entry_id: entry(number),
        wish: Some(Wish {
            seat_class: SECOND as u32,
            from: 0,
            to: 2,
            persons: vec![person(number)],
            standing: false,
            channel: 1,
        }),
        deadline_ms: i64::MAX,
    };
    let closed = Failure::from(shard.join_line(join(70)).await.unwrap_err());
    assert_eq!(closed.reason, "LINE_CLOSED", "a seat can be bought");

    fleet.hold(hold(RUN, 1, 0, 3)).await.unwrap();
    let places: Vec<(u64, u32)> = {
        let mut places = Vec::new();
        for number in [71, 72] {
            let joined = shard.join_line(join(number)).await.unwrap().into_inner();
            places.push((joined.sequence, joined.ahead));
        }
        places
    };
    assert_eq!(places, [(1, 0), (2, 1)]);

    let accept = |number| AcceptOfferRequest { run: Some(wire_run(RUN)), entry_id: entry(number) };
    let early = Failure::from(shard.accept_offer(accept(71)).await.unwrap_err());
    assert_eq!(early.reason, "OFFER_NOT_FOUND");
    shard.release(ReleaseRequest { run: Some(wire_run(RUN)), hold_id: hold_id(1) }).await.unwrap();
    let public = fleet.hold(hold(RUN, 2, 0, 2)).await.unwrap_err();
    assert_eq!(public.reason, "WITHHELD_FOR_WAITLIST", "freed seats go to the line first");
    let second = Failure::from(shard.accept_offer(accept(72)).await.unwrap_err());
    assert_eq!(second.reason, "OFFER_NOT_FOUND", "served in order");
    let taken = shard.accept_offer(accept(71)).await.map(Response::into_inner).unwrap();
    assert_eq!((taken.places[0].label.as_str(), taken.places[0].to_stop), ("01A", 2));
    assert_eq!(taken.hold_id[..16], entry(71)[..], "the hold is the entry's");
    assert_eq!(shard.accept_offer(accept(71)).await.unwrap().into_inner(), taken, "repeating is safe");
    shard.leave_line(LeaveLineRequest { run: Some(wire_run(RUN)), entry_id: entry(72) }).await.unwrap();
    fleet.stop().await;
}
