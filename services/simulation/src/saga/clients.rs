//! Clients and the gateway: who asks for what, and repeats it when nothing is heard.

use std::rc::Rc;

use domain::{ChangeId, HoldId, Money, OrderId};
use inventory::{Answer, Command, HoldStage, Refusal};
use order_saga::order::{Order, Phase, TicketState};

use super::World;
use super::executor::Role;
use super::faults::{STORM_MS, Step};
use super::orders::{self, Draft, Failed, Wanted};
use super::provider::TOKENS;
use super::shards::hold_request;

/// Orders of one world.
const CLIENTS: u64 = 8;
/// People who travel: fewer than places in orders, so that some want two tickets for one train.
const PEOPLE: u64 = 13;
/// Clients come within so much of the beginning, in ms.
const ARRIVALS_MS: u64 = 45_000;
const TRIES_MAX: u32 = 12;
/// By the position of the ticket: four at first, and those of two changes.
const GIVEN_BACK: [&str; 8] = [
    "given back 0",
    "given back 1",
    "given back 2",
    "given back 3",
    "given back 4",
    "given back 5",
    "given back 6",
    "given back 7",
];
/// Nobody asks for a change later than so, in ms: by the storm's end its seats are held or given up, or will not stand long.
const CHANGES_MS: i64 = 95_000;
/// What the tickets of another class cost.
const FARES: [Money; 3] = [Money::yuan(60), Money::yuan(100), Money::yuan(150)];

/// Sends the clients.
pub(super) fn arrive(world: &Rc<World>) {
    for number in 1..=CLIENTS {
        let inner = Rc::clone(world);
        world.spawn(None, async move { buy(&inner, number).await });
    }
}

async fn buy(world: &Rc<World>, number: u64) {
    let wait_ms = world.chance(|chance| chance.below(ARRIVALS_MS));
    world.sleep(wait_ms.cast_signed()).await;
    let draft = draw(world, number);
    if !place(world, &draft).await {
        return;
    }
    if world.chance(|chance| chance.per_mille(200)) {
        ask_otherwise(world, &draft).await;
    }
    // Some never pay; some change their mind meanwhile.
    if world.chance(|chance| chance.per_mille(120)) {
        return;
    }
    if world.chance(|chance| chance.per_mille(200)) {
        let (inner, id, wait_ms) = (Rc::clone(world), draft.id, world.chance(|chance| chance.below(50_000)));
        world.spawn(None, async move {
            inner.sleep(wait_ms.cast_signed()).await;
            ask(&inner, Step::CancelOrder, move |world| async move { orders::cancel(&world, id).await.map(drop) })
                .await;
        });
    }
    pay(world, draft.id).await;
    for number in 0..2 {
        if world.chance(|chance| chance.per_mille(450)) {
            change(world, draft.id, number).await;
        }
    }
    if world.chance(|chance| chance.per_mille(700)) {
        give_back(world, draft.id).await;
    }
}

fn draw(world: &World, number: u64) -> Draft {
    let mut runs = world.shards.borrow().runs();
    if world.chance(|chance| chance.per_mille(500)) {
        runs.remove(world.chance(|chance| chance.below(2)) as usize);
    }
    let count = world.chance(|chance| chance.between(1, 2));
    let first = world.chance(|chance| chance.below(PEOPLE));
    let person = |at: u64| u128::from((first + at) % PEOPLE + 1).to_be_bytes();
    Draft { id: OrderId::from_u128(u128::from(number)), payload: 1, runs, documents: (0..count).map(person).collect() }
}

/// Places until there is an answer; true when the order stands.
async fn place(world: &Rc<World>, draft: &Draft) -> bool {
    let sent = draft.clone();
    let answer = ask(world, Step::PlaceOrder, move |world| {
        let draft = sent.clone();
        async move { through_gateway(&world, &draft).await }
    })
    .await;
    let Some(Ok(order)) = answer else { return false };
    world.accepted(draft.id, "placed", || (order.total(), Money::ZERO));
    true
}

