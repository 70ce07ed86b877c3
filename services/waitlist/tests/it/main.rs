//! The waitlist as its callers see it, with a shard and an order service that do as they are told.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, but not their helpers")]

mod crashes;
mod stores;
mod upstreams;
mod world;

use domain::{Document, DocumentKind};
use proto::journal::v1 as journal;
use proto::journal::v1::event::Kind;
use proto::waitlist::v1 as wire;
use proto::waitlist::v1::EntryState;
use rpc::{Failure, reason};
use tonic::Code;
use upstreams::entry_bytes;
use world::{CANARY, DEPARTURE, NOW, World, id, passenger, request, run};

fn offered(number: u32) -> Kind {
    Kind::Offered(journal::Offered { entry_id: entry_bytes(&id(number)), ..journal::Offered::default() })
}

fn left(number: u32, expired: bool) -> Kind {
    Kind::Left(journal::Left { entry_id: entry_bytes(&id(number)), expired, ..journal::Left::default() })
}

#[tokio::test]
async fn an_offer_becomes_an_order_of_the_same_id() {
    let world = World::new().await;
    let entry = world.join(request(1)).await.unwrap();
    assert_eq!((entry.state(), entry.sequence, entry.ahead_at_join), (EntryState::Waiting, 1, 0));
    // Until 20 minutes before departure, by the rules.
    assert_eq!(entry.deadline_ms, DEPARTURE.millis() - 20 * 60_000);
    assert_eq!(world.join(request(1)).await.unwrap(), entry, "repeating changes nothing");
    assert_eq!(world.shard.joined.lock().len(), 1);

    world.shard.record(run(), offered(1));
    let fulfilled = world.entry_in(&id(1), EntryState::Fulfilled).await;
    assert_eq!(fulfilled.order_id, id(1));
    let opened = world.orders.opened.lock().clone();
    assert_eq!(opened.len(), 1);
    let (order, leg) = (&opened[0], &opened[0].legs[0]);
    assert_eq!((order.order_id.as_str(), order.account.as_str(), order.quoted_fen), (id(1).as_str(), "alice", 0));
    assert_eq!((leg.opened, leg.pay_by_ms, leg.hard_limit_ms), (true, 1_000_000, 2_000_000));
    assert_eq!((leg.places[0].label.as_str(), leg.from_stop, leg.to_stop), ("01A", 0, 17));
    assert_eq!(leg.hold_id[..16], entry_bytes(&id(1))[..]);
    assert_eq!(order.passengers, [passenger(CANARY)]);
    let late = world.leave(&id(1)).await.unwrap_err();
    assert_eq!((late.code, late.reason), (Code::FailedPrecondition, reason::ENTRY_STATE));
    world.stop().await;
}

