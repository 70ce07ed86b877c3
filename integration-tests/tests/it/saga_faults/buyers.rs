//! Clients that buy, change their mind, change tickets and give them back without end, and repeat whatever was not answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use proto::common::v1::SeatClass;
use proto::gateway::v1 as gateway;
use proto::order::v1::{Order, OrderState, TicketChangeState, TicketState};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::client::{Caller, new_id, order_for};

const BUYERS: u32 = 6;
/// A client repeats one request so often: faults come one after the other, each over in seconds.
const TRIES_MAX: u32 = 60;
const TRY_EVERY: Duration = Duration::from_millis(250);
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a client waits for its tickets before it looks for something else to buy.
const TICKETS_TIMEOUT: Duration = Duration::from_secs(4);

/// The clients, and what they have seen.
pub struct Buyers {
    tasks: JoinSet<()>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    placed: AtomicU32,
    changed: AtomicU32,
    ended: AtomicU32,
}

/// What came of the load.
pub struct Done {
    /// Orders that were placed.
    pub placed: u32,
    /// Changes that were answered with other tickets.
    pub changed: u32,
    /// Orders that were answered to their end.
    pub ended: u32,
}

impl Buyers {
    pub async fn start(gateway: &str, data: &Path) -> Self {
        let (mut tasks, seen) = (JoinSet::new(), Arc::new(Seen::default()));
        for number in 0..BUYERS {
            let caller = Caller::new(gateway, data, &format!("buyer-{number}"), &[]).await;
            tasks.spawn(buy_on(caller, number, seen.clone()));
        }
        Self { tasks, seen }
    }

    /// Lets everyone finish what is begun.
    pub async fn stop(mut self) -> Done {
        self.seen.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let [placed, changed, ended] =
            [&self.seen.placed, &self.seen.changed, &self.seen.ended].map(|count| count.load(Ordering::Relaxed));
        Done { placed, changed, ended }
    }
}

async fn buy_on(caller: Caller, buyer: u32, seen: Arc<Seen>) {
    for number in 0.. {
        if seen.stop.load(Ordering::Relaxed) {
            return;
        }
        buy(&caller, buyer, number, &seen).await;
    }
}

async fn buy(caller: &Caller, buyer: u32, number: u32, seen: &Seen) {
    let passengers = [buyer * 100_000 + 2 * number, buyer * 100_000 + 2 * number + 1];
    let mut request = order_for("G71", "北京西", "武汉", &passengers);
    if number % 6 == 1 {
        request.legs[0].seat_class = SeatClass::First as i32;
    }
    let id = request.order_id.clone();
    if answered(seen, || place(caller, request.clone())).await.is_none() {
        return;
    }
    seen.placed.fetch_add(1, Ordering::Relaxed);
    if number % 3 == 1 {
        // A second train at the same time for the same people: order refuses what the shard has held.
        let other = order_for("G1", "北京南", "上海虹桥", &passengers);
        answered(seen, || place(caller, other.clone())).await;
    }
    match number % 6 {
        // Given up unpaid; left to lapse.
        3 => {
            answered(seen, || cancel(caller, &id)).await;
            return;
        }
        5 => return,
        _ => {}
    }
    let token = if number % 6 == 4 { "sandbox-slow" } else { "sandbox-ok" };
    if answered(seen, || pay(caller, &id, token)).await.is_none() {
        return;
    }
    if token == "sandbox-slow" {
        answered(seen, || cancel(caller, &id)).await;
        return;
    }
    if change(caller, &id, number, seen).await.is_none() {
        return;
    }
    let Ok(order) = tokio::time::timeout(TICKETS_TIMEOUT, tickets(caller, &id)).await else { return };
    let good = order.tickets.iter().filter(|ticket| ticket.state == TicketState::Issued as i32);
    for ticket in good.take(number as usize % 2 + 1) {
        answered(seen, || give_back(caller, &id, &ticket.ticket_id)).await;
    }
    seen.ended.fetch_add(1, Ordering::Relaxed);
}

