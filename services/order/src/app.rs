//! Load, decide, perform: what each call does, and what the sweeper does for those that were interrupted.

mod change;
mod drive;
mod open;
mod perform;
mod quote;
mod sweep;
mod withdraw;

use std::sync::Arc;

use domain::{AccountId, Money, OrderId, Time};
use policy::{Policy, RailwayClock, SeatsFreeWhen, Selling};
use privacy::{DocumentVault, PersonTokens};
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use rpc::{Clock, Link};
use timetable::Timetable;

use crate::config::Options;
use crate::error::Error;
use crate::inventory::Inventory;
use crate::order::{Order, Phase, Ticket, TicketState};
use crate::rules::party::check_companions;
use crate::rules::refund::{self, Return};
use crate::state::{Event, Terms, TradeNews};
use crate::store::{OrderStore, PageEnd};
use crate::watch::Watchers;

pub use change::{NewTickets, Quoted};
pub use open::{NewLeg, NewOrder, NewPassenger};
pub(crate) use perform::passenger_context;
pub(crate) use quote::letter;
pub use quote::{NewQuote, Quote};
pub use sweep::Sweeper;
pub use withdraw::{Withdrawal, WithdrawalReport};

/// The order service's decisions and effects, without its wire.
#[derive(Debug)]
pub struct App {
    pub(crate) store: Arc<dyn OrderStore>,
    pub(crate) inventory: Arc<dyn Inventory>,
    pub(crate) payment: PaymentServiceClient<Link>,
    pub(crate) timetable: Arc<Timetable>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) vault: Arc<DocumentVault>,
    pub(crate) tokens: Arc<PersonTokens>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) calendar: RailwayClock,
    pub(crate) watchers: Watchers,
    pub(crate) options: Options,
    pub(crate) terms: Terms,
}

/// What a returned ticket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// What goes back.
    pub refund: Money,
    /// What is kept.
    pub fee: Money,
}

impl App {
    /// The saga's bounds, from options and policy.
    pub(crate) fn terms(options: &Options, policy: &Policy) -> Terms {
        Terms {
            pay_attempts_max: options.pay_attempts_max,
            hold_again_max: options.hold_again_max,
            seats_wait_for_money: policy.refund.seats_free_when == SeatsFreeWhen::Arrived,
        }
    }

    /// One order of an account. Another account's order does not exist.
    pub async fn get(&self, account: &AccountId, id: OrderId) -> Result<Order, Error> {
        let order = self.load(id).await?;
        if order.account == *account { Ok(order) } else { Err(Error::OrderNotFound) }
    }

    /// An account's orders, newest first.
    pub async fn list(&self, account: &AccountId, after: Option<PageEnd>, limit: u32) -> Result<Vec<Order>, Error> {
        Ok(self.store.list(account, after, limit).await?)
    }

    /// Starts payment.
    pub async fn pay(&self, account: &AccountId, id: OrderId, token: String) -> Result<Order, Error> {
        let mut order = self.get(account, id).await?;
        if order.phase == Phase::Opening {
            order = self.drive(order).await?;
        }
        let order = self.apply(order, Event::Pay { token }).await?;
        self.drive(order).await
    }

    /// Gives an unpaid order up.
    pub async fn cancel(&self, account: &AccountId, id: OrderId) -> Result<Order, Error> {
        let order = self.get(account, id).await?;
        let order = self.apply(order, Event::Cancel).await?;
        self.drive(order).await
    }

    /// Gives one ticket back. Repeating it answers what was decided the first time.
    pub async fn refund_ticket(
        &self,
        account: &AccountId,
        id: OrderId,
        ticket_id: &str,
    ) -> Result<(Order, GivenBack), Error> {
        let order = self.get(account, id).await?;
        let position = order.tickets.iter().position(|ticket| order.ticket_id(ticket) == ticket_id);
        let position = position.ok_or(Error::TicketNotFound)?;
        self.check_nobody_left_alone(&order, position)?;
        let fee = self.refund_fee(&order, position, self.clock.now())?;
        let event = Event::GiveBack { ticket: position as u8, fee };
        let order = self.apply(order, event).await?;
        // The seats and the money are under way from here on, whether or not they are heard of in time for this answer.
        let order = self.drive(order).await?;
        let ticket = &order.tickets[position];
        let given_back = GivenBack { refund: ticket.refund, fee: ticket.fee };
        Ok((order, given_back))
    }

    /// The last adult of a train does not give the ticket back before the children on it.
    fn check_nobody_left_alone(&self, order: &Order, position: usize) -> Result<(), Error> {
        let kind = |ticket: &Ticket| order.passengers[usize::from(ticket.passenger)].kind;
        let ticket = &order.tickets[position];
        if ticket.state != TicketState::Issued || kind(ticket).is_child() {
            return Ok(());
        }
        let others = order
            .tickets
            .iter()
            .enumerate()
            .filter(|(at, other)| *at != position && other.leg == ticket.leg && other.state == TicketState::Issued);
        let staying: Vec<_> = others.map(|(_, other)| kind(other)).collect();
        Ok(check_companions(&self.policy, &staying)?)
    }

    fn refund_fee(&self, order: &Order, position: usize, now: Time) -> Result<Money, Error> {
        let ticket = &order.tickets[position];
        let Some(paid) = order.paid.filter(|_| ticket.state == TicketState::Issued) else {
            // Not a ticket yet, or given back before: the state machine has the answer, and no fee is charged for it.
            return Ok(ticket.fee);
        };
        let case = Return {
            fare: ticket.fare,
            departs_at: order.legs[usize::from(ticket.leg)].departs_at,
            paid_at: paid.at,
            operator_caused: false,
            changed: ticket.changed,
        };
        Ok(refund::fee(&self.policy.refund, &case, now)?)
    }

    /// Payment tells what became of a trade.
    pub async fn note_trade(&self, id: OrderId, news: TradeNews) -> Result<(), Error> {
        let order = self.load(id).await?;
        let order = self.apply(order, Event::Trade(news)).await?;
        self.drive(order).await.map(drop)
    }

    /// Payment tells that a refund has arrived.
    pub async fn note_refund(&self, id: OrderId, refund_id: String) -> Result<(), Error> {
        let order = self.load(id).await?;
        let order = self.apply(order, Event::Refund { id: refund_id, arrived: true }).await?;
        self.drive(order).await.map(drop)
    }

    /// Refuses outside the selling hours.
    pub(super) fn check_selling(&self, now: Time) -> Result<(), Error> {
        match self.calendar.selling(&self.policy.sale, now) {
            Ok(Selling::Now) => Ok(()),
            Ok(Selling::From(opens)) => Err(Error::SellingHours { opens }),
            Err(invalid) => Err(Error::Invalid { field: "clock".to_owned(), invalid }),
        }
    }

    /// An order, whoever's it is.
    pub(crate) async fn load(&self, id: OrderId) -> Result<Order, Error> {
        self.store.get(id).await?.ok_or(Error::OrderNotFound)
    }
}
