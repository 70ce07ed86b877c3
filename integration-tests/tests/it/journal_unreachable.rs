//! The way to the journal's server is silently dead for a while: connections stand, and no answer comes.

use std::time::{Duration, Instant};

use proto::common::v1 as wire;
use proto::gateway::v1 as gateway;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::client::{Caller, order_for, service_date};
use crate::support::postgres::{address_of, by_way_of, new_database};
use crate::support::process::{Serving, audit_is_clean};
use crate::support::proxy::Proxy;
use crate::support::skipped;

const TRAIN: &str = "G71";
const CLIENTS: u32 = 16;
/// How long the journal is away: longer than its statements may take, so that every way of not answering is met.
const AWAY: Duration = Duration::from_secs(12);
/// A client's own deadline, and how much later than it an answer may come on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(2);
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// What 12 s of shed load may leave in memory.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// What clients heard while the journal was away.
#[derive(Debug, Default)]
struct Heard {
    told_when_to_come_again: u32,
    deadline_exceeded: u32,
}

// The proxy works while the story waits for a process.
#[tokio::test(flavor = "multi_thread")]
async fn holds_are_shed_and_reads_go_on_while_the_journal_is_unreachable() {
    let Ok(server) = std::env::var("CHUNYUN_TEST_POSTGRES") else {
        return skipped("a journal out of reach", "CHUNYUN_TEST_POSTGRES is not set");
    };
    let journal = new_database(&server, "unreachable");
    let proxy = Proxy::to(address_of(&journal)).await;
    let data = tempfile::tempdir().unwrap();
    let far = by_way_of(&journal, proxy.address);
    let serving = Serving::embedded_with(data.path(), &[("CHUNYUN_STORAGE__JOURNAL", &far)]);
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&[TRAIN]).await;
    let alice = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    place(&alice, 1).await.unwrap();
    let memory = serving.resident_bytes();

    proxy.fall_silent();
    let until = Instant::now() + AWAY;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let caller = Caller::new(&serving.gateway(), data.path(), &format!("client-{client}"), &[]).await;
        clients.spawn(ask_in_vain(caller, client, until));
    }
    let mut reads = 0;
    while Instant::now() < until {
        let run = wire::Run { train_code: TRAIN.to_owned(), service_date: service_date(), ordinal: 1 };
        let shown = alice.gateway().get_train(gateway::GetTrainRequest { run: Some(run) }).await.unwrap().into_inner();
        assert!(shown.train.unwrap().availability.iter().any(|available| available.seats > 0), "it is still shown");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut heard = Heard::default();
    while let Some(client) = clients.join_next().await {
        let client = client.unwrap();
        heard.told_when_to_come_again += client.told_when_to_come_again;
        heard.deadline_exceeded += client.deadline_exceeded;
    }
    let growth = serving.resident_bytes().saturating_sub(memory);
    eprintln!("{heard:?}, {reads} reads, {} KiB more memory", growth >> 10);
    assert!(heard.told_when_to_come_again > CLIENTS, "{heard:?}");
    // Only who was already waiting when the journal fell silent may miss the word in time.
    assert!(heard.deadline_exceeded * 10 <= heard.told_when_to_come_again, "{heard:?}");
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");

    proxy.recover();
    let back = Instant::now();
    // Another account: alice has an order that waits for its payment.
    let bob = Caller::new(&serving.gateway(), data.path(), "bob", &[]).await;
    while let Err(status) = place(&bob, 2).await {
        assert!(back.elapsed() < BACK_WITHIN, "it recovers by itself: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("orders are taken again after {} ms", back.elapsed().as_millis());
    assert_eq!(serving.terminate(), Some(0));
    audit_is_clean(&journal, &[]);
}

/// Orders again and again, as it is told to, until a moment. Nothing may be acknowledged.
async fn ask_in_vain(caller: Caller, client: u32, until: Instant) -> Heard {
    let mut heard = Heard::default();
    let mut number = 0;
    while Instant::now() < until {
        number += 1;
        let asked = Instant::now();
        let status = place(&caller, 1_000 * (client + 1) + number).await.expect_err("nothing can be promised now");
        assert!(asked.elapsed() < DEADLINE + SLACK, "{:?}: {status:?}", asked.elapsed());
        match (status.code(), status.get_error_details().retry_info()) {
            (Code::Unavailable, Some(retry)) => {
                heard.told_when_to_come_again += 1;
                tokio::time::sleep(retry.retry_delay.unwrap_or_default().min(Duration::from_millis(200))).await;
            }
            // The word comes from the client's own clock: nobody had answered by then.
            (Code::DeadlineExceeded | Code::Cancelled, _) => heard.deadline_exceeded += 1,
            _ => panic!("{status:?}"),
        }
    }
    heard
}

async fn place(caller: &Caller, passenger: u32) -> Result<(), Status> {
    let mut request = Request::new(order_for(TRAIN, "北京西", "武汉", &[passenger]));
    request.set_timeout(DEADLINE);
    caller.gateway().place_order(request).await.map(drop)
}
