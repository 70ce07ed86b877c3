//! Stories of orders, each told once without a fault and once for every effect in it that may go wrong.

use std::collections::BTreeMap;

use super::*;

/// What a client and the world around do between the saga's own steps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Pay,
    Cancel,
    Withdraw,
    GiveBack(u8),
    /// Exchange a ticket; fare, fee, what is paid and what goes back in yuan.
    Change {
        number: u8,
        old: u8,
        price: [i64; 4],
    },
    /// Nobody gets a seat from now on.
    Fill,
    /// Minutes since the order was placed.
    Clock(i64),
    /// Every hold that is not a ticket runs out.
    HoldsExpire,
    /// The provider captures the open or closed trade after all and tells.
    LateCapture(u32),
}

pub(super) struct Story {
    pub name: &'static str,
    pub legs: u8,
    pub room: bool,
    pub provider: &'static [TradeState],
    pub acts: &'static [Act],
    /// Where it may end, with or without a fault.
    pub ends: &'static [Phase],
}

const STORIES: &[Story] = &[
    Story {
        name: "paid at once",
        legs: 1,
        room: false,
        provider: &[TradeState::Captured],
        acts: &[Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "two legs",
        legs: 2,
        room: false,
        provider: &[TradeState::Captured],
        acts: &[Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "declined, then paid",
        legs: 1,
        room: false,
        provider: &[TradeState::Declined, TradeState::Captured],
        acts: &[Act::Pay, Act::Pay],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "declined too often",
        legs: 1,
        room: false,
        provider: &[TradeState::Declined; 3],
        acts: &[Act::Pay, Act::Pay, Act::Pay],
        ends: &[Phase::Released(EndReason::PaymentFailed)],
    },
    Story {
        name: "never paid",
        legs: 2,
        room: false,
        provider: &[],
        acts: &[Act::Clock(15)],
        ends: &[Phase::Released(EndReason::Lapsed)],
    },
    Story {
        name: "never answered by the provider",
        legs: 1,
        room: false,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::Clock(15)],
        ends: &[Phase::Released(EndReason::Lapsed)],
    },
    Story {
        name: "cancelled before payment",
        legs: 1,
        room: false,
        provider: &[],
        acts: &[Act::Cancel],
        ends: &[Phase::Released(EndReason::Cancelled)],
    },
    Story {
        name: "cancelled while paying, money comes all the same",
        legs: 2,
        room: true,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::LateCapture(0), Act::Cancel],
        ends: &[Phase::Confirmed, Phase::Refunded(Some(EndReason::Cancelled))],
    },
    Story {
        name: "money after cancellation",
        legs: 1,
        room: true,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::Cancel, Act::LateCapture(0)],
        ends: &[Phase::Refunded(Some(EndReason::Cancelled))],
    },
    Story {
        name: "money after the operator withdrew the train",
        legs: 1,
        room: true,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::Withdraw, Act::LateCapture(0)],
        ends: &[Phase::Refunded(Some(EndReason::Withdrawn))],
    },
    Story {
        name: "late money, room left",
        legs: 2,
        room: true,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::Clock(15), Act::LateCapture(0)],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "late money, no room",
        legs: 2,
        room: false,
        provider: &[TradeState::Open],
        acts: &[Act::Pay, Act::Clock(15), Act::LateCapture(0)],
        ends: &[Phase::Refunded(Some(EndReason::SeatsLost))],
    },
    Story {
        name: "seats freed before the money, no room",
        legs: 2,
        room: false,
        provider: &[TradeState::Captured],
        acts: &[Act::HoldsExpire, Act::Pay],
        ends: &[Phase::Refunded(Some(EndReason::SeatsLost)), Phase::Released(EndReason::SeatsLost)],
    },
    Story {
        name: "seats freed before the money, room left",
        legs: 1,
        room: true,
        provider: &[TradeState::Captured],
        acts: &[Act::HoldsExpire, Act::Pay],
        ends: &[Phase::Confirmed, Phase::Released(EndReason::SeatsLost)],
    },
    Story {
        name: "one ticket given back",
        legs: 1,
        room: false,
        provider: &[TradeState::Captured],
        acts: &[Act::Pay, Act::GiveBack(1)],
        ends: &[Phase::Confirmed],
    },
    Story {
        name: "all tickets given back",
        legs: 2,
        room: false,
        provider: &[TradeState::Captured],
        acts: &[Act::Pay, Act::GiveBack(0), Act::GiveBack(3), Act::GiveBack(2), Act::GiveBack(1)],
        ends: &[Phase::Refunded(None)],
    },
    Story {
        name: "both attempts capture in the end",
        legs: 1,
        room: false,
        provider: &[TradeState::Declined, TradeState::Captured],
        acts: &[Act::Pay, Act::Pay, Act::LateCapture(0), Act::GiveBack(0), Act::GiveBack(1)],
        ends: &[Phase::Refunded(None)],
    },
];

