//! Effects on inventory and payment, and what their answers mean to an order. Each may be done twice.

use domain::{Money, Time};
use proto::payment::v1 as wire;
use rpc::{Failure, reason};
use tonic::Code;

use super::App;
use crate::inventory::Wanted;
use crate::order::{Leg, Order, Place, Seats, TicketChange, TradeState};
use crate::rules::party::age_on;
use crate::state::{Effect, Event, TradeNews};

impl App {
    /// Performs an effect.
    ///
    /// # Errors
    /// Nothing is known about its outcome, or the other side cannot do it now: it has to be tried again.
    pub(super) async fn perform(&self, order: &Order, effect: &Effect) -> Result<Event, Failure> {
        match effect {
            Effect::OpenHold { leg } => self.open_hold(order, *leg).await,
            Effect::Confirm { leg } => self.confirm(order, *leg).await,
            Effect::Release { leg } => self.release(order, *leg).await,
            Effect::HoldAgain { leg } => self.hold_again(order, *leg).await,
            Effect::ReturnSeats { leg, passengers } => self.return_seats(order, *leg, passengers).await,
            Effect::CreateTrade { attempt } => self.create_trade(order, *attempt).await,
            Effect::QueryTrade { attempt } => self.query_trade(order, *attempt).await,
            Effect::CloseTrade { attempt } => self.close_trade(order, *attempt).await,
            Effect::CreateRefund { id } => self.create_refund(order, id).await,
            Effect::QueryRefund { id } => self.query_refund(id).await,
        }
    }

    async fn open_hold(&self, order: &Order, leg: u8) -> Result<Event, Failure> {
        let at = leg_of(order, leg);
        match self.inventory.open_hold(at.run, at.hold).await {
            Ok(opened) => Ok(Event::HoldOpened { leg, pay_by: opened.pay_by, hard_limit: opened.hard_limit }),
            Err(failure) if is_refusal(&failure) => Ok(Event::HoldLost { leg }),
            Err(failure) => Err(failure),
        }
    }

    async fn confirm(&self, order: &Order, leg: u8) -> Result<Event, Failure> {
        let at = leg_of(order, leg);
        match self.inventory.confirm(at.run, at.hold).await {
            Ok(()) => Ok(Event::LegConfirmed { leg }),
            Err(failure) if is_refusal(&failure) => Ok(Event::HoldLost { leg }),
            Err(failure) => Err(failure),
        }
    }

    async fn release(&self, order: &Order, leg: u8) -> Result<Event, Failure> {
        let at = leg_of(order, leg);
        // A lost hold may have been followed by one whose answer was lost too.
        let hold = if at.seats == Seats::Lost { at.next_hold() } else { at.hold };
        match self.inventory.release(at.run, hold).await {
            Ok(()) => Ok(Event::LegReleased { leg }),
            // It had been confirmed and that answer was lost: the tickets have to be given back.
            Err(failure) if failure.reason == reason::HOLD_STATE && at.seats == Seats::Opened => {
                Ok(Event::LegConfirmed { leg })
            }
            Err(failure) if is_refusal(&failure) => Ok(Event::LegReleased { leg }),
            Err(failure) => Err(failure),
        }
    }

    async fn hold_again(&self, order: &Order, leg: u8) -> Result<Event, Failure> {
        let at = leg_of(order, leg);
        let hold = at.next_hold();
        let change = order.change().filter(|change| change.leg == leg);
        let refused = |reason: &str| match change {
            Some(_) => Event::ChangeRefused { reason: reason.to_owned() },
            None => Event::HoldAgainRefused { leg },
        };
        if self.clock.now() >= at.departs_at {
            return Ok(refused(reason::DEPARTED));
        }
        let Some(wanted) = self.wanted(order, leg) else { return Ok(refused(reason::UNEXPECTED)) };
        match self.inventory.hold(wanted).await {
            Ok(places) => {
                let places = of_passengers(places, &at.riders);
                Ok(match change {
                    Some(change) => {
                        let prices = self.prices(order, change, &places);
                        Event::HeldForChange { hold, places, prices }
                    }
                    None => Event::HeldAgain { leg, hold, places },
                })
            }
            Err(failure) if is_refusal(&failure) => Ok(refused(failure.reason)),
            Err(failure) => Err(failure),
        }
    }

