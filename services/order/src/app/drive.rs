//! The one place where an event is applied to a stored order, and where what follows from it is performed.

use domain::Time;
use failpoints::Point;

use super::App;
use crate::error::Error;
use crate::metrics;
use crate::order::{EndReason, Order, Phase, TicketState};
use crate::rules::days::railway_day;
use crate::state::{Effect, Event, awaited, concerns, next_deadline, pending, step};
use crate::store::{AddedTickets, Cancellation, Change, StoreError};

/// How often an event is tried on an order that others change at the same time.
const CONFLICTS_MAX: u32 = 16;
/// The most effects of one call: a whole saga has fewer; what is left is the sweeper's.
const EFFECTS_MAX: u32 = 64;

impl App {
    /// Decides what an event makes of an order and records it. Nothing is recorded when it changes nothing.
    pub(super) async fn apply(&self, order: Order, event: Event) -> Result<Order, Error> {
        self.apply_while(order, event, |_| true).await
    }

    /// The same for an event that means nothing to an order which others have changed so that it no longer concerns it.
    async fn apply_while(
        &self,
        mut order: Order,
        mut event: Event,
        concerns: impl Fn(&Order) -> bool,
    ) -> Result<Order, Error> {
        for _ in 0..CONFLICTS_MAX {
            let now = self.clock.now();
            let (next, effects) = step(&order, event.clone(), now, &self.terms)?;
            if next == order {
                return Ok(order);
            }
            let due_at = self.due_after(&next, &effects, now);
            let change = Change {
                due_at,
                cancellation: self.cancellation(&order, &next, now),
                added: self.added_tickets(&event),
            };
            failpoints::at(Point::OrderBeforeEventRecorded).await?;
            let updated = self.store.update(&order, next, change).await;
            failpoints::at(Point::OrderAfterEventRecorded).await?;
            match updated {
                Ok(next) => {
                    metrics::moved(&order, &next, now);
                    self.watchers.tell(&next);
                    return Ok(next);
                }
                Err(StoreError::Conflict) => {
                    order = self.load(order.id).await?;
                    if !concerns(&order) {
                        return Ok(order);
                    }
                }
                // The passengers have other tickets by now: late money goes back instead.
                Err(StoreError::Refused(_)) if matches!(&event, Event::Trade(news) if news.revive) => {
                    let Event::Trade(news) = &mut event else { continue };
                    news.revive = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy)
    }

    /// Performs what is to be done, one effect after the other, until the order waits for somebody or an effect fails for
    /// now. What is left undone is due again soon.
    pub(super) async fn drive(&self, mut order: Order) -> Result<Order, Error> {
        for _ in 0..EFFECTS_MAX {
            let Some(effect) = pending(&order, &self.terms).into_iter().next() else { break };
            let Some(next) = self.attempt(&order, &effect).await? else { break };
            order = next;
        }
        Ok(order)
    }

    /// Performs one effect and applies what came of it. `None` when nothing came of it yet.
    pub(super) async fn attempt(&self, order: &Order, effect: &Effect) -> Result<Option<Order>, Error> {
        let (before, after) = points_around(order, effect);
        failpoints::at(before).await?;
        let performed = self.perform(order, effect).await;
        failpoints::at(after).await?;
        let event = match performed {
            Ok(event) => event,
            Err(failure) => {
                metrics::effect_failed(effect);
                tracing::warn!(order = %order.id, ?effect, %failure, "an effect has to be tried again");
                return Ok(None);
            }
        };
        let version = order.version;
        let next = self.apply_while(order.clone(), event, |now| concerns(effect, order, now)).await?;
        Ok((next.version != version).then_some(next))
    }

    /// When the sweeper looks at an order next.
    fn due_after(&self, order: &Order, effects: &[Effect], now: Time) -> Option<Time> {
        if !effects.is_empty() {
            return Some(now.plus_millis(self.options.lease_ms.into()));
        }
        let poll = (!awaited(order).is_empty()).then(|| self.retry_at(order, now));
        [next_deadline(order), poll].into_iter().flatten().min()
    }

    /// When to try again: seldom for an old order, so that an outage of days costs little.
    pub(super) fn retry_at(&self, order: &Order, now: Time) -> Time {
        let age_ms = now.millis_since(order.paid.map_or(order.created_at, |paid| paid.at));
        let (least, most) = (self.options.retry_min_ms.into(), self.options.retry_max_ms.into());
        now.plus_millis((age_ms / 10).clamp(least, most))
    }

    /// What the tickets that an event brings must pass.
    fn added_tickets(&self, event: &Event) -> AddedTickets {
        let Event::Change(new) = event else { return AddedTickets::default() };
        AddedTickets {
            rush: self.boards_on(&new.leg).is_some_and(|date| self.policy.order.in_rush(date)),
            student_trips_max: self.policy.fare.student_trips_per_year,
        }
    }

    /// The unpaid cancellation to count against the account: given up by its client, or left to lapse.
    fn cancellation(&self, before: &Order, after: &Order, now: Time) -> Option<Cancellation> {
        let given_up = matches!(after.phase, Phase::Closing(reason) | Phase::Released(reason)
            if matches!(reason, EndReason::Cancelled | EndReason::Lapsed));
        let counts = before.phase.is_unpaid() && given_up && self.policy.order.limits_accounts_of(after.channel);
        let points = if after.is_seatless() { 1 } else { self.policy.order.seatless_cancellations_as_one };
        counts.then(|| Cancellation { day: railway_day(now), points })
    }
}

/// Where a process can be told to die before and after an effect.
fn points_around(order: &Order, effect: &Effect) -> (Point, Point) {
    of_change(order, effect).unwrap_or_else(|| of_order(effect))
}

/// The same for the effects of a change.
fn of_change(order: &Order, effect: &Effect) -> Option<(Point, Point)> {
    let leg_of_change = order.change().map(|change| change.leg);
    let difference = |attempt: u32| order.trades.get(attempt as usize).is_some_and(|trade| trade.change.is_some());
    let exchanged = |leg: u8| order.tickets_of(leg).any(|ticket| ticket.state == TicketState::Changed);
    Some(match effect {
        Effect::HoldAgain { leg } if Some(*leg) == leg_of_change => {
            (Point::OrderBeforeHoldForChange, Point::OrderAfterHoldForChange)
        }
        Effect::CreateTrade { attempt } if difference(*attempt) => {
            (Point::OrderBeforeCreateDifference, Point::OrderAfterCreateDifference)
        }
        Effect::Confirm { leg } if Some(*leg) == leg_of_change => {
            (Point::OrderBeforeConfirmChange, Point::OrderAfterConfirmChange)
        }
        Effect::ReturnSeats { leg, .. } if exchanged(*leg) => {
            (Point::OrderBeforeReturnChanged, Point::OrderAfterReturnChanged)
        }
        _ => return None,
    })
}

const fn of_order(effect: &Effect) -> (Point, Point) {
    match effect {
        Effect::OpenHold { .. } => (Point::OrderBeforeOpenHold, Point::OrderAfterOpenHold),
        Effect::Confirm { .. } => (Point::OrderBeforeConfirm, Point::OrderAfterConfirm),
        Effect::Release { .. } => (Point::OrderBeforeRelease, Point::OrderAfterRelease),
        Effect::HoldAgain { .. } => (Point::OrderBeforeHoldAgain, Point::OrderAfterHoldAgain),
        Effect::ReturnSeats { .. } => (Point::OrderBeforeReturnSeats, Point::OrderAfterReturnSeats),
        Effect::CreateTrade { .. } => (Point::OrderBeforeCreateTrade, Point::OrderAfterCreateTrade),
        Effect::QueryTrade { .. } => (Point::OrderBeforeQueryTrade, Point::OrderAfterQueryTrade),
        Effect::CloseTrade { .. } => (Point::OrderBeforeCloseTrade, Point::OrderAfterCloseTrade),
        Effect::CreateRefund { .. } => (Point::OrderBeforeCreateRefund, Point::OrderAfterCreateRefund),
        Effect::QueryRefund { .. } => (Point::OrderBeforeQueryRefund, Point::OrderAfterQueryRefund),
    }
}