/// Tells a story and gives the order at its end and the number of effects in it.
pub(super) fn tell(story: &Story, fault: Option<(usize, Fault)>) -> (Order, usize) {
    let mut order = order(story.legs);
    let mut world = World { room: story.room, provider: story.provider.to_vec(), ..World::default() };
    for leg in &order.legs {
        world.holds.insert(leg.hold, (false, vec![0, 1]));
    }
    let mut count = 0;
    world.drive(&mut order, &mut count, fault);
    for act in story.acts {
        match act {
            Act::Pay => advance_pay(&mut order, &world),
            Act::Cancel => advance(&mut order, Event::Cancel, world.now()),
            Act::Withdraw => advance(&mut order, Event::Withdraw, world.now()),
            Act::GiveBack(ticket) => {
                advance(&mut order, Event::GiveBack { ticket: *ticket, fee: Money::yuan(5) }, world.now());
            }
            Act::Change { number, old, price } => {
                let new = changes::change(&order, *number, *old, *price);
                advance(&mut order, Event::Change(Box::new(new)), world.now());
            }
            Act::Fill => world.room = false,
            Act::Clock(minutes) => world.now = minutes * MINUTE,
            Act::HoldsExpire => {
                for hold in world.holds.keys().copied().collect::<Vec<_>>() {
                    world.expire(hold);
                }
            }
            Act::LateCapture(attempt) => {
                let asked = order.trades[*attempt as usize].amount;
                world.trades.insert(*attempt, (TradeState::Captured, asked));
                let told = news(*attempt, TradeState::Captured, asked);
                advance(&mut order, told, world.now());
            }
        }
        world.drive(&mut order, &mut count, fault);
    }
    let name = format!("{} with {fault:?}", story.name);
    assert!(story.ends.contains(&order.phase), "{name}: ended as {:?}", order.phase);
    world.check(&order, &name);
    (order, count)
}

/// Pays with a new token each time: a repeat of the old one would be no new attempt.
fn advance_pay(order: &mut Order, world: &World) {
    let token = format!("token-{}", order.trades.len());
    if let Ok((next, _)) = step(order, Event::Pay { token }, world.now(), &TERMS) {
        *order = next;
    }
}

#[test]
fn every_story_ends_whatever_single_effect_goes_wrong() {
    assert!(with_every_fault(STORIES) > 200);
}

/// Tells stories once for every effect in them that may go wrong, and gives how often one did.
pub(super) fn with_every_fault(stories: &[Story]) -> usize {
    let mut told = 0;
    for story in stories {
        let (_, effects) = tell(story, None);
        for at in 0..effects {
            for fault in [Fault::NotDone, Fault::AnswerLost, Fault::Twice] {
                tell(story, Some((at, fault)));
                told += 1;
            }
        }
    }
    told
}