/// The same id with another payload: never accepted.
async fn ask_otherwise(world: &Rc<World>, draft: &Draft) {
    let other = Draft { payload: 2, ..draft.clone() };
    let handle = move |world: Rc<World>| {
        let other = other.clone();
        async move { through_order(&world, &other).await }
    };
    let answer = world.call(Step::OpenOrder, None, Some(Role::Order), handle).await;
    if let Some(Ok(_)) = answer {
        world.broken(|| format!("I5: order {} was accepted with another payload", draft.id));
    }
}

async fn through_order(world: &Rc<World>, draft: &Draft) -> Result<Order, Failed> {
    orders::open(world, draft).await
}

async fn pay(world: &Rc<World>, id: OrderId) {
    for _ in 0..3 {
        let token = world.chance(|chance| chance.one_of(&TOKENS));
        let answer = ask(world, Step::PayOrder, move |world| async move {
            orders::pay(&world, id, token.to_owned()).await.map(drop)
        });
        if answer.await != Some(Ok(())) {
            return;
        }
        for _ in 0..60 {
            world.sleep(1_000).await;
            match world.load(id).map(|order| order.phase) {
                Ok(Phase::Paying | Phase::Captured) => {}
                Ok(Phase::Held) => break,
                _ => return,
            }
        }
    }
}

/// Changes tickets of one leg to another train, date or class, pays what is owed for it, or gives it up.
async fn change(world: &Rc<World>, id: OrderId, number: u8) {
    let Some(wanted) = draw_change(world, id, number) else { return };
    if world.chance(|chance| chance.per_mille(200)) {
        // The same id with another payload, perhaps before the true one: at most one of them is accepted.
        let (inner, other) =
            (Rc::clone(world), Wanted { payload: 2, fare: wanted.fare + Money::yuan(7), ..wanted.clone() });
        world.spawn(None, async move { ask_for_change(&inner, id, number, other).await });
    }
    ask_for_change(world, id, number, wanted).await;
    for _ in 0..3 {
        let wait_ms = world.chance(|chance| chance.between(500, 8_000));
        world.sleep(wait_ms.cast_signed()).await;
        let Ok(Phase::Changing) = world.load(id).map(|order| order.phase) else { return };
        match world.chance(|chance| chance.below(10)) {
            0..2 => {
                ask(world, Step::CancelOrder, move |world| async move { orders::cancel(&world, id).await.map(drop) })
                    .await;
            }
            2..7 => {
                let token = world.chance(|chance| chance.one_of(&TOKENS)).to_owned();
                ask(world, Step::PayOrder, move |world| {
                    let token = token.clone();
                    async move { orders::pay(&world, id, token).await.map(drop) }
                })
                .await;
            }
            _ => {}
        }
    }
}

fn draw_change(world: &World, id: OrderId, number: u8) -> Option<Wanted> {
    let order = world.load(id).ok()?;
    let issued = |position: &usize| order.tickets[*position].state == TicketState::Issued;
    let good: Vec<usize> = (0..order.tickets.len()).filter(issued).collect();
    if good.is_empty() || world.now_ms() > CHANGES_MS {
        return None;
    }
    let first = world.chance(|chance| chance.one_of(&good));
    let alone = world.chance(|chance| chance.per_mille(400));
    let leg = order.tickets[first].leg;
    let together = |position: &usize| *position == first || (!alone && order.tickets[*position].leg == leg);
    let runs = world.shards.borrow().all_runs();
    Some(Wanted {
        id: ChangeId::from_u128(id.as_u128() << 8 | u128::from(number)),
        payload: 1,
        tickets: good.into_iter().filter(together).map(|position| position as u8).collect(),
        run: world.chance(|chance| chance.one_of(&runs)),
        fare: world.chance(|chance| chance.one_of(&FARES)),
    })
}

/// Asks for a change until it is answered, and once more: the answer is the same.
async fn ask_for_change(world: &Rc<World>, id: OrderId, number: u8, wanted: Wanted) {
    let token = world.chance(|chance| chance.one_of(&TOKENS)).to_owned();
    for _ in 0..2 {
        let (sent, token) = (wanted.clone(), token.clone());
        let answer = ask(world, Step::ChangeTickets, move |world| {
            let (wanted, token) = (sent.clone(), token.clone());
            async move { orders::change(&world, id, &wanted, token).await }
        });
        if let Some(Ok((due, refund))) = answer.await {
            let of_payload = Money::yuan(1_000 * i64::from(wanted.payload));
            world.accepted(id, ["changed 0", "changed 1"][usize::from(number)], || (of_payload + due, refund));
        }
    }
}

