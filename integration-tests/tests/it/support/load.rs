use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proto::gateway::v1 as gateway;
use tokio::task::JoinSet;
use tonic::{Code, Request};

use super::client::{Caller, order_for, reason};
use super::ring_fleet::RingFleet;

/// What is sold: trains of the sample timetable with the way that is asked for.
pub const WAYS: [(&str, &str, &str); 3] =
    [("G71", "北京西", "武汉"), ("G1", "北京南", "上海虹桥"), ("G2", "上海虹桥", "北京南")];
/// How long a client waits for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two orders of one client.
const PAUSE: Duration = Duration::from_millis(40);

/// Clients that place orders until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Done>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Done {
    /// Orders that were acknowledged, with the account that has them.
    pub orders: Vec<(String, String)>,
    /// When each call was made, how long it took, of which train, and its failure, if it had one.
    pub calls: Vec<(Instant, Duration, &'static str, Option<String>)>,
}

impl Load {
    /// Clients that buy from all trains in turn.
    pub async fn start(fleet: &RingFleet, clients: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let people = Arc::new(AtomicU32::new(1));
        let mut running = JoinSet::new();
        for client in 0..clients {
            let account = format!("client-{client}");
            let caller = Caller::new(&fleet.gateway(), fleet.data(), &account, &[]).await;
            running.spawn(buy(caller, account, client, stop.clone(), people.clone()));
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

    /// Every acknowledged order is there.
    pub async fn expect_all(&self, fleet: &RingFleet) {
        let mut callers = std::collections::HashMap::new();
        for (account, order_id) in &self.orders {
            if !callers.contains_key(account) {
                callers.insert(account.clone(), Caller::new(&fleet.gateway(), fleet.data(), account, &[]).await);
            }
            let request = gateway::GetOrderRequest { order_id: order_id.clone() };
            let order = callers[account].gateway().get_order(request).await;
            assert_eq!(order.unwrap().into_inner().order.unwrap().order_id, *order_id);
        }
    }
}

async fn buy(caller: Caller, account: String, client: u32, stop: Arc<AtomicBool>, people: Arc<AtomicU32>) -> Done {
    let mut done = Done::default();
    for number in client as usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (train, from, to) = WAYS[number % WAYS.len()];
        let order = order_for(train, from, to, &[people.fetch_add(1, Ordering::Relaxed)]);
        let order_id = order.order_id.clone();
        let began = Instant::now();
        let mut request = Request::new(order);
        request.set_timeout(CALL_TIMEOUT);
        let failure = match caller.gateway().place_order(request).await {
            Ok(_) => {
                done.orders.push((account.clone(), order_id));
                None
            }
            // A no is an answer.
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted) => None,
            Err(status) => Some(format!("{}: {}", reason(&status), status.message())),
        };
        done.calls.push((began, began.elapsed(), train, failure));
        tokio::time::sleep(PAUSE).await;
    }
    done
}
