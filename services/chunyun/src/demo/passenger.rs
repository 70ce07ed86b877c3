//! One party from its search to its tickets, through the public API alone.

mod change;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{OrderId, SeatClass};
use proto::common::v1 as wire;
use proto::gateway::v1 as gateway;
use proto::order::v1::{Order, OrderState, Ticket, TicketState};
use proto::query::v1 as query;
use proto::waitlist::v1::EntryState;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::demand::{Temper, Wish};
use super::tally::{Call, Tally};
use super::{people, stage::Stage};
use crate::client::{Connection, reason, retry_after_ms};

/// How many journeys a party tries before it gives up or waits in line.
const TRIES_MAX: usize = 3;
/// How often a call that the fleet shed is repeated, each time with the same ids.
const REPEATS_MAX: u32 = 20;
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a paid order may take to its tickets before the demo calls it lost.
const TICKET_TIMEOUT: Duration = Duration::from_secs(60);
const LINE_POLL: Duration = Duration::from_secs(2);
/// Before an order is watched again whose watching has ended.
const WATCH_PAUSE: Duration = Duration::from_millis(100);

/// A party on its way.
pub struct Party {
    stage: Arc<Stage>,
    connection: Connection,
    wish: Wish,
    passengers: Vec<wire::Passenger>,
    order_id: OrderId,
    tally: Tally,
    /// The party's place in the rush; given back while it waits in line.
    permit: Option<OwnedSemaphorePermit>,
}

/// A journey that the party would take.
struct Choice {
    train_code: String,
    from_station: String,
    to_station: String,
    seat_class: SeatClass,
    free: u32,
}

impl Party {
    /// The party of a number; people are numbered from `first_person`.
    pub fn new(stage: Arc<Stage>, connection: Connection, wish: Wish, first_person: usize, order_id: OrderId) -> Self {
        let passengers = (first_person..first_person + wish.party).map(people::person).collect();
        Self { stage, connection, wish, passengers, order_id, tally: Tally::default(), permit: None }
    }

    /// Searches, places, pays or not; gives back what happened.
    pub async fn travel(mut self, permit: OwnedSemaphorePermit) -> Tally {
        self.permit = Some(permit);
        let party = self.wish.party as u64;
        self.tally.asked = party;
        let segments = u64::from(self.wish.interval.segments()) * party;
        self.tally.asked_segments.insert(self.wish.train, segments);
        if let Err(status) = self.buy().await {
            *self.tally.failures.entry(format!("{}: {}", reason(&status), status.message())).or_default() += 1;
        }
        self.tally
    }

    async fn buy(&mut self) -> Result<(), Status> {
        let choices = self.search().await?;
        for choice in choices.iter().take(TRIES_MAX) {
            match self.place(choice).await {
                Ok(order) => return self.after_placing(order).await,
                Err(status) if is_refusal(&status) => {
                    *self.tally.reasons.entry(reason(&status)).or_default() += 1;
                }
                Err(status) => return Err(status),
            }
            // A new wish is a new order: an id stands for one content.
            self.order_id = OrderId::from_u128(self.order_id.as_u128() + 1);
        }
        if self.wish.patient && self.wait_in_line().await? {
            return Ok(());
        }
        self.tally.refused += self.wish.party as u64;
        Ok(())
    }

    /// What was wished for first, then whatever else goes that way with seats left, earliest first.
    async fn search(&mut self) -> Result<Vec<Choice>, Status> {
        let (from, to) = self.stage.stations(self.wish.train, self.wish.interval);
        let boarding_date = self.stage.boarding_date(self.wish.train, self.wish.interval.from());
        let search = query::SearchTrainsRequest { from, to, boarding_date, ..Default::default() };
        let request = gateway::SearchTrainsRequest { query: Some(search) };
        let client = self.connection.gateway();
        let answer = self
            .timed(Call::Search, async || client.clone().search_trains(timed_request(request.clone())).await)
            .await?;
        let journeys = answer.result.unwrap_or_default().journeys;
        let wished_train = self.stage.train_code(self.wish.train);
        let mut choices: Vec<Choice> =
            journeys.iter().flat_map(|journey| self.choices_of(journey, &wished_train)).collect();
        choices.sort_by_key(|choice| choice.train_code != wished_train);
        Ok(choices)
    }

    fn choices_of(&self, journey: &query::Journey, wished_train: &str) -> Option<Choice> {
        let train_code = journey.run.clone()?.train_code;
        let wished = train_code == wished_train;
        let class = i32::from(self.wish.class.code());
        let available = journey.availability.iter().find(|available| available.seat_class == class);
        let free = available.map_or(0, |available| available.seats);
        // The train of one's heart is asked for even when it looks sold out; others only with seats for all.
        (wished || free as usize >= self.wish.party).then(|| Choice {
            train_code,
            from_station: journey.from.clone().unwrap_or_default().station,
            to_station: journey.to.clone().unwrap_or_default().station,
            seat_class: self.wish.class,
            free,
        })
    }

