//! The order service around the saga's state machine: what the product's shell does, on rows and calls of this world.

mod change;
pub(super) mod perform;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use domain::{AccountId, Channel, HoldId, Money, OrderId, PassengerKind, Run, SeatClass, Time};
use order_saga::order::{ChangeStage, EndReason, Leg, Order, Passenger, Phase, Seats, Ticket, TicketState, TradeState};
use order_saga::state::{Effect, Event, Rejection, Terms, TradeNews, awaited, concerns, next_deadline, pending, step};

pub(super) use change::{Wanted, change};

use super::World;
use super::executor::{Role, Unknown};
use super::faults::Step;
use super::shards::{HARD_LIMIT_MS, departure, whole};

pub(super) const TERMS: Terms = Terms { pay_attempts_max: 3, hold_again_max: 2, seats_wait_for_money: false };
/// What every ticket costs.
pub(super) const FARE: Money = Money::yuan(100);

// The service's own settings.
const LEASE_MS: i64 = 6_000;
const SWEEP_POLL_MS: i64 = 500;
const RETRY_MIN_MS: i64 = 2_000;
const RETRY_MAX_MS: i64 = 20_000;
const CONFLICTS_MAX: u32 = 16;
const EFFECTS_MAX: u32 = 64;

/// The rows, and when each is due.
#[derive(Debug, Default)]
pub(super) struct OrderRows {
    pub rows: BTreeMap<OrderId, Row>,
    /// Confirmations begun, for a defect that begins each once.
    confirms_begun: BTreeSet<HoldId>,
    /// Differences asked for, for a defect that draws a new id each time.
    differences_asked: u32,
    /// Refunds asked for, for a defect that draws a new id each time.
    refunds_asked: u64,
}

#[derive(Debug)]
pub(super) struct Row {
    pub order: Order,
    due_at: Option<Time>,
}

/// Why the service did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nothing is known about the outcome.
    Unavailable,
    /// The row was changed meanwhile.
    Conflict,
    /// A passenger has another ticket on the run.
    Refused,
    /// There is such an order already.
    Exists,
    /// The id stands for another request.
    Reused,
    /// No such order.
    NotFound,
    /// The seats are gone.
    SeatsLost,
    /// The saga refuses the event.
    Rejected(Rejection),
}

impl From<Unknown> for Failed {
    fn from(_: Unknown) -> Self {
        Self::Unavailable
    }
}

impl Failed {
    /// Whether asking again may help.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Unavailable | Self::Conflict | Self::Rejected(Rejection::NotOpen))
    }
}

/// An order as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub id: OrderId,
    /// Stands for everything else in the request.
    pub payload: u8,
    pub runs: Vec<Run>,
    /// The passengers' documents.
    pub documents: Vec<[u8; 16]>,
}

/// Begins the sweeper.
pub(super) fn start(world: &Rc<World>) {
    let inner = Rc::clone(world);
    world.spawn(Some(Role::Order), async move {
        let in_flight = Rc::new(std::cell::RefCell::new(BTreeSet::new()));
        loop {
            inner.sleep(SWEEP_POLL_MS).await;
            if !inner.rules.swept {
                continue;
            }
            let now = inner.clock(Role::Order);
            let due: Vec<OrderId> = {
                let orders = inner.orders.borrow();
                let is_due = |row: &&Row| row.due_at.is_some_and(|at| at <= now);
                orders.rows.values().filter(is_due).map(|row| row.order.id).collect()
            };
            for id in due.into_iter().filter(|id| in_flight.borrow_mut().insert(*id)) {
                let (world, in_flight) = (Rc::clone(&inner), Rc::clone(&in_flight));
                inner.spawn(Some(Role::Order), async move {
                    if sweep(&world, id).await.is_err() {
                        world.postpone(id, world.clock(Role::Order).plus_millis(RETRY_MAX_MS));
                    }
                    in_flight.borrow_mut().remove(&id);
                });
            }
        }
    });
}