/// A shard and a payment service as the saga sees them: durable, and truthful about what they did.
#[derive(Clone, Default)]
struct World {
    now: i64,
    /// Passengers with seats, by hold; the flag says whether they are tickets.
    holds: BTreeMap<HoldId, (bool, Vec<u8>)>,
    /// Holds that have ended.
    gone: Vec<HoldId>,
    /// State and captured money by attempt.
    trades: BTreeMap<u32, (TradeState, Money)>,
    /// Amount and whether it has arrived, by id.
    refunds: BTreeMap<String, (Money, bool)>,
    room: bool,
    /// What the provider does with each attempt in turn.
    provider: Vec<TradeState>,
}

/// How an effect goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// It does not reach the other side.
    NotDone,
    /// It is done and the answer is lost: the process died, or the network.
    AnswerLost,
    /// It is done twice and both answers arrive.
    Twice,
}

impl World {
    fn now(&self) -> Time {
        START.plus_millis(self.now)
    }

    fn expire(&mut self, hold: HoldId) {
        if self.holds.get(&hold).is_some_and(|(tickets, _)| !tickets) {
            self.holds.remove(&hold);
            self.gone.push(hold);
        }
    }

    fn perform(&mut self, order: &Order, effect: &Effect) -> Event {
        match effect {
            Effect::OpenHold { leg } => match self.holds.contains_key(&order.legs[usize::from(*leg)].hold) {
                true => Event::HoldOpened {
                    leg: *leg,
                    pay_by: START.plus_millis(15 * MINUTE),
                    hard_limit: START.plus_millis(20 * MINUTE),
                },
                false => Event::HoldLost { leg: *leg },
            },
            Effect::Confirm { leg } => match self.holds.get_mut(&order.legs[usize::from(*leg)].hold) {
                Some((tickets, _)) => {
                    *tickets = true;
                    Event::LegConfirmed { leg: *leg }
                }
                None => Event::HoldLost { leg: *leg },
            },
            Effect::Release { leg } => {
                let at = &order.legs[usize::from(*leg)];
                let hold = if at.seats == Seats::Lost { at.next_hold() } else { at.hold };
                if self.holds.get(&hold).is_some_and(|(tickets, _)| *tickets) {
                    return Event::LegConfirmed { leg: *leg };
                }
                self.expire(hold);
                Event::LegReleased { leg: *leg }
            }
            Effect::HoldAgain { leg } => {
                let hold = order.legs[usize::from(*leg)].next_hold();
                let change = order.change().filter(|change| change.leg == *leg);
                if !self.room && !self.holds.contains_key(&hold) {
                    return match change {
                        Some(_) => Event::ChangeRefused { reason: "SOLD_OUT".into() },
                        None => Event::HoldAgainRefused { leg: *leg },
                    };
                }
                let riders = order.legs[usize::from(*leg)].riders.clone();
                self.holds.entry(hold).or_insert((false, riders));
                if let Some(change) = change {
                    let prices = change.swaps.iter().map(|swap| swap.price).collect();
                    return Event::HeldForChange { hold, places: Vec::new(), prices };
                }
                Event::HeldAgain { leg: *leg, hold, places: Vec::new() }
            }
            Effect::ReturnSeats { leg, passengers } => {
                let (_, seated) = self.holds.get_mut(&order.legs[usize::from(*leg)].hold).expect("confirmed");
                seated.retain(|passenger| !passengers.contains(passenger));
                Event::SeatsReturned { leg: *leg, passengers: passengers.clone() }
            }
            Effect::CreateTrade { attempt } | Effect::QueryTrade { attempt } => {
                let told = self.provider.get(*attempt as usize).copied().unwrap_or(TradeState::Open);
                let asked = order.trades[*attempt as usize].amount;
                let captured = if told == TradeState::Captured { asked } else { Money::ZERO };
                let (state, captured) = *self.trades.entry(*attempt).or_insert((told, captured));
                news(*attempt, state, captured)
            }
            Effect::CloseTrade { attempt } => {
                let trade = self.trades.entry(*attempt).or_insert((TradeState::Closed, Money::ZERO));
                if trade.0 == TradeState::Open {
                    trade.0 = TradeState::Closed;
                }
                news(*attempt, trade.0, trade.1)
            }
            Effect::CreateRefund { id } => {
                let refund = order.refunds.iter().find(|refund| refund.id == *id).expect("of this order");
                self.refunds.entry(id.clone()).or_insert((refund.amount, false));
                Event::Refund { id: id.clone(), arrived: false }
            }
            Effect::QueryRefund { id } => {
                self.refunds.get_mut(id).expect("asked for").1 = true;
                Event::Refund { id: id.clone(), arrived: true }
            }
        }
    }

