//! An owner stands still, another takes its slots over, and the first goes on as if nothing had happened.

use std::time::{Duration, Instant};

use proto::inventory::v1::HoldResponse;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::postgres::{address_of, by_way_of, new_database};
use crate::support::process::audit_is_clean;
use crate::support::proxy::Proxy;
use crate::support::shard::{Acknowledged, Client, Hold, PATIENCE, Shard, place, says_when_to_come_again};
use crate::support::skipped;

const TRAIN: &str = "G71";
/// Requests under way when the owner freezes, and requests that reach it while it is frozen.
const LATE: u128 = 16;
/// How long those who ask the frozen owner wait: less than the second at least that it lets pass before it claims a slot
/// again that it has lost, as its ring tells it to. Until then whatever it accepted would be a zombie's word.
const BRIEF: Duration = Duration::from_millis(900);
const BACK_WITHIN: Duration = Duration::from_secs(30);

// The proxy works while the story waits for a process.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_owner_adds_nothing_and_answers_nobody() {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("a frozen owner", "CHUNYUN_TEST_POSTGRES is not set");
    };
    let journal = new_database(&server, "frozen");
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::to(address_of(&journal)).await;
    let old = Shard::start(dir.path(), "inventory-shard-0", &by_way_of(&journal, proxy.address));
    let mut told = Acknowledged::default();
    let mut asker = old.client().await;
    asker.open_sale(TRAIN).await;
    for order in 0..20 {
        let held = asker.hold(TRAIN, order, PATIENCE).await.unwrap();
        told.note(TRAIN, order, Hold::Held(place(&held.places)));
    }

    // It decides and writes down; what it has written is still on its way when it freezes.
    let appends = old.count("appends").await;
    proxy.keep();
    let mut under_way = ask_for_holds(&asker, 1_000, PATIENCE);
    let sent = async {
        while old.count("appends").await == appends {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BACK_WITHIN, sent).await.expect("an append is on its way");
    old.serving.signal("STOP");
    let new = Shard::start(dir.path(), "inventory-shard-1", &journal);
    let mut client = new.client().await;
    for order in 100..120 {
        let held = client.hold(TRAIN, order, PATIENCE).await.unwrap();
        told.note(TRAIN, order, Hold::Held(place(&held.places)));
    }
    // These reach the frozen process and wait in its sockets, with questions about what it believes.
    let mut late = ask_for_holds(&asker, 2_000, BRIEF);
    let mut looks = JoinSet::new();
    for order in 100..104 {
        let mut client = asker.clone();
        looks.spawn(async move { client.get_hold(TRAIN, order, BRIEF).await });
    }
    // Its late append arrives, and then it goes on.
    proxy.recover();
    tokio::time::sleep(BRIEF / 8).await;
    old.serving.signal("CONT");
    let mut told_to_come_again = 0;
    while let Some(answer) = late.join_next().await {
        let (order, answer) = answer.unwrap();
        let status = answer.expect_err("what was decided without the slot is never accepted");
        told_to_come_again += u32::from(says_when_to_come_again(&status));
        assert!(says_nothing(&status), "order {order}: {status:?}");
    }
    while let Some(look) = looks.join_next().await {
        // It does not know of these holds, and does not say so.
        let status = look.unwrap().expect_err("what it believes is not shown");
        assert!(says_nothing(&status), "{status:?}");
    }
    // Those who asked were answered as soon as a heartbeat said that the slot is lost; the append's answer comes when it comes.
    let refused = async {
        while old.count("batches_fenced").await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BACK_WITHIN, refused).await.expect("its late append was refused");
    eprintln!("the frozen owner: its batch was fenced, {told_to_come_again} of {LATE} told to come again");
    old.serving.kill();

    while let Some(answer) = under_way.join_next().await {
        let (order, answer) = answer.unwrap();
        assert!(answer.is_err(), "order {order} was never written down: {answer:?}");
    }
    // The old owner may have claimed the slots back before it was killed; the new one then takes them again.
    let back = Instant::now();
    while let Err(status) = client.hold(TRAIN, 121, PATIENCE).await {
        assert!(back.elapsed() < BACK_WITHIN, "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    told.is_durable_at(&mut client).await;
    for order in (1_000..1_000 + LATE).chain(2_000..2_000 + LATE) {
        assert_eq!(client.get_hold(TRAIN, order, PATIENCE).await.unwrap(), None, "order {order} left nothing behind");
    }
    assert_eq!(new.serving.terminate(), Some(0));
    audit_is_clean(&journal, &[]);
}

/// Whether a status leaves open what is so: come again, or no word in time.
fn says_nothing(status: &Status) -> bool {
    says_when_to_come_again(status) || matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

/// Asks for holds of orders from `first` on, all at once.
fn ask_for_holds(client: &Client, first: u128, patience: Duration) -> JoinSet<(u128, Result<HoldResponse, Status>)> {
    let mut asked = JoinSet::new();
    for order in first..first + LATE {
        let mut client = client.clone();
        asked.spawn(async move { (order, client.hold(TRAIN, order, patience).await) });
    }
    asked
}