/// Goes on with one order.
async fn sweep(world: &Rc<World>, id: OrderId) -> Result<(), Failed> {
    let order = world.load(id)?;
    let seen = order.version;
    let order = apply(world, order, Event::Tick).await?;
    let mut order = drive(world, order).await?;
    for effect in awaited(&order) {
        if let Some(next) = attempt(world, &order, &effect).await? {
            order = drive(world, next).await?;
        }
    }
    let waits = !pending(&order, &TERMS).is_empty() || !awaited(&order).is_empty();
    if order.version == seen || waits {
        let next = next_deadline(&order).unwrap_or(Time::from_millis(i64::MAX));
        world.postpone(id, retry_at(&order, world.clock(Role::Order)).min(next));
    }
    Ok(())
}

/// Records an order for seats that are held; a repeat answers the order as it is.
pub(super) async fn open(world: &Rc<World>, draft: &Draft) -> Result<Order, Failed> {
    let order = new_order(world, draft);
    let request = order.request;
    let row = order.clone();
    let due_at = world.clock(Role::Order).plus_millis(LEASE_MS);
    let inserted = world.commit(Step::RecordOrder, Role::Order, |world| world.insert(row, due_at)).await;
    let order = match inserted {
        Ok(()) => order,
        Err(Failed::Exists) => {
            let known = world.load(draft.id)?;
            if known.request != request && world.rules.payload_compared {
                return Err(Failed::Reused);
            }
            known
        }
        Err(failed) => return Err(failed),
    };
    let order = if order.phase == Phase::Opening { drive(world, order).await? } else { order };
    match order.phase {
        Phase::Opening => Err(Failed::Unavailable),
        Phase::Closing(EndReason::SeatsLost) | Phase::Released(EndReason::SeatsLost) => Err(Failed::SeatsLost),
        _ => Ok(order),
    }
}

pub(super) async fn pay(world: &Rc<World>, id: OrderId, token: String) -> Result<Order, Failed> {
    let mut order = world.load(id)?;
    if order.phase == Phase::Opening {
        order = drive(world, order).await?;
    }
    let order = apply(world, order, Event::Pay { token }).await?;
    drive(world, order).await
}

pub(super) async fn cancel(world: &Rc<World>, id: OrderId) -> Result<Order, Failed> {
    let order = world.load(id)?;
    let order = apply(world, order, Event::Cancel).await?;
    drive(world, order).await
}

/// Gives a ticket back: what goes back and what is kept. The fee grows with time, so that deciding it twice shows.
pub(super) async fn give_back(world: &Rc<World>, id: OrderId, position: u8) -> Result<(Money, Money), Failed> {
    let order = world.load(id)?;
    let ticket = order.tickets.get(usize::from(position)).ok_or(Failed::NotFound)?;
    let now_fee = Money::yuan(world.now_ms() / 1_000 % 90);
    let fee = if ticket.state == TicketState::Issued { now_fee } else { ticket.fee };
    let order = apply(world, order, Event::GiveBack { ticket: position, fee }).await?;
    let order = drive(world, order).await?;
    let ticket = &order.tickets[usize::from(position)];
    if !world.rules.fee_decided_once {
        return Ok((ticket.fare - now_fee, now_fee));
    }
    Ok((ticket.refund, ticket.fee))
}

pub(super) async fn note_trade(world: &Rc<World>, id: OrderId, news: TradeNews) -> Result<(), Failed> {
    let order = world.load(id)?;
    let over = matches!(order.phase, Phase::Closing(_) | Phase::Released(_));
    if over && news.state == TradeState::Captured && !world.rules.late_money_heard {
        return Ok(());
    }
    let order = apply(world, order, Event::Trade(news)).await?;
    drive(world, order).await.map(drop)
}

pub(super) async fn note_refund(world: &Rc<World>, id: OrderId, refund: String) -> Result<(), Failed> {
    let order = world.load(id)?;
    let order = apply(world, order, Event::Refund { id: refund, arrived: true }).await?;
    drive(world, order).await.map(drop)
}

/// Decides what an event makes of an order and records it.
async fn apply(world: &Rc<World>, order: Order, event: Event) -> Result<Order, Failed> {
    apply_while(world, order, event, |_| true).await
}