#[tokio::test]
async fn the_line_knows_passengers_by_token_and_the_database_by_sealed_records() {
    let mut world = World::new().await;
    world.join(request(1)).await.unwrap();
    let joined = world.shard.joined.lock()[0].clone();
    let wish = joined.wish.unwrap();
    assert_eq!((wish.seat_class, wish.from, wish.to, wish.channel), (3, 0, 17, 1));
    let key = privacy::Key::from_hex(&"3c".repeat(32)).unwrap();
    let document = Document::new(DocumentKind::ResidentId, CANARY).unwrap();
    let token = privacy::PersonTokens::new(key).token(run().date, &document);
    assert_eq!(wish.persons, [token.0.to_vec()]);
    world.stop_waitlist().await;
    world.database.close().await;
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [CANARY.as_bytes(), "李雷".as_bytes()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn what_the_line_refuses_is_passed_on_and_leaves_nothing() {
    let world = World::new().await;
    world.shard.joins.lock().push_back(Failure::refused(reason::LINE_CLOSED, "this can be bought now"));
    let refused = world.join(request(1)).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (Code::FailedPrecondition, reason::LINE_CLOSED));
    assert_eq!(world.entry(&id(1)).await.unwrap_err().reason, reason::ENTRY_NOT_FOUND);
    assert_eq!(world.join(request(1)).await.unwrap().state(), EntryState::Waiting, "the id is still free");
    world.stop().await;
}

#[tokio::test]
async fn a_refused_order_gives_the_seats_back() {
    let world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.orders.opens.lock().push_back(Failure::refused(reason::OVERLAPPING_JOURNEY, "travels already"));
    world.shard.record(run(), offered(1));
    let failed = world.entry_in(&id(1), EntryState::Failed).await;
    assert_eq!((failed.end_reason.as_str(), failed.order_id.as_str()), (reason::OVERLAPPING_JOURNEY, ""));
    world.eventually(async || world.shard.calls.lock().ends_with(&["accept", "release"]).then_some(())).await;
    world.stop().await;
}

#[tokio::test]
async fn an_offer_that_ran_out_ends_the_entry() {
    let world = World::new().await;
    world.join(request(1)).await.unwrap();
    world.shard.accepts.lock().push_back(Failure::refused(reason::OFFER_NOT_FOUND, "ran out"));
    world.shard.record(run(), offered(1));
    assert_eq!(world.entry_in(&id(1), EntryState::Failed).await.end_reason, "OFFER_LAPSED");
    assert!(world.orders.opened.lock().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn entries_end_when_left_when_their_deadline_passes_and_when_sale_closes() {
    let world = World::new().await;
    for number in 1..=4 {
        world.join(request(number)).await.unwrap();
    }
    assert_eq!(world.leave(&id(1)).await.unwrap().state(), EntryState::Left);
    assert_eq!(world.leave(&id(1)).await.unwrap().state(), EntryState::Left, "repeating is safe");
    assert_eq!(world.shard.calls.lock().iter().filter(|call| **call == "leave").count(), 1);
    world.shard.record(run(), left(2, true));
    world.entry_in(&id(2), EntryState::Expired).await;
    let other = "G72@2026-12-20".parse().unwrap();
    world.shard.record(other, left(3, true));
    world.shard.record(run(), Kind::SaleClosed(journal::SaleClosed { cancelled: true }));
    for number in [3, 4] {
        let closed = world.entry_in(&id(number), EntryState::Failed).await;
        assert_eq!(closed.end_reason, "SALE_CLOSED", "an event of another run is not this entry's");
    }
    assert_eq!(world.entry(&id(1)).await.unwrap().state(), EntryState::Left);
    world.stop().await;
}

#[tokio::test]
async fn a_deadline_the_run_forgot_is_kept_all_the_same() {
    let world = World::new().await;
    let soon = NOW.plus_millis(13 * 24 * 3_600_000).millis();
    let entry = world.join(wire::JoinWaitlistRequest { deadline_ms: soon, ..request(1) }).await.unwrap();
    assert_eq!(entry.deadline_ms, soon);
    world.clock.set(domain::Time::from_millis(soon + 60_000));
    world.entry_in(&id(1), EntryState::Expired).await;
    // It is over from here on; that the line is told follows.
    world.eventually(async || world.shard.calls.lock().ends_with(&["leave"]).then_some(())).await;
    world.stop().await;
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_open_entries_and_sees_only_its_own() {
    let world = World::new().await;
    for number in 1..=6 {
        world.join(request(number)).await.unwrap();
        world.clock.advance_ms(1);
    }
    let refused = world.join(request(7)).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.reason, refused.value("max")),
        (Code::ResourceExhausted, reason::ENTRIES_MAX, Some("6"))
    );
    let other = wire::JoinWaitlistRequest { account: "bob".into(), ..request(8) };
    world.join(other).await.unwrap();
    assert_eq!(world.entry(&id(8)).await.unwrap_err().code, Code::NotFound);
    assert_eq!(world.leave(&id(8)).await.unwrap_err().code, Code::NotFound);
    world.leave(&id(3)).await.unwrap();
    world.join(request(7)).await.unwrap();

    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListEntriesRequest { account: "alice".into(), page_size: 3, page_token };
        let page = world.client().list_entries(request).await.unwrap().into_inner();
        listed.extend(page.entries.into_iter().map(|entry| entry.entry_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, [7, 6, 5, 4, 3, 2, 1].map(id), "newest first, each once");
    world.stop().await;
}

#[tokio::test]
async fn an_id_with_other_content_is_refused() {
    let world = World::new().await;
    world.join(request(1)).await.unwrap();
    let others = [
        wire::JoinWaitlistRequest { account: "bob".into(), ..request(1) },
        wire::JoinWaitlistRequest { to_stop: 16, ..request(1) },
        wire::JoinWaitlistRequest { passengers: vec![passenger("440524188001010014")], ..request(1) },
    ];
    for other in others {
        let refused = world.join(other).await.unwrap_err();
        assert_eq!((refused.code, refused.reason), (Code::AlreadyExists, reason::REQUEST_ID_REUSED));
    }
    world.stop().await;
}

#[tokio::test]
async fn wrong_fields_are_named_and_personal_data_is_not_repeated() {
    let world = World::new().await;
    let wrong_id = "110105194912310021";
    let far = DEPARTURE.millis();
    let too_many: Vec<_> = (0..6).map(|_| passenger(CANARY)).collect();
    let broken: [(&str, wire::JoinWaitlistRequest); 11] = [
        ("entry_id", wire::JoinWaitlistRequest { entry_id: "1".into(), ..request(1) }),
        ("account", wire::JoinWaitlistRequest { account: String::new(), ..request(1) }),
        ("run", wire::JoinWaitlistRequest { run: None, ..request(1) }),
        ("seat_class", wire::JoinWaitlistRequest { seat_class: 0, ..request(1) }),
        ("to_stop", wire::JoinWaitlistRequest { to_stop: 0, ..request(1) }),
        ("to_stop", wire::JoinWaitlistRequest { to_stop: 18, ..request(1) }),
        ("passengers", wire::JoinWaitlistRequest { passengers: vec![], ..request(1) }),
        (
            "passengers[1].document_number",
            wire::JoinWaitlistRequest { passengers: too_many[..2].to_vec(), ..request(1) },
        ),
        ("passengers", wire::JoinWaitlistRequest { passengers: too_many, ..request(1) }),
        (
            "passengers[0].document_number",
            wire::JoinWaitlistRequest { passengers: vec![passenger(wrong_id)], ..request(1) },
        ),
        ("deadline_ms", wire::JoinWaitlistRequest { deadline_ms: far, ..request(1) }),
    ];
    for (field, request) in broken {
        let refused = world.join(request).await.unwrap_err();
        assert_eq!((refused.code, refused.fields[0].0.as_str()), (Code::InvalidArgument, field));
        assert!(!refused.message.contains(wrong_id) && !refused.message.contains(CANARY));
    }
    let mut unknown = request(1);
    unknown.run.as_mut().unwrap().train_code = "G9999".into();
    assert_eq!(world.join(unknown).await.unwrap_err().reason, reason::TRAIN_NOT_FOUND);
    world.clock.set(DEPARTURE.plus_millis(-20 * 60_000));
    assert_eq!(world.join(request(1)).await.unwrap_err().reason, reason::SALE_CLOSED);
    assert!(world.shard.joined.lock().is_empty(), "nothing reached the line");
    world.stop().await;
}