    /// The seats of a leg asked for, or asked for again, as far as what was given before tells what would do. `None` where
    /// the passengers cannot be read any more.
    fn wanted(&self, order: &Order, leg: u8) -> Option<Wanted> {
        let at = leg_of(order, leg);
        let change = order.changes.iter().find(|change| change.leg == leg);
        let on_same_run = change.is_some_and(|change| replaces_same_run(order, change));
        let date = self.boards_on(at).unwrap_or_else(|| at.run.date.boarding(0));
        let mut passengers = Vec::with_capacity(at.riders.len());
        for position in at.riders.iter().copied().map(usize::from) {
            let context = passenger_context(order.id, position);
            let (_, document) = self
                .vault
                .open(&order.passengers[position].sealed, &context)
                .inspect_err(|error| tracing::error!(order = %order.id, %error, "a passenger cannot be read"))
                .ok()?;
            let elderly = age_on(&document, date).is_some_and(|age| age >= self.policy.sale.lower_berth_age);
            // Beside the passenger's present place on the same run only a token of its own is let in.
            let token = match change.filter(|_| on_same_run) {
                Some(change) => self.tokens.replacement(at.run.date, &document, change.number),
                None => self.tokens.token(at.run.date, &document),
            };
            passengers.push((token, elderly));
        }
        let parts = |passenger: u8| at.places.iter().filter(|place: &&Place| place.passenger == passenger).count();
        let before =
            (at.places.iter().any(|place| place.standing), at.riders.iter().any(|passenger| parts(*passenger) > 1));
        let (standing, seat_change) = change.map_or(before, |change| (change.standing, change.seat_change));
        Some(Wanted {
            run: at.run,
            hold: at.next_hold(),
            channel: order.channel,
            class: at.class,
            interval: at.interval,
            passengers,
            standing,
            seat_change,
        })
    }

