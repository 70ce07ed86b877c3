use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proto::gateway::v1 as gateway;
use proto::order::v1::OrderState;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

use super::client::{Caller, order_for, reason};
use super::ring_fleet::RingFleet;

/// What is sold: trains of the sample timetable with the way that is asked for.
pub const WAYS: [(&str, &str, &str); 3] =
    [("G71", "北京西", "武汉"), ("G1", "北京南", "上海虹桥"), ("G2", "上海虹桥", "北京南")];
/// How long a client waits for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client waits for its tickets.
const TICKETS_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two orders of one client, and two tries.
const PAUSE: Duration = Duration::from_millis(40);

/// Everybody travels once, and every client of every load has an account of its own.
static PEOPLE: AtomicU32 = AtomicU32::new(1);
static ACCOUNTS: AtomicU32 = AtomicU32::new(1);

/// Clients that buy, paying each order, until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Done>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Done {
    /// Orders that were acknowledged, with the account that has them.
    pub orders: Vec<(String, String)>,
    /// Calls that were answered with a no, as reasons.
    pub refusals: Vec<String>,
    /// Orders that were placed and came to no tickets, and why.
    pub unserved: Vec<String>,
    /// When each call was made, how long it took, of which train, and its failure, if it had one.
    pub calls: Vec<(Instant, Duration, &'static str, Option<String>)>,
}

impl Load {
    /// Clients that buy from all trains in turn.
    pub async fn start(fleet: &RingFleet, clients: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for client in 0..clients {
            let account = format!("client-{}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
            let caller = Caller::new(&fleet.gateway(), fleet.data(), &account, &[]).await;
            running.spawn(buy(caller, account, client, stop.clone()));
        }
        Self { stop, clients: running }
    }

    /// Lets everybody finish.
    pub async fn stop(mut self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        while let Some(done) = self.clients.join_next().await {
            let done = done.unwrap();
            all.orders.extend(done.orders);
            all.unserved.extend(done.unserved);
            all.refusals.extend(done.refusals);
            all.calls.extend(done.calls);
        }
        all
    }
}

impl Done {
    /// Calls that failed, as reasons.
    pub fn failures(&self) -> Vec<&str> {
        self.calls.iter().filter_map(|(_, _, _, failure)| failure.as_deref()).collect()
    }

    /// The time within which this share of the calls was answered.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.calls.iter().map(|(_, took, _, _)| *took).collect();
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize]
    }

    /// Says what came of it, on one line.
    pub fn say(&self, what: &str) {
        eprintln!(
            "{what}: {} orders, {} calls, {} failed, {} refused, place p50 {:?}, p99 {:?}",
            self.orders.len(),
            self.calls.len(),
            self.failures().len(),
            self.refusals.len(),
            self.quantile(0.5),
            self.quantile(0.99),
        );
    }

    /// Nobody was refused, and every acknowledged order got its tickets and still has them.
    pub async fn expect_all(&self, fleet: &RingFleet) {
        assert!(self.refusals.is_empty(), "{:?}", self.refusals);
        assert!(self.unserved.is_empty(), "{:?}", self.unserved);
        let mut callers = std::collections::HashMap::new();
        for (account, order_id) in &self.orders {
            if !callers.contains_key(account) {
                callers.insert(account.clone(), Caller::new(&fleet.gateway(), fleet.data(), account, &[]).await);
            }
            let request = gateway::GetOrderRequest { order_id: order_id.clone() };
            let order = callers[account].gateway().get_order(request).await;
            assert_eq!(order.unwrap().into_inner().order.unwrap().state(), OrderState::Confirmed, "{order_id}");
        }
    }
}

/// One client: an order, its payment, its tickets, and the next one, since an account with an unpaid order gets no other.
async fn buy(caller: Caller, account: String, client: u32, stop: Arc<AtomicBool>) -> Done {
    let mut done = Done::default();
    for number in client as usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (train, from, to) = WAYS[number % WAYS.len()];
        let order = order_for(train, from, to, &[PEOPLE.fetch_add(1, Ordering::Relaxed)]);
        let order_id = order.order_id.clone();
        let placed = loop {
            let began = Instant::now();
            let mut request = Request::new(order.clone());
            request.set_timeout(CALL_TIMEOUT);
            let answer = caller.gateway().place_order(request).await;
            let (failure, placed) = match answer {
                Ok(_) => (None, true),
                // A no is an answer.
                Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted) => {
                    done.refusals.push(told(&status));
                    (None, false)
                }
                Err(status) => (Some(told(&status)), false),
            };
            let failed = failure.is_some();
            done.calls.push((began, began.elapsed(), train, failure));
            if !failed || stop.load(Ordering::Relaxed) {
                break placed;
            }
            // Nobody knows whether it was placed: the same order again finds out.
            tokio::time::sleep(PAUSE).await;
        };
        if placed {
            done.orders.push((account.clone(), order_id.clone()));
            match tokio::time::timeout(TICKETS_TIMEOUT, pay(&caller, &order_id)).await {
                Ok(OrderState::Confirmed) => {}
                Ok(other) => done.unserved.push(format!("{order_id} of {train}: paid, but {other:?}")),
                Err(_) => done.unserved.push(format!("{order_id} of {train}: no tickets in time")),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    done
}

/// Pays, again and again with the same content until it is answered, and watches until the order has come to rest.
async fn pay(caller: &Caller, order_id: &str) -> OrderState {
    loop {
        let request =
            gateway::PayOrderRequest { order_id: order_id.to_owned(), payment_token: "sandbox-ok".to_owned() };
        match caller.gateway().pay_order(request).await {
            Ok(_) => break,
            Err(status) if status.code() == Code::FailedPrecondition => panic!("{}", told(&status)),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    loop {
        let request = gateway::WatchOrderRequest { order_id: order_id.to_owned() };
        let Ok(changes) = caller.gateway().watch_order(request).await else { continue };
        let mut changes = changes.into_inner();
        while let Ok(Some(change)) = changes.message().await {
            let state = change.order.map(|order| order.state()).unwrap_or_default();
            if matches!(state, OrderState::Confirmed | OrderState::Released | OrderState::Refunded) {
                return state;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn told(status: &Status) -> String {
    format!("{}: {}", reason(status), status.message())
}
