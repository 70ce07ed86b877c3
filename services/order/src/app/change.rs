//! The exchange of tickets for others: what is asked for, what it would cost, and how it is begun.

use domain::{AccountId, ChangeId, HoldId, Interval, Money, OrderId, PassengerKind, Run, SeatClass, Time};
use failpoints::Point;

use super::App;
use super::open::{TrainOf, berth_of};
use crate::error::Error;
use crate::order::{
    ChangeStage, Changed, EndReason, Leg, Order, Place, Seats, Swap, SwapPrice, Ticket, TicketChange, TicketState,
};
use crate::rules::change::{Exchange, price};
use crate::rules::days::student_year;
use crate::rules::party::check_companions;
use crate::state::{Event, NewChange};
use crate::store::{Refusal, StoreError};

/// Other tickets as they are asked for.
#[derive(Clone, Debug)]
pub struct NewTickets {
    /// Who asks.
    pub account: AccountId,
    /// Whose tickets.
    pub order: OrderId,
    /// Which tickets, by their public ids; all of one leg.
    pub tickets: Vec<String>,
    /// The new run.
    pub run: Run,
    /// The new class.
    pub class: SeatClass,
    /// From where to where on it.
    pub interval: Interval,
    /// Whether standing will do.
    pub standing: bool,
    /// Whether changing seats on the way will do.
    pub seat_change: bool,
}

/// What exchanging one ticket would cost or bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The ticket's public id.
    pub ticket_id: String,
    /// Its price; a berth is quoted at the dearest there is.
    pub price: SwapPrice,
}

impl App {
    /// What a change would cost now. Nothing is changed.
    pub async fn quote_change(&self, wanted: &NewTickets) -> Result<Vec<Quoted>, Error> {
        let order = self.get(&wanted.account, wanted.order).await?;
        let new = self.draft_change(&order, ChangeId::from_u128(1), wanted)?;
        let quoted = |swap: &Swap| Quoted {
            ticket_id: order.ticket_id(&order.tickets[usize::from(swap.old)]),
            price: swap.price,
        };
        Ok(new.change.swaps.iter().map(quoted).collect())
    }

    /// Exchanges tickets. The new seats are held first; a difference is paid with the token, or with a payment of the order
    /// before the new hold ends. Repeating it answers what became of it.
    pub async fn change_tickets(
        &self,
        id: ChangeId,
        wanted: &NewTickets,
        agreed: Option<Money>,
        token: Option<String>,
    ) -> Result<(Order, TicketChange), Error> {
        let order = self.get(&wanted.account, wanted.order).await?;
        let request = self.change_fingerprint(wanted, agreed);
        let known = |order: &Order| order.changes.iter().find(|change| change.id == id).map(|change| change.request);
        let order = match known(&order) {
            Some(_) => order,
            None => {
                let mut new = self.draft_change(&order, id, wanted)?;
                new.change.request = request;
                let due = new.change.due();
                if let Some(agreed) = agreed.filter(|agreed| due > *agreed) {
                    return Err(Error::PriceChanged { quoted: agreed, total: due });
                }
                failpoints::at(Point::OrderBeforeChangeRecorded).await?;
                let order = self.apply(order, Event::Change(Box::new(new))).await?;
                failpoints::at(Point::OrderAfterChangeRecorded).await?;
                order
            }
        };
        // Looked at last: another request of this id may have been recorded meanwhile.
        if known(&order) != Some(request) {
            return Err(Error::ChangeIdReused(id));
        }
        let order = self.drive(order).await?;
        let stage = |order: &Order| order.changes.iter().find(|change| change.id == id).map(|change| change.stage);
        let order = match token {
            Some(token) if stage(&order) == Some(ChangeStage::Unpaid) => {
                let order = self.apply(order, Event::Pay { token }).await?;
                self.drive(order).await?
            }
            _ => order,
        };
        let change = order.changes.iter().find(|change| change.id == id).cloned().ok_or(Error::Busy)?;
        let lost = change.stage.reason() == Some(EndReason::SeatsLost);
        if lost && !change.refusal.is_empty() {
            return Err(Error::NoSeatsForChange { reason: change.refusal });
        }
        Ok((order, change))
    }