/// Gives tickets back, each until it is answered, and once more: the answer is the same.
async fn give_back(world: &Rc<World>, id: OrderId) {
    let Ok(order) = world.load(id) else { return };
    for position in 0..order.tickets.len() as u8 {
        if order.tickets[usize::from(position)].state != TicketState::Issued {
            continue;
        }
        if world.chance(|chance| chance.per_mille(300)) {
            continue;
        }
        for _ in 0..2 {
            let answer =
                ask(
                    world,
                    Step::RefundTicket,
                    move |world| async move { orders::give_back(&world, id, position).await },
                );
            if let Some(Ok((refund, fee))) = answer.await {
                world.accepted(id, GIVEN_BACK[usize::from(position)], || (refund, fee));
            }
            let wait_ms = world.chance(|chance| chance.below(4_000));
            world.sleep(wait_ms.cast_signed()).await;
        }
    }
}

/// Asks until there is an answer that will not pass, or the client is tired of it.
async fn ask<T: 'static, F: Future<Output = Result<T, Failed>> + 'static>(
    world: &Rc<World>,
    step: Step,
    handle: impl Fn(Rc<World>) -> F + Clone + 'static,
) -> Option<Result<T, Failed>> {
    let role = if step == Step::PlaceOrder { Role::Gateway } else { Role::Order };
    for _ in 0..TRIES_MAX {
        let end_ms = if step == Step::ChangeTickets { CHANGES_MS } else { STORM_MS };
        if world.now_ms() > end_ms {
            return None;
        }
        match world.call(step, None, Some(role), handle.clone()).await {
            Some(Err(failed)) if failed.passes() => {}
            Some(answer) => return Some(answer),
            None => {}
        }
        let wait_ms = world.chance(|chance| chance.between(200, 2_000));
        world.sleep(wait_ms.cast_signed()).await;
    }
    None
}

/// The gateway: holds leg after leg, then opens the order, and gives back what an order does not want.
async fn through_gateway(world: &Rc<World>, draft: &Draft) -> Result<Order, Failed> {
    for leg in 0..draft.runs.len() {
        let (run, command) = (draft.runs[leg], hold_request(hold_of(draft, leg), &draft.documents));
        let handle = move |world: Rc<World>| std::future::ready(world.at_shard(run, &command));
        match world.call(Step::Hold, Some(Role::Gateway), None, handle).await {
            None => return Err(Failed::Unavailable),
            Some(Ok(Answer::Held(_))) => {}
            Some(refused) => {
                give_holds_back(world, draft).await;
                let gone = matches!(refused, Err(Refusal::SoldOut { .. }));
                return Err(if gone { Failed::SeatsLost } else { Failed::Refused });
            }
        }
    }
    let sent = draft.clone();
    let handle = move |world: Rc<World>| {
        let draft = sent.clone();
        async move { orders::open(&world, &draft).await }
    };
    let opened = world.call(Step::OpenOrder, Some(Role::Gateway), Some(Role::Order), handle).await;
    match opened.unwrap_or(Err(Failed::Unavailable)) {
        Err(failed) if !failed.passes() && failed != Failed::Reused => {
            give_holds_back(world, draft).await;
            Err(failed)
        }
        opened => opened,
    }
}

async fn give_holds_back(world: &Rc<World>, draft: &Draft) {
    for leg in 0..draft.runs.len() {
        let (run, hold) = (draft.runs[leg], hold_of(draft, leg));
        if world.stage(run, hold) == Some(HoldStage::Held) {
            let handle = move |world: Rc<World>| std::future::ready(world.at_shard(run, &Command::Release { hold }));
            // Failing is harmless: what no order claims lapses.
            drop(world.call(Step::GiveHoldBack, Some(Role::Gateway), None, handle).await);
        }
    }
}

fn hold_of(draft: &Draft, leg: usize) -> HoldId {
    HoldId::of_order(draft.id, leg as u8)
}