    async fn return_seats(&self, order: &Order, leg: u8, passengers: &[u8]) -> Result<Event, Failure> {
        let at = leg_of(order, leg);
        let returned = || Event::SeatsReturned { leg, passengers: passengers.to_vec() };
        let riders: Vec<u8> = passengers.iter().filter_map(|passenger| at.rider(*passenger)).collect();
        if riders.is_empty() {
            return Ok(returned());
        }
        match self.inventory.refund(at.run, at.hold, &riders).await {
            Ok(()) => Ok(returned()),
            // A run that is over or gone has no seats to free.
            Err(failure) if is_refusal(&failure) => {
                tracing::warn!(order = %order.id, leg, %failure, "the seats of a refund could not be freed");
                Ok(returned())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn create_trade(&self, order: &Order, attempt: u32) -> Result<Event, Failure> {
        let trade = &order.trades[attempt as usize];
        let of_change = trade.change.and_then(|number| order.changes.get(usize::from(number)));
        let request = wire::CreateTradeRequest {
            order_id: order.id.to_string(),
            amount_fen: trade.amount.as_fen(),
            payment_token: trade.token.clone(),
            expires_at_ms: of_change.map_or(order.pay_by, |change| change.pay_by).map_or(0, Time::millis),
            attempt,
            supplement: trade.change.is_some(),
        };
        match self.payment.clone().create_trade(request).await {
            Ok(response) => trade_news(attempt, response.into_inner().trade),
            // Payment will not take this trade: to the client that is a payment that failed.
            Err(status) => definite(status, |_| closed(order, attempt)),
        }
    }

    async fn query_trade(&self, order: &Order, attempt: u32) -> Result<Event, Failure> {
        let request = wire::GetTradeRequest { trade_id: order.trade_id(attempt) };
        let response = self.payment.clone().get_trade(request).await?;
        trade_news(attempt, response.into_inner().trade)
    }

    async fn close_trade(&self, order: &Order, attempt: u32) -> Result<Event, Failure> {
        let request = wire::CloseTradeRequest { trade_id: order.trade_id(attempt) };
        match self.payment.clone().close_trade(request).await {
            Ok(response) => trade_news(attempt, response.into_inner().trade),
            // It never reached payment. Should it still, money that comes of it is late money.
            Err(status) => definite(status, |_| closed(order, attempt)),
        }
    }

    async fn create_refund(&self, order: &Order, id: &str) -> Result<Event, Failure> {
        let Some(refund) = order.refunds.iter().find(|refund| refund.id == id) else {
            return Err(Failure::new(Code::Internal, reason::UNEXPECTED, "no such refund"));
        };
        let request = wire::CreateRefundRequest {
            refund_id: refund.id.clone(),
            trade_id: order.trade_id(refund.attempt),
            amount_fen: refund.amount.as_fen(),
            fee_fen: refund.fee.as_fen(),
        };
        let response = self.payment.clone().create_refund(request).await?;
        let arrived = response.into_inner().state() == wire::RefundState::Succeeded;
        Ok(Event::Refund { id: id.to_owned(), arrived })
    }

    async fn query_refund(&self, id: &str) -> Result<Event, Failure> {
        let request = wire::GetRefundRequest { refund_id: id.to_owned() };
        let response = self.payment.clone().get_refund(request).await?;
        let arrived = response.into_inner().state() == wire::RefundState::Succeeded;
        Ok(Event::Refund { id: id.to_owned(), arrived })
    }
}

/// Where a passenger's sealed record belongs: it opens nowhere else.
pub(crate) fn passenger_context(order: domain::OrderId, position: usize) -> Vec<u8> {
    [order.bytes().as_slice(), &[position as u8]].concat()
}

/// Whether a change is to another place on the train of the tickets it replaces.
fn replaces_same_run(order: &Order, change: &TicketChange) -> bool {
    let old = change.swaps.first().map(|swap| &order.tickets[usize::from(swap.old)]);
    old.is_some_and(|old| leg_of(order, old.leg).run == leg_of(order, change.leg).run)
}

/// A hold counts its own passengers, an order all of them.
pub(super) fn of_passengers(places: Vec<Place>, riders: &[u8]) -> Vec<Place> {
    let rider = |place: Place| {
        let passenger = *riders.get(usize::from(place.passenger))?;
        Some(Place { passenger, ..place })
    };
    places.into_iter().filter_map(rider).collect()
}

fn leg_of(order: &Order, leg: u8) -> &Leg {
    &order.legs[usize::from(leg)]
}

fn trade_news(attempt: u32, trade: Option<wire::Trade>) -> Result<Event, Failure> {
    let trade = trade.ok_or_else(|| Failure::unavailable(reason::UNAVAILABLE, "an answer without its trade", 1_000))?;
    let state = match trade.state() {
        wire::TradeState::Captured => TradeState::Captured,
        wire::TradeState::Declined => TradeState::Declined,
        wire::TradeState::Closed => TradeState::Closed,
        wire::TradeState::Pending | wire::TradeState::Unspecified => TradeState::Open,
    };
    let captured = if state == TradeState::Captured { Money::fen(trade.captured_fen) } else { Money::ZERO };
    Ok(Event::Trade(TradeNews { attempt: Some(attempt), id: trade.trade_id, state, captured, revive: true }))
}

fn closed(order: &Order, attempt: u32) -> Event {
    let id = order.trade_id(attempt);
    let (state, captured) = (TradeState::Closed, Money::ZERO);
    Event::Trade(TradeNews { attempt: Some(attempt), id, state, captured, revive: true })
}

fn definite(status: tonic::Status, event: impl FnOnce(&Failure) -> Event) -> Result<Event, Failure> {
    let failure = Failure::from(status);
    if is_refusal(&failure) { Ok(event(&failure)) } else { Err(failure) }
}

/// Whether a failure is the other side's last word, rather than something that may pass.
fn is_refusal(failure: &Failure) -> bool {
    let passes = [reason::NOT_OWNER, reason::QUARANTINED, reason::OVERLOADED, reason::DRAINING];
    let last_word =
        matches!(failure.code, Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists | Code::InvalidArgument);
    last_word && !passes.contains(&failure.reason)
}