async fn apply_while(
    world: &Rc<World>,
    mut order: Order,
    mut event: Event,
    concerns: impl Fn(&Order) -> bool,
) -> Result<Order, Failed> {
    for _ in 0..CONFLICTS_MAX {
        let now = world.clock(Role::Order);
        let (next, effects) = step(&order, event.clone(), now, &TERMS).map_err(Failed::Rejected)?;
        if next == order {
            return Ok(order);
        }
        let due_at = due_after(&next, &effects, now);
        let after = Order { version: order.version + 1, ..next };
        let (before, row) = (order.clone(), after.clone());
        let update = |world: &World| world.update(&before, row, due_at);
        match world.commit(Step::RecordEvent, Role::Order, update).await {
            Ok(()) => return Ok(after),
            Err(Failed::Conflict) => {
                order = world.load(order.id)?;
                if !concerns(&order) {
                    return Ok(order);
                }
            }
            Err(Failed::Refused) if matches!(&event, Event::Trade(news) if news.revive) => {
                let Event::Trade(news) = &mut event else { continue };
                news.revive = false;
            }
            Err(failed) => return Err(failed),
        }
    }
    Err(Failed::Unavailable)
}

/// Performs what is to be done until the order waits for somebody, or an effect fails for now.
async fn drive(world: &Rc<World>, mut order: Order) -> Result<Order, Failed> {
    for _ in 0..EFFECTS_MAX {
        let Some(effect) = next_effect(world, &order) else { break };
        let Some(next) = attempt(world, &order, &effect).await? else { break };
        order = next;
    }
    Ok(order)
}

fn next_effect(world: &World, order: &Order) -> Option<Effect> {
    let effects = pending(order, &TERMS);
    let closes = matches!(effects.first(), Some(Effect::CloseTrade { .. }));
    if closes && !world.rules.trade_closed_first {
        let opened = order.legs.iter().position(|leg| matches!(leg.seats, Seats::Held | Seats::Opened));
        if let Some(leg) = opened {
            return Some(Effect::Release { leg: leg as u8 });
        }
    }
    let gives_back_changed = |effect: &Effect| match effect {
        Effect::ReturnSeats { leg, .. } => order.tickets_of(*leg).any(|ticket| ticket.state == TicketState::Changed),
        _ => false,
    };
    effects.into_iter().find(|effect| world.rules.changed_seats_returned || !gives_back_changed(effect))
}

async fn attempt(world: &Rc<World>, order: &Order, effect: &Effect) -> Result<Option<Order>, Failed> {
    let Some(event) = perform::perform(world, order, effect).await else { return Ok(None) };
    let version = order.version;
    let still = |now: &Order| !world.rules.stale_news_dropped || concerns(effect, order, now);
    let next = apply_while(world, order.clone(), event, still).await?;
    Ok((next.version != version).then_some(next))
}

fn due_after(order: &Order, effects: &[Effect], now: Time) -> Option<Time> {
    if !effects.is_empty() {
        return Some(now.plus_millis(LEASE_MS));
    }
    let poll = (!awaited(order).is_empty()).then(|| retry_at(order, now));
    [next_deadline(order), poll].into_iter().flatten().min()
}

fn retry_at(order: &Order, now: Time) -> Time {
    let age_ms = now.millis_since(order.paid.map_or(order.created_at, |paid| paid.at));
    now.plus_millis((age_ms / 10).clamp(RETRY_MIN_MS, RETRY_MAX_MS))
}