    /// Performs whatever is to be done, with one fault at the effect of that number, until nothing is left to do.
    fn drive(&mut self, order: &mut Order, count: &mut usize, fault: Option<(usize, Fault)>) {
        for _ in 0..60 {
            advance(order, Event::Tick, self.now());
            let mut effects = pending(order, &TERMS);
            effects.extend(awaited(order));
            for effect in effects {
                // What was to be done may be out of date by the effect before it.
                if !pending(order, &TERMS).contains(&effect) && !awaited(order).contains(&effect) {
                    continue;
                }
                let hit = fault.filter(|(at, _)| at == count).map(|(_, fault)| fault);
                *count += 1;
                match hit {
                    Some(Fault::NotDone) => {}
                    Some(Fault::AnswerLost) => drop(self.perform(order, &effect)),
                    Some(Fault::Twice) => {
                        let first = self.perform(order, &effect);
                        let second = self.perform(order, &effect);
                        advance(order, first, self.now());
                        advance(order, second, self.now());
                    }
                    None => {
                        let event = self.perform(order, &effect);
                        advance(order, event, self.now());
                    }
                }
                self.check_seated(order);
            }
        }
    }

    /// Whoever has a good ticket has a confirmed seat, at every moment; nobody has two good tickets of one leg's exchange.
    fn check_seated(&self, order: &Order) {
        for ticket in order.tickets.iter().filter(|ticket| ticket.state == TicketState::Issued) {
            let hold = order.legs[usize::from(ticket.leg)].hold;
            let seated =
                self.holds.get(&hold).is_some_and(|(tickets, who)| *tickets && who.contains(&ticket.passenger));
            assert!(seated, "a ticket without a seat: {order:?}");
        }
        for swap in order.changes.iter().flat_map(|change| &change.swaps) {
            let good = |at: u8| order.tickets[usize::from(at)].state == TicketState::Issued;
            assert!(!(good(swap.old) && good(swap.new)), "two tickets for one: {order:?}");
        }
    }

    /// What the provider has of the client's money in the end must be what the order says, and seats likewise.
    fn check(&self, order: &Order, story: &str) {
        let captured: Money = self.trades.values().map(|(_, captured)| *captured).sum();
        let sent: Money = self.refunds.values().map(|(amount, _)| *amount).sum();
        let issued = order.tickets.iter().filter(|ticket| ticket.state == TicketState::Issued);
        let worth: Money = issued.clone().map(|ticket| ticket.fare).sum();
        let fees: Money = order.tickets.iter().map(|ticket| ticket.fee).sum();
        assert_eq!(captured - sent, worth + fees, "{story}: money, {order:?}");
        assert!(self.refunds.values().all(|(_, arrived)| *arrived), "{story}: a refund is stuck");
        let seated: usize = self.holds.values().map(|(_, seated)| seated.len()).sum();
        assert_eq!(seated, issued.count(), "{story}: seats, {order:?} {:?}", self.holds);
        assert!(pending(order, &TERMS).is_empty() && awaited(order).is_empty(), "{story}: work is left, {order:?}");
    }
}

/// Every event is delivered twice: the second time changes nothing, or is refused.
fn advance(order: &mut Order, event: Event, now: Time) {
    if let Ok((next, _)) = step(order, event.clone(), now, &TERMS) {
        if let Ok((again, _)) = step(&next, event.clone(), now, &TERMS) {
            assert_eq!(again, next, "{event:?} repeated");
        }
        *order = next;
    }
}