    async fn place(&mut self, choice: &Choice) -> Result<Order, Status> {
        let request = gateway::PlaceOrderRequest {
            order_id: self.order_id.to_string(),
            legs: vec![self.leg(choice)],
            passengers: self.passengers.clone(),
            channel: wire::Channel::Online as i32,
            // Standing and seat changes will do for those who would otherwise stay at home.
            accept_standing: choice.free == 0 && self.wish.patient,
            accept_seat_change: true,
            quoted_fen: 0,
            quote: String::new(),
        };
        let client = self.connection.gateway();
        let answer =
            self.timed(Call::Place, async || client.clone().place_order(timed_request(request.clone())).await).await?;
        self.tally.orders += 1;
        answer.order.ok_or_else(|| Status::internal("place order answered without an order"))
    }

    fn leg(&self, choice: &Choice) -> gateway::LegRequest {
        gateway::LegRequest {
            train_code: choice.train_code.clone(),
            boarding_date: self.stage.boarding_date(self.wish.train, self.wish.interval.from()),
            from_station: choice.from_station.clone(),
            to_station: choice.to_station.clone(),
            seat_class: i32::from(choice.seat_class.code()),
        }
    }

    async fn after_placing(&mut self, order: Order) -> Result<(), Status> {
        let party = self.wish.party as u64;
        match self.wish.temper {
            Temper::Forgets => self.tally.forgotten += party,
            Temper::Cancels => {
                let request = gateway::CancelOrderRequest { order_id: order.order_id };
                let client = self.connection.gateway();
                self.timed(Call::Cancel, async || client.clone().cancel_order(timed_request(request.clone())).await)
                    .await?;
                self.tally.cancelled += party;
            }
            Temper::Pays | Temper::Refunds | Temper::Changes => {
                let order = self.pay(order.order_id).await?;
                self.note_tickets(&order);
                match self.wish.temper {
                    Temper::Refunds => self.refund(&order).await?,
                    Temper::Changes => self.change(&order).await?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn pay(&mut self, order_id: String) -> Result<Order, Status> {
        let started = Instant::now();
        let request = gateway::PayOrderRequest { order_id: order_id.clone(), payment_token: "sandbox-ok".to_owned() };
        let client = self.connection.gateway();
        self.timed(Call::Pay, async || client.clone().pay_order(timed_request(request.clone())).await).await?;
        let order = tokio::time::timeout(TICKET_TIMEOUT, self.until_confirmed(&order_id))
            .await
            .map_err(|_| Status::deadline_exceeded("no tickets within a minute of paying"))??;
        self.tally.took(Call::Ticket, started.elapsed());
        Ok(order)
    }

    async fn until_confirmed(&self, order_id: &str) -> Result<Order, Status> {
        let request = gateway::WatchOrderRequest { order_id: order_id.to_owned() };
        let mut client = self.connection.gateway();
        loop {
            let mut changes = match client.watch_order(request.clone()).await {
                Ok(changes) => changes.into_inner(),
                Err(status) if is_shed(&status) => {
                    tokio::time::sleep(WATCH_PAUSE).await;
                    continue;
                }
                Err(status) => return Err(status),
            };
            loop {
                let change = match changes.message().await {
                    Ok(Some(change)) => change,
                    // The order goes on without its watchers: whoever is cut off looks again.
                    Ok(None) => break,
                    Err(status) if is_shed(&status) => break,
                    Err(status) => return Err(status),
                };
                let order = change.order.unwrap_or_default();
                match OrderState::try_from(order.state).unwrap_or_default() {
                    OrderState::Confirmed => return Ok(order),
                    OrderState::Released | OrderState::Refunded => {
                        return Err(Status::failed_precondition(format!("paid, but ended: {}", order.end_reason)));
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(WATCH_PAUSE).await;
        }
    }

    fn note_tickets(&mut self, order: &Order) {
        for ticket in order.tickets.iter().filter(|ticket| ticket.state == TicketState::Issued as i32) {
            if let Some((train, interval)) = self.stage.leg_of(order, ticket.leg) {
                self.tally.issued(train, interval, is_standing(ticket));
            }
        }
    }

    async fn refund(&mut self, order: &Order) -> Result<(), Status> {
        let Some(ticket) = order.tickets.first() else { return Ok(()) };
        let request =
            gateway::RefundTicketRequest { order_id: order.order_id.clone(), ticket_id: ticket.ticket_id.clone() };
        let client = self.connection.gateway();
        self.timed(Call::Refund, async || client.clone().refund_ticket(timed_request(request.clone())).await).await?;
        if let Some((train, interval)) = self.stage.leg_of(order, ticket.leg) {
            self.tally.gave_back(train, interval, is_standing(ticket));
        }
        Ok(())
    }

    /// Joins the line of the wished train and waits as long as the stage is open. True when tickets came.
    async fn wait_in_line(&mut self) -> Result<bool, Status> {
        let (from_station, to_station) = self.stage.stations(self.wish.train, self.wish.interval);
        let choice = Choice {
            train_code: self.stage.train_code(self.wish.train),
            from_station,
            to_station,
            seat_class: self.wish.class,
            free: 0,
        };
        let request = gateway::JoinWaitlistRequest {
            entry_id: self.order_id.to_string(),
            leg: Some(self.leg(&choice)),
            passengers: self.passengers.clone(),
            channel: wire::Channel::Online as i32,
            accept_standing: false,
            deadline_ms: 0,
        };
        let client = self.connection.gateway();
        let joined =
            self.timed(Call::Join, async || client.clone().join_waitlist(timed_request(request.clone())).await).await;
        match joined {
            Ok(_) => {}
            Err(status) if is_refusal(&status) => {
                *self.tally.reasons.entry(reason(&status)).or_default() += 1;
                return Ok(false);
            }
            Err(status) => return Err(status),
        }
        let Some(order_id) = self.until_served().await? else { return Ok(false) };
        self.tally.orders += 1;
        let order = self.pay(order_id).await?;
        let before = self.tally.sold;
        self.note_tickets(&order);
        self.tally.sold_from_line += self.tally.sold - before;
        Ok(true)
    }

    /// Asks after the entry until seats came or the sale is over; then leaves the line.
    async fn until_served(&mut self) -> Result<Option<String>, Status> {
        self.permit = None;
        let entry_id = self.order_id.to_string();
        let mut client = self.connection.gateway();
        loop {
            let request = gateway::GetWaitlistEntryRequest { entry_id: entry_id.clone() };
            let entry = match client.get_waitlist_entry(timed_request(request)).await {
                Ok(answer) => answer.into_inner().entry.unwrap_or_default(),
                Err(status) if is_shed(&status) && !self.stage.is_over(LINE_POLL).await => continue,
                Err(status) => return Err(status),
            };
            match EntryState::try_from(entry.state).unwrap_or_default() {
                EntryState::Fulfilled => return Ok(Some(entry.order_id)),
                EntryState::Joining | EntryState::Waiting => {}
                _ => return Ok(None),
            }
            if self.stage.is_over(LINE_POLL).await {
                let request = gateway::LeaveWaitlistRequest { entry_id: entry_id.clone() };
                let left = client.leave_waitlist(timed_request(request)).await?.into_inner().entry.unwrap_or_default();
                // The seats may have come in the very moment of leaving.
                let served = left.state == EntryState::Fulfilled as i32;
                return Ok(served.then_some(left.order_id));
            }
        }
    }

    /// Makes a call, repeats it with the same ids while the fleet sheds load, and notes how long each try took.
    async fn timed<T, F>(&mut self, call: Call, mut attempt: impl FnMut() -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut repeats = 0;
        loop {
            let started = Instant::now();
            let outcome = attempt().await;
            self.tally.took(call, started.elapsed());
            match outcome {
                Err(status) if is_shed(&status) && repeats < REPEATS_MAX => {
                    repeats += 1;
                    let wait = retry_after_ms(&status).unwrap_or(50 * u64::from(repeats));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                outcome => return outcome.map(tonic::Response::into_inner),
            }
        }
    }
}

fn timed_request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

fn is_standing(ticket: &Ticket) -> bool {
    ticket.places.iter().any(|place| place.standing)
}

/// An ordinary answer that says no: sold out, a rule. Trying the same again would not help.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted | Code::AlreadyExists)
        && retry_after_ms(status).is_none()
}

/// The fleet asks to come again, or the connection is gone: nothing is known to have happened, and ids make the repeat safe.
fn is_shed(status: &Status) -> bool {
    match status.code() {
        // The fleet gives every failure a reason; without one it is this side's own word for a connection that broke.
        Code::Unknown | Code::Cancelled | Code::Internal => status.get_error_details().error_info().is_none(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
        Code::ResourceExhausted => retry_after_ms(status).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tonic::transport::Endpoint;

    use super::*;

    #[tokio::test]
    async fn a_call_whose_connection_breaks_is_repeated() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            // HTTP/2's preface at least; then it is gone.
            client.read_exact(&mut [0; 24]).await.unwrap();
        });
        let connection = Connection::new(Endpoint::from_shared(address).unwrap().connect_lazy(), None).unwrap();
        let request = timed_request(gateway::GetWaitlistEntryRequest::default());
        let status = connection.gateway().get_waitlist_entry(request).await.unwrap_err();
        server.await.unwrap();
        assert!(is_shed(&status), "{status:?}");
    }

    #[test]
    fn what_the_fleet_refuses_for_good_is_not_repeated() {
        let refused: Status = rpc::Failure::new(Code::FailedPrecondition, "SOLD_OUT", "no seats").into();
        assert!(!is_shed(&refused) && is_refusal(&refused));
        let broken: Status = rpc::Failure::new(Code::Internal, "INTERNAL", "a fault").into();
        assert!(!is_shed(&broken), "the fleet's own fault is shown, not tried again");
    }
}