fn new_order(world: &World, draft: &Draft) -> Order {
    let leg = |(at, run): (usize, &Run)| Leg {
        run: *run,
        class: SeatClass::Second,
        interval: whole(),
        riders: (0..draft.documents.len() as u8).collect(),
        places: Vec::new(),
        hold: HoldId::of_order(draft.id, at as u8),
        seats: Seats::Held,
        held_again: 0,
        departs_at: departure(world.beginning, *run),
        arrives_at: departure(world.beginning, *run).plus_millis(3_600_000),
    };
    let ticket = |leg: usize, passenger: usize| Ticket {
        leg: leg as u8,
        passenger: passenger as u8,
        state: TicketState::Reserved,
        fare: FARE,
        fee: Money::ZERO,
        refund: Money::ZERO,
        seats_returned: false,
        student_year: None,
        changed: None,
    };
    let people = draft.documents.len();
    let passenger = |document: &[u8; 16]| Passenger {
        kind: PassengerKind::Adult,
        document: *document,
        sealed: Vec::new(),
        student: None,
    };
    let account: AccountId = "simulated".parse().expect("an account");
    Order {
        id: draft.id,
        account,
        channel: Channel::Online,
        request: [draft.payload; 32],
        phase: Phase::Opening,
        legs: draft.runs.iter().enumerate().map(leg).collect(),
        passengers: draft.documents.iter().map(passenger).collect(),
        tickets: (0..draft.runs.len()).flat_map(|at| (0..people).map(move |one| ticket(at, one))).collect(),
        trades: Vec::new(),
        refunds: Vec::new(),
        changes: Vec::new(),
        created_at: world.clock(Role::Order),
        pay_by: None,
        hard_limit: None,
        paid: None,
        policy_version: 1,
        version: 0,
    }
}

impl World {
    pub(super) fn load(&self, id: OrderId) -> Result<Order, Failed> {
        self.orders.borrow().rows.get(&id).map(|row| row.order.clone()).ok_or(Failed::NotFound)
    }

    fn insert(&self, order: Order, due_at: Time) -> Result<(), Failed> {
        let mut orders = self.orders.borrow_mut();
        if orders.rows.contains_key(&order.id) {
            return Err(Failed::Exists);
        }
        orders.check_one_ticket_a_run(&order)?;
        self.counts.borrow_mut().orders += 1;
        orders.rows.insert(order.id, Row { order, due_at: Some(due_at) });
        Ok(())
    }

    fn update(&self, before: &Order, after: Order, due_at: Option<Time>) -> Result<(), Failed> {
        let mut orders = self.orders.borrow_mut();
        let present = &orders.rows.get(&after.id).ok_or(Failed::NotFound)?.order;
        if present.version != before.version && self.rules.versions_compared {
            return Err(Failed::Conflict);
        }
        let phase = present.phase;
        orders.check_one_ticket_a_run(&after)?;
        if phase != after.phase {
            self.note("phase", after.version, || format!("{} {:?} -> {:?}", after.id, phase, after.phase));
        }
        self.judge_phase(phase, &after);
        orders.rows.insert(after.id, Row { order: after, due_at });
        Ok(())
    }

    /// How long seats that a change is about to hold may stand from now on, in ms.
    pub(super) fn seats_may_stand_ms(&self) -> i64 {
        let holds = |row: &Row| {
            let stage = row.order.change().map(|change| change.stage);
            matches!(stage, Some(ChangeStage::Holding | ChangeStage::Unpaid | ChangeStage::Confirming))
        };
        if self.orders.borrow().rows.values().any(holds) { HARD_LIMIT_MS.into() } else { 0 }
    }

    fn postpone(&self, id: OrderId, due_at: Time) {
        if let Some(row) = self.orders.borrow_mut().rows.get_mut(&id).filter(|row| row.due_at.is_some()) {
            row.due_at = Some(due_at);
        }
    }
}

impl OrderRows {
    /// The database's constraint: one live ticket for a document and run, or one that is to replace another.
    fn check_one_ticket_a_run(&self, order: &Order) -> Result<(), Failed> {
        let taken = |ticket: &&Ticket| {
            let (run, document) = of(order, ticket);
            let others = self.rows.values().filter(|row| row.order.id != order.id);
            others
                .map(|row| &row.order)
                .any(|other| other.tickets.iter().any(|ticket| stands(ticket) && of(other, ticket) == (run, document)))
        };
        if order.tickets.iter().filter(|ticket| stands(ticket)).any(|ticket| taken(&ticket)) {
            return Err(Failed::Refused);
        }
        Ok(())
    }
}

fn stands(ticket: &Ticket) -> bool {
    ticket.state.is_live() || ticket.state == TicketState::Replacing
}

fn of(order: &Order, ticket: &Ticket) -> (Run, [u8; 16]) {
    (order.legs[usize::from(ticket.leg)].run, order.passengers[usize::from(ticket.passenger)].document)
}
