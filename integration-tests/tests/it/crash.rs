//! The whole process is killed in the middle of a rush and started again on the same data.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::gateway::v1 as gateway;
use proto::order::v1::{OrderState, TicketState};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::client::{Caller, order_for};
use crate::support::process::{self, Serving};

/// Clients that buy at once; each has an account and a passenger of its own for every order.
const CLIENTS: u32 = 16;
/// The kill comes when so many orders have their tickets.
const TICKETED_BEFORE_KILL: usize = 60;
const RUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// What the fleet told clients before it died: order id -> the furthest state that was acknowledged.
type Acknowledged = Arc<Mutex<BTreeMap<String, OrderState>>>;

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill_in_the_middle() {
    let data = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    let serving = Serving::embedded(data.path());
    let gateway = serving.gateway();
    Caller::new(&gateway, data.path(), "ops", &["--operator"]).await.open_sale(&["G71", "G1"]).await;

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let caller = Caller::new(&gateway, data.path(), &format!("client-{client}"), &[]).await;
        clients.spawn(buy_until_it_fails(caller, client, acknowledged.clone()));
    }
    let enough = async {
        while ticketed(&acknowledged) < TICKETED_BEFORE_KILL {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(RUSH_TIMEOUT, enough).await.expect("enough orders get their tickets");
    serving.kill();
    while clients.join_next().await.is_some() {}

    let serving = Serving::embedded(data.path());
    let acknowledged = acknowledged.lock().unwrap().clone();
    for client in 0..CLIENTS {
        let caller = Caller::new(&serving.gateway(), data.path(), &format!("client-{client}"), &[]).await;
        expect_no_less(&caller, client, &acknowledged).await;
    }
    let audit = process::chunyun(&["audit", "--data", data.path().to_str().unwrap(), "--json"]);
    let report: Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert!(audit.status.success(), "{report}");
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report}");
    assert!(report["counts"]["orders"].as_u64().unwrap() >= TICKETED_BEFORE_KILL as u64, "{report}");
}

fn ticketed(acknowledged: &Acknowledged) -> usize {
    acknowledged.lock().unwrap().values().filter(|state| **state == OrderState::Confirmed).count()
}

async fn buy_until_it_fails(caller: Caller, client: u32, acknowledged: Acknowledged) {
    for number in 0.. {
        let (train, from, to) =
            if number % 2 == 0 { ("G71", "北京西", "武汉") } else { ("G1", "北京南", "上海虹桥") };
        let mut order = order_for(train, from, to, &[client * 10_000 + number]);
        // The account is told apart afterwards by the beginning of the id.
        order.order_id.replace_range(0..8, &format!("{client:08x}"));
        let order_id = order.order_id.clone();
        if caller.gateway().place_order(order).await.is_err() {
            return;
        }
        acknowledged.lock().unwrap().insert(order_id.clone(), OrderState::Held);
        let request = gateway::PayOrderRequest { order_id: order_id.clone(), payment_token: "sandbox-ok".to_owned() };
        if caller.gateway().pay_order(request).await.is_err() {
            return;
        }
        acknowledged.lock().unwrap().insert(order_id.clone(), OrderState::Paying);
        let request = gateway::WatchOrderRequest { order_id: order_id.clone() };
        let Ok(changes) = caller.gateway().watch_order(request).await else { return };
        let mut changes = changes.into_inner();
        while let Ok(Some(change)) = changes.message().await {
            if change.order.unwrap().state == OrderState::Confirmed as i32 {
                acknowledged.lock().unwrap().insert(order_id.clone(), OrderState::Confirmed);
                break;
            }
        }
    }
}

/// Every order the client was told of still stands, at least as far as it was told; a paid one gets its tickets.
async fn expect_no_less(caller: &Caller, client: u32, acknowledged: &BTreeMap<String, OrderState>) {
    let mine = acknowledged.iter().filter(|(id, _)| id.starts_with(&format!("{client:08x}")));
    for (order_id, told) in mine {
        let order = match told {
            OrderState::Held => {
                let request = gateway::GetOrderRequest { order_id: order_id.clone() };
                caller.gateway().get_order(request).await.unwrap().into_inner().order.unwrap()
            }
            _ => caller.until(order_id, &[OrderState::Confirmed]).await,
        };
        assert_eq!(order.order_id, *order_id);
        if *told != OrderState::Held {
            assert!(order.tickets.iter().all(|ticket| ticket.state == TicketState::Issued as i32), "{order:?}");
        }
    }
}