/// Changes the first ticket, to a dearer class or a cheaper one, and pays what is owed at once, later or never. `None` when
/// the order has no tickets in time.
async fn change(caller: &Caller, id: &str, number: u32, seen: &Seen) -> Option<()> {
    let order = tokio::time::timeout(TICKETS_TIMEOUT, tickets(caller, id)).await.ok()?;
    let class = if number % 6 == 1 { SeatClass::Second } else { SeatClass::First };
    let mut legs = order_for("G71", "北京西", "武汉", &[]).legs;
    legs[0].seat_class = class as i32;
    let token = ["sandbox-ok", "", "sandbox-slow"][number as usize / 6 % 3];
    let request = gateway::ChangeTicketRequest {
        change_id: new_id(),
        order_id: id.to_owned(),
        ticket_ids: vec![order.tickets.first()?.ticket_id.clone()],
        leg: legs.pop(),
        payment_token: token.to_owned(),
        ..Default::default()
    };
    let mut told = answered(seen, || ask_for_change(caller, request.clone())).await;
    let is_unpaid = |told: &Option<TicketChangeState>| *told == Some(TicketChangeState::Unpaid);
    if is_unpaid(&told) && token.is_empty() {
        answered(seen, || pay(caller, id, "sandbox-ok")).await;
    } else if is_unpaid(&told) && token == "sandbox-slow" {
        answered(seen, || cancel(caller, id)).await;
    }
    // It goes on by itself, to other tickets or back to the old ones.
    if tokio::time::timeout(TICKETS_TIMEOUT, tickets(caller, id)).await.is_ok() {
        told = answered(seen, || ask_for_change(caller, request.clone())).await;
    }
    if told == Some(TicketChangeState::Done) {
        seen.changed.fetch_add(1, Ordering::Relaxed);
    }
    Some(())
}

/// Repeats a request until it is answered: with `None` when it is refused, or when nobody answers for long.
async fn answered<T, F: Future<Output = Result<T, Status>>>(seen: &Seen, ask: impl Fn() -> F) -> Option<T> {
    for _ in 0..TRIES_MAX {
        match tokio::time::timeout(CALL_TIMEOUT, ask()).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(status)) if !may_pass(status.code()) => return None,
            _ if seen.stop.load(Ordering::Relaxed) => return None,
            _ => tokio::time::sleep(TRY_EVERY).await,
        }
    }
    None
}

const fn may_pass(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted)
}

async fn place(caller: &Caller, request: gateway::PlaceOrderRequest) -> Result<(), Status> {
    caller.gateway().place_order(request).await.map(drop)
}

async fn pay(caller: &Caller, id: &str, token: &str) -> Result<(), Status> {
    let request = gateway::PayOrderRequest { order_id: id.to_owned(), payment_token: token.to_owned() };
    caller.gateway().pay_order(request).await.map(drop)
}

async fn cancel(caller: &Caller, id: &str) -> Result<(), Status> {
    caller.gateway().cancel_order(gateway::CancelOrderRequest { order_id: id.to_owned() }).await.map(drop)
}

async fn ask_for_change(caller: &Caller, request: gateway::ChangeTicketRequest) -> Result<TicketChangeState, Status> {
    let answer = caller.gateway().change_ticket(request).await?.into_inner();
    Ok(answer.change.unwrap_or_default().state())
}

async fn give_back(caller: &Caller, id: &str, ticket: &str) -> Result<(), Status> {
    let request = gateway::RefundTicketRequest { order_id: id.to_owned(), ticket_id: ticket.to_owned() };
    caller.gateway().refund_ticket(request).await.map(drop)
}

async fn tickets(caller: &Caller, id: &str) -> Order {
    loop {
        let asked = caller.gateway().get_order(gateway::GetOrderRequest { order_id: id.to_owned() }).await;
        let order = asked.ok().and_then(|answer| answer.into_inner().order);
        if let Some(order) = order.filter(|order| order.state == OrderState::Confirmed as i32) {
            return order;
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}
