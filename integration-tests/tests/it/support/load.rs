use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proto::gateway::v1 as gateway;
use proto::order::v1::OrderState;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

use super::client::{Caller, order_for, reason};
use super::ring_fleet::RingFleet;

/// A train of the sample timetable, and from where to where passengers want to go with it.
pub type Way = (&'static str, &'static str, &'static str);

/// What is sold.
pub const WAYS: [Way; 3] = [("G71", "北京西", "武汉"), ("G1", "北京南", "上海虹桥"), ("G2", "上海虹桥", "北京南")];
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
    /// Orders among them whose tickets were given back.
    pub given_back: HashSet<String>,
    /// Calls that were answered with a no, as reasons.
    pub refusals: Vec<String>,
    /// Orders that were placed and came to no tickets, and why.
    pub unserved: Vec<String>,
    /// When each call was made, how long it took, of which train, and its failure, if it had one.
    pub calls: Vec<(Instant, Duration, &'static str, Option<String>)>,
}

impl Load {
    /// Clients that buy from all trains in turn, and keep what they buy.
    pub async fn start(fleet: &RingFleet, clients: u32) -> Self {
        Self::of(fleet, (0..clients as usize).map(|first| (&WAYS[..], first)), 1).await
    }

    /// So many clients for each train. They give all tickets back but one in `keep_every`: the trains never sell out.
    pub async fn of_each(fleet: &RingFleet, ways: &'static [Way], clients: usize, keep_every: usize) -> Self {
        Self::of(fleet, ways.chunks(1).flat_map(|way| (0..clients).map(move |first| (way, first))), keep_every).await
    }

    async fn of(fleet: &RingFleet, clients: impl Iterator<Item = (&'static [Way], usize)>, keep_every: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for (ways, first) in clients {
            let account = format!("client-{}", ACCOUNTS.fetch_add(1, Ordering::Relaxed));
            let caller = Caller::new(&fleet.gateway(), fleet.data(), &account, &[]).await;
            running.spawn(Client { caller, account, ways, first, keep_every, stop: stop.clone() }.buy());
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
            all.given_back.extend(done.given_back);
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

    /// Nobody was refused, and every acknowledged order got its tickets and still has those that were not given back.
    pub async fn expect_all(&self, fleet: &RingFleet) {
        assert!(self.refusals.is_empty(), "{:?}", self.refusals);
        assert!(self.unserved.is_empty(), "{:?}", self.unserved);
        let mut callers = std::collections::HashMap::new();
        for (account, order_id) in &self.orders {
            if !callers.contains_key(account) {
                callers.insert(account.clone(), Caller::new(&fleet.gateway(), fleet.data(), account, &[]).await);
            }
            if self.given_back.contains(order_id) {
                // The money may be on its way still.
                callers[account].until(order_id, &[OrderState::Refunded]).await;
                continue;
            }
            let request = gateway::GetOrderRequest { order_id: order_id.clone() };
            let order = callers[account].gateway().get_order(request).await;
            assert_eq!(order.unwrap().into_inner().order.unwrap().state(), OrderState::Confirmed, "{order_id}");
        }
    }
}

/// One client: an order, its payment, its tickets, and the next one, since an account with an unpaid order gets no other.
struct Client {
    caller: Caller,
    account: String,
    ways: &'static [Way],
    /// The way it begins with.
    first: usize,
    keep_every: usize,
    stop: Arc<AtomicBool>,
}

impl Client {
    async fn buy(self) -> Done {
        let mut done = Done::default();
        for number in self.first.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let way = self.ways[number % self.ways.len()];
            if let Some(order_id) = self.place(way, &mut done).await {
                done.orders.push((self.account.clone(), order_id.clone()));
                let train = way.0;
                match tokio::time::timeout(TICKETS_TIMEOUT, pay(&self.caller, &order_id)).await {
                    Ok(OrderState::Confirmed) if number % self.keep_every != 0 => {
                        match tokio::time::timeout(TICKETS_TIMEOUT, give_back(&self.caller, &order_id)).await {
                            Ok(()) => drop(done.given_back.insert(order_id)),
                            Err(_) => done.unserved.push(format!("{order_id} of {train}: not given back in time")),
                        }
                    }
                    Ok(OrderState::Confirmed) => {}
                    Ok(other) => done.unserved.push(format!("{order_id} of {train}: paid, but {other:?}")),
                    Err(_) => done.unserved.push(format!("{order_id} of {train}: no tickets in time")),
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        done
    }

    /// Places one order, again and again with the same content until it is answered; its id, unless it was refused.
    async fn place(&self, (train, from, to): Way, done: &mut Done) -> Option<String> {
        let order = order_for(train, from, to, &[PEOPLE.fetch_add(1, Ordering::Relaxed)]);
        loop {
            let began = Instant::now();
            let mut request = Request::new(order.clone());
            request.set_timeout(CALL_TIMEOUT);
            let answer = self.caller.gateway().place_order(request).await;
            let (failure, placed) = match answer {
                Ok(_) => (None, Some(order.order_id.clone())),
                // A no is an answer.
                Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted) => {
                    done.refusals.push(told(&status));
                    (None, None)
                }
                Err(status) => (Some(told(&status)), None),
            };
            let failed = failure.is_some();
            done.calls.push((began, began.elapsed(), train, failure));
            if !failed || self.stop.load(Ordering::Relaxed) {
                return placed;
            }
            // Nobody knows whether it was placed: the same order again finds out.
            tokio::time::sleep(PAUSE).await;
        }
    }
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

/// Gives the ticket of an order back, again and again until that is answered.
async fn give_back(caller: &Caller, order_id: &str) {
    loop {
        let request = gateway::GetOrderRequest { order_id: order_id.to_owned() };
        let order = caller.gateway().get_order(request).await.ok().and_then(|answer| answer.into_inner().order);
        let ticket = order.and_then(|order| Some(order.tickets.first()?.ticket_id.clone()));
        if let Some(ticket_id) = ticket {
            let request = gateway::RefundTicketRequest { order_id: order_id.to_owned(), ticket_id };
            match caller.gateway().refund_ticket(request).await {
                Ok(_) => return,
                // It was given back by the call before, whose answer was lost.
                Err(status) if status.code() == Code::FailedPrecondition => return,
                Err(_) => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn told(status: &Status) -> String {
    format!("{}: {}", reason(status), status.message())
}