    /// The change that would be recorded.
    fn draft_change(&self, order: &Order, id: ChangeId, wanted: &NewTickets) -> Result<NewChange, Error> {
        let now = self.clock.now();
        self.check_selling(now)?;
        let old = self.chosen(order, &wanted.tickets)?;
        let train = self.train(wanted.run, wanted.interval)?;
        if train.departs_at <= now {
            return Err(Error::Departed { departed_at: train.departs_at });
        }
        let old_leg = &order.legs[usize::from(order.tickets[old[0]].leg)];
        if (old_leg.run, old_leg.class, old_leg.interval) == (wanted.run, wanted.class, wanted.interval) {
            return Err(Error::SameJourney);
        }
        self.check_journeys(order, &old, &train)?;
        let (leg, number) = (order.legs.len() as u8, order.changes.len() as u8);
        let mut tickets = Vec::with_capacity(old.len());
        let mut swaps = Vec::with_capacity(old.len());
        for (offset, position) in old.iter().copied().enumerate() {
            let ticket = &order.tickets[position];
            let what = (wanted.class, wanted.interval);
            let kind = order.passengers[usize::from(ticket.passenger)].kind;
            let fare = self.fare(wanted.run, &train, what, None, (usize::from(ticket.passenger), kind))?;
            let price = self.swap_price(order, ticket, fare, (wanted.run, wanted.interval), &train, now)?;
            if let Some((home, school)) = &order.passengers[usize::from(ticket.passenger)].student {
                let journey = [(wanted.run, wanted.interval)];
                self.check_student(usize::from(ticket.passenger), (home, school), &journey)?;
            }
            let into_rush = self.enters_rush(old_leg, &train);
            let before = ticket.changed;
            let changed = Changed {
                from_departs_at: old_leg.departs_at,
                at: now,
                into_rush: into_rush || before.is_some_and(|before| before.into_rush),
                times: before.map_or(0, |before| before.times) + 1,
            };
            swaps.push(Swap { old: position as u8, new: (order.tickets.len() + offset) as u8, price, changed });
            tickets.push(self.replacement(ticket, leg, kind, price.fare, &train));
        }
        let leg = Leg {
            run: wanted.run,
            class: wanted.class,
            interval: wanted.interval,
            riders: tickets.iter().map(|ticket| ticket.passenger).filter(|it| old_leg.rider(*it).is_some()).collect(),
            places: Vec::new(),
            hold: HoldId::of_order(order.id, leg),
            seats: Seats::Lost,
            held_again: 0,
            departs_at: train.departs_at,
            arrives_at: train.arrives_at,
        };
        let change = TicketChange {
            id,
            number,
            request: [0; 32],
            leg: order.legs.len() as u8,
            swaps,
            standing: wanted.standing,
            seat_change: wanted.seat_change,
            at: now,
            stage: ChangeStage::Holding,
            pay_by: None,
            refusal: String::new(),
        };
        Ok(NewChange { change, leg, tickets })
    }

    /// The positions of tickets by their public ids: good ones, of one leg, each once.
    fn chosen(&self, order: &Order, ids: &[String]) -> Result<Vec<usize>, Error> {
        let mut chosen: Vec<usize> = Vec::with_capacity(ids.len());
        for id in ids {
            let position = order.tickets.iter().position(|ticket| order.ticket_id(ticket) == *id);
            let position = position.ok_or(Error::TicketNotFound)?;
            let ticket = &order.tickets[position];
            if ticket.state == TicketState::Changed {
                return Err(Error::ChangedBefore);
            }
            let leg = chosen.first().map(|first| order.tickets[*first].leg);
            if chosen.contains(&position) || leg.is_some_and(|leg| leg != ticket.leg) {
                return Err(Error::ChangedTogether);
            }
            if ticket.state != TicketState::Issued {
                return Err(crate::state::Rejection::TicketState(ticket.state.name()).into());
            }
            chosen.push(position);
        }
        if chosen.is_empty() { Err(Error::ChangedTogether) } else { Ok(chosen) }
    }

