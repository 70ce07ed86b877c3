//! The exchange of tickets for others, as the product's shell does it.

use std::rc::Rc;

use domain::{ChangeId, HoldId, Money, OrderId, Run, SeatClass, Time};
use order_saga::order::{ChangeStage, Changed, Leg, Order, Seats, Swap, SwapPrice, Ticket, TicketChange, TicketState};
use order_saga::state::{Event, NewChange};

use super::{Failed, apply, drive};
use crate::saga::World;
use crate::saga::executor::{BEGINNING, Role};
use crate::saga::shards::{departure, whole};

/// Other tickets as they are asked for.
#[derive(Clone, Debug)]
pub(in crate::saga) struct Wanted {
    pub id: ChangeId,
    /// Stands for everything in the request.
    pub payload: u8,
    /// The positions of the tickets, all of one leg.
    pub tickets: Vec<u8>,
    pub run: Run,
    /// What each of the new tickets costs: the simulated class.
    pub fare: Money,
}

/// Exchanges tickets, and pays a difference with the token: what is owed for it and what goes back.
pub(in crate::saga) async fn change(
    world: &Rc<World>,
    id: OrderId,
    wanted: &Wanted,
    token: String,
) -> Result<(Money, Money), Failed> {
    let order = world.load(id)?;
    let request = [wanted.payload; 32];
    let known = |order: &Order| order.changes.iter().find(|change| change.id == wanted.id).map(|change| change.request);
    let order = match known(&order) {
        Some(_) => order,
        None => {
            let new = draft(world, &order, wanted)?;
            apply(world, order, Event::Change(Box::new(new))).await?
        }
    };
    if known(&order) != Some(request) && world.rules.change_payload_compared {
        return Err(Failed::Reused);
    }
    let order = drive(world, order).await?;
    let stage = order.changes.iter().find(|change| change.id == wanted.id).map(|change| change.stage);
    let order = if stage == Some(ChangeStage::Unpaid) {
        let order = apply(world, order, Event::Pay { token }).await?;
        drive(world, order).await?
    } else {
        order
    };
    let change = order.changes.iter().find(|change| change.id == wanted.id).ok_or(Failed::Unavailable)?;
    Ok((change.due(), change.refund()))
}

fn draft(world: &World, order: &Order, wanted: &Wanted) -> Result<NewChange, Failed> {
    let now = world.clock(Role::Order);
    let (leg, number) = (order.legs.len() as u8, order.changes.len() as u8);
    let (mut tickets, mut swaps) = (Vec::new(), Vec::new());
    for (offset, position) in wanted.tickets.iter().enumerate() {
        let old = order.tickets.get(usize::from(*position)).ok_or(Failed::NotFound)?;
        let was = &order.legs[usize::from(old.leg)];
        let times = old.changed.map_or(0, |before| before.times) + 1;
        let changed = Changed { from_departs_at: was.departs_at, at: now, into_rush: false, times };
        let price = price(old.fare, wanted.fare, now);
        swaps.push(Swap { old: *position, new: (order.tickets.len() + offset) as u8, price, changed });
        let (fee, refund) = (Money::ZERO, Money::ZERO);
        let state = TicketState::Replacing;
        let (seats_returned, changed) = (false, None);
        tickets.push(Ticket { leg, state, fare: price.fare, fee, refund, seats_returned, changed, ..old.clone() });
    }
    let departs_at = departure(world.beginning, wanted.run);
    let leg = Leg {
        run: wanted.run,
        class: SeatClass::Second,
        interval: whole(),
        riders: tickets.iter().map(|ticket| ticket.passenger).collect(),
        places: Vec::new(),
        hold: HoldId::of_order(order.id, leg),
        seats: Seats::Lost,
        held_again: 0,
        departs_at,
        arrives_at: departs_at.plus_millis(3_600_000),
    };
    let change = TicketChange {
        id: wanted.id,
        number,
        request: [wanted.payload; 32],
        leg: order.legs.len() as u8,
        swaps,
        standing: false,
        seat_change: false,
        at: now,
        stage: ChangeStage::Holding,
        pay_by: None,
        refusal: String::new(),
    };
    Ok(NewChange { change, leg, tickets })
}

/// The fee grows with the time at which the change was asked for, so that deciding it twice shows.
pub(super) fn price(old_fare: Money, fare: Money, at: Time) -> SwapPrice {
    let fee = Money::yuan((at.millis_since(BEGINNING) / 1_000).rem_euclid(10));
    let due = fare + fee - old_fare;
    SwapPrice { fare, fee, pay: due.max(Money::ZERO), refund: (-due).max(Money::ZERO) }
}