    /// Those who stay and those who go must each be able to travel, and nobody be on two trains at a time.
    fn check_journeys(&self, order: &Order, old: &[usize], train: &TrainOf) -> Result<(), Error> {
        let leg = order.tickets[old[0]].leg;
        let kind = |ticket: &Ticket| order.passengers[usize::from(ticket.passenger)].kind;
        let good = || order.tickets.iter().enumerate().filter(|(_, ticket)| ticket.state == TicketState::Issued);
        let staying: Vec<PassengerKind> = good()
            .filter(|(position, ticket)| ticket.leg == leg && !old.contains(position))
            .map(|(_, ticket)| kind(ticket))
            .collect();
        let going: Vec<PassengerKind> = old.iter().map(|position| kind(&order.tickets[*position])).collect();
        check_companions(&self.policy, &staying)?;
        check_companions(&self.policy, &going)?;
        let moves = |ticket: &Ticket| old.iter().any(|at| order.tickets[*at].passenger == ticket.passenger);
        let overlaps = good().any(|(position, ticket)| {
            let other = &order.legs[usize::from(ticket.leg)];
            let at_once = other.departs_at < train.arrives_at && train.departs_at < other.arrives_at;
            !old.contains(&position) && moves(ticket) && at_once
        });
        if overlaps { Err(StoreError::from(Refusal::Overlap).into()) } else { Ok(()) }
    }

    fn replacement(&self, old: &Ticket, leg: u8, kind: PassengerKind, fare: Money, train: &TrainOf) -> Ticket {
        let student = kind == PassengerKind::Student;
        Ticket {
            leg,
            passenger: old.passenger,
            state: TicketState::Replacing,
            fare,
            fee: Money::ZERO,
            refund: Money::ZERO,
            seats_returned: false,
            student_year: student.then(|| student_year(&self.policy.fare, train.boards_on)),
            changed: None,
        }
    }

    /// What each exchange of a change costs on the places its hold was given.
    pub(super) fn prices(&self, order: &Order, change: &TicketChange, places: &[Place]) -> Vec<SwapPrice> {
        let leg = &order.legs[usize::from(change.leg)];
        let of_swap = |swap: &Swap| {
            let ticket = &order.tickets[usize::from(swap.old)];
            let passenger = usize::from(ticket.passenger);
            let berth = places.iter().find(|place| place.passenger == ticket.passenger).and_then(berth_of);
            let train = self.train(leg.run, leg.interval)?;
            let kind = order.passengers[passenger].kind;
            let fare = self.fare(leg.run, &train, (leg.class, leg.interval), berth, (passenger, kind))?;
            self.swap_price(order, ticket, fare, (leg.run, leg.interval), &train, change.at)
        };
        // It was priced when it was recorded; should the timetable have changed since, that price stands.
        change.swaps.iter().map(|swap| of_swap(swap).unwrap_or(swap.price)).collect()
    }

    fn swap_price(
        &self,
        order: &Order,
        ticket: &Ticket,
        new_fare: Money,
        (run, interval): (Run, Interval),
        train: &TrainOf,
        at: Time,
    ) -> Result<SwapPrice, Error> {
        let old = &order.legs[usize::from(ticket.leg)];
        let was = self.train(old.run, old.interval)?;
        let exchange = Exchange {
            fare: ticket.fare,
            new_fare,
            departs_at: old.departs_at,
            boards_on: was.boards_on,
            new_boards_on: train.boards_on,
            times: ticket.changed.map_or(0, |changed| changed.times),
            other_origin: self.city(old.run, old.interval.from()) != self.city(run, interval.from()),
            other_destination: self.city(old.run, old.interval.to()) != self.city(run, interval.to()),
        };
        Ok(price(&self.policy, &exchange, at)?)
    }

    /// The city of a stop.
    pub(super) fn city(&self, run: Run, stop: u8) -> Option<&str> {
        let train = self.timetable.train(self.timetable.train_by_code(run.train)?);
        Some(&*self.timetable.station(train.stop(stop)?.station).city)
    }

    fn enters_rush(&self, old: &Leg, train: &TrainOf) -> bool {
        let rules = &self.policy.order;
        rules.in_rush(train.boards_on) && !self.boards_on(old).is_some_and(|date| rules.in_rush(date))
    }

    fn change_fingerprint(&self, wanted: &NewTickets, agreed: Option<Money>) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = vec![b"change".to_vec(), wanted.account.as_str().into()];
        parts.push(wanted.order.bytes().into());
        parts.extend(wanted.tickets.iter().map(|ticket| ticket.clone().into_bytes()));
        parts.push(wanted.run.to_string().into());
        parts.push(vec![wanted.class.code(), wanted.interval.from(), wanted.interval.to()]);
        parts.push(vec![u8::from(wanted.standing), u8::from(wanted.seat_change)]);
        parts.push(agreed.map_or(-1, Money::as_fen).to_be_bytes().into());
        self.vault.fingerprint(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}
