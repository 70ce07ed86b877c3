//! One suite for every engine.

pub(crate) mod template;

use domain::{Channel, HoldId, Interval, Money, Run};

use super::*;
use crate::order::{EndReason, Phase, Seats, TicketState, TradeState};
use crate::state::{Event, Terms, TradeNews, step};
use crate::test_databases::{TestStore, stores};
use template::template;

const NOW: Time = Time::from_millis(1_800_000_000_000);
const HOUR: i64 = 3_600_000;
const LIMITS: AccountLimits = AccountLimits { unpaid_max: 1, cancel_points_max: 15, rush_tickets_max: 10 };
const NO_CHANGE: Change =
    Change { due_at: None, cancellation: None, added: AddedTickets { rush: false, student_trips_max: 4 } };

/// An order of one account and one passenger on a run that leaves and arrives so many hours from now.
fn order(id: u128, account: &str, document: u8, train: &str, hours: (i64, i64)) -> Order {
    let mut order = template(1);
    order.id = OrderId::from_u128(id);
    order.account = account.parse().unwrap();
    order.passengers.truncate(1);
    order.tickets.truncate(1);
    order.passengers[0].document = [document; 16];
    let leg = &mut order.legs[0];
    leg.run = Run::first(train.parse().unwrap(), "2027-01-20".parse().unwrap());
    leg.hold = HoldId::of_order(order.id, 0);
    leg.departs_at = NOW.plus_millis(hours.0 * HOUR);
    leg.arrives_at = NOW.plus_millis(hours.1 * HOUR);
    order
}

fn admission() -> Admission {
    Admission {
        now: NOW,
        day: 20_000,
        account: Some(LIMITS),
        rush: vec![false],
        student_trips_max: 4,
        due_at: NOW.plus_millis(1),
    }
}

fn refused(result: Result<(), StoreError>) -> Option<Refusal> {
    match result {
        Ok(()) => None,
        Err(StoreError::Refused(refusal)) => Some(refusal),
        Err(error) => panic!("{error:?}"),
    }
}

/// The order after events, stored one by one.
async fn go_on(store: &dyn OrderStore, mut order: Order, events: Vec<Event>) -> Order {
    for event in events {
        let (next, _) = step(&order, event, NOW, &Terms::default()).unwrap();
        order = store.update(&order, next, NO_CHANGE).await.unwrap();
    }
    order
}

fn to_tickets(total: Money) -> Vec<Event> {
    let (pay_by, hard_limit) = (NOW.plus_millis(HOUR), NOW.plus_millis(2 * HOUR));
    let captured =
        TradeNews { attempt: Some(0), id: "t".into(), state: TradeState::Captured, captured: total, revive: true };
    vec![
        Event::HoldOpened { leg: 0, pay_by, hard_limit },
        Event::Pay { token: "token".into() },
        Event::Trade(captured),
        Event::LegConfirmed { leg: 0 },
    ]
}

#[tokio::test]
async fn what_was_recorded_is_read_back() {
    for TestStore { engine, store, .. } in stores("read_back").await {
        let mut new = template(2);
        new.legs[1].run = Run::first("G72".parse().unwrap(), "2027-01-21".parse().unwrap());
        new.legs[1].places.push(crate::order::Place {
            passenger: 1,
            class: domain::SeatClass::Second,
            carriage: 7,
            label: "05C".into(),
            standing: false,
            interval: Interval::new(2, 9).unwrap(),
            berth: "U".into(),
        });
        new.tickets[3].student_year = Some(2026);
        let two_legs = Admission { rush: vec![false, true], ..admission() };
        store.insert(&new, &two_legs).await.unwrap();
        assert_eq!(store.get(new.id).await.unwrap().as_ref(), Some(&new), "{engine}");
        assert!(matches!(store.insert(&new, &two_legs).await, Err(StoreError::Exists)), "{engine}");
        assert_eq!(store.get(OrderId::from_u128(1)).await.unwrap(), None, "{engine}");

        let mut events = to_tickets(new.total());
        events.insert(1, Event::HoldOpened { leg: 1, pay_by: NOW.plus_millis(9), hard_limit: NOW.plus_millis(10) });
        events.push(Event::LegConfirmed { leg: 1 });
        events.push(Event::GiveBack { ticket: 2, fee: Money::yuan(5) });
        events.push(Event::SeatsReturned { leg: 1, passengers: vec![0] });
        let order = go_on(&*store, new, events).await;
        assert_eq!(order.tickets[2].state, TicketState::Refunding);
        assert_eq!(store.get(order.id).await.unwrap().as_ref(), Some(&order), "{engine}");
    }
}

#[tokio::test]
async fn passengers_are_sealed_anew_and_found_as_before() {
    use privacy::{DocumentVault, Fresh, Key, OpenError};
    let key = |digits: &str| Key::from_hex(&digits.repeat(32)).unwrap();
    let vault = |current: u32, ids: &[u32]| {
        let keys = ids.iter().map(|id| (*id, key(&format!("{id:02x}")))).collect();
        DocumentVault::new(current, keys, key("ee")).unwrap()
    };
    let (old, both, new) = (vault(1, &[1]), vault(2, &[1, 2]), vault(2, &[2]));
    for TestStore { engine, store, .. } in stores("reseal").await {
        let document = domain::Document::new(domain::DocumentKind::Passport, "E12345678").unwrap();
        let mut ids = Vec::new();
        for number in 1..=3u8 {
            let mut it = order(number.into(), &format!("a{number}"), number, "G1", (10, 12));
            let context = crate::app::passenger_context(it.id, 0);
            let sealer = if number == 3 { &both } else { &old };
            it.passengers[0].sealed =
                sealer.seal(&"李雷".parse().unwrap(), &document, &context, Fresh::from_bytes([number; 28]));
            store.insert(&it, &admission()).await.unwrap();
            ids.push(it.id);
        }
        let done = crate::reseal(&*store, &both, |_| {}).await.unwrap();
        assert_eq!((done.done, done.total, done.resealed), (3, 3, 2), "{engine}");
        for (number, id) in ids.iter().enumerate() {
            let it = store.get(*id).await.unwrap().unwrap();
            let context = crate::app::passenger_context(*id, 0);
            assert_eq!(
                new.open(&it.passengers[0].sealed, &context).unwrap().1,
                document,
                "{engine}: without the old key"
            );
            assert_eq!(old.open(&it.passengers[0].sealed, &context), Err(OpenError::UnknownKey(2)), "{engine}");
            assert_eq!(it.passengers[0].document, [number as u8 + 1; 16], "{engine}: found by the same hash");
        }
        let again = crate::reseal(&*store, &new, |_| {}).await.unwrap();
        assert_eq!(again.resealed, 0, "{engine}");
    }
}

#[tokio::test]
async fn two_writers_of_one_version_do_not_both_win() {
    for TestStore { engine, store, .. } in stores("versions").await {
        let new = order(1, "a", 1, "G1", (10, 12));
        store.insert(&new, &admission()).await.unwrap();
        let next = Order { phase: Phase::Held, ..new.clone() };
        store.update(&new, next.clone(), NO_CHANGE).await.unwrap();
        let late = store.update(&new, next, NO_CHANGE).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "{engine}: {late:?}");
    }
}

#[tokio::test]
async fn a_person_has_one_ticket_per_run_until_it_is_given_back() {
    for TestStore { engine, store, .. } in stores("one_per_run").await {
        let first = order(1, "a", 1, "G1", (10, 12));
        store.insert(&first, &admission()).await.unwrap();
        // The same run, another part of it: a different account does not help.
        let second = order(2, "b", 1, "G1", (13, 14));
        let refusal = refused(store.insert(&second, &admission()).await);
        assert_eq!(refusal, Some(Refusal::TicketOnRun), "{engine}");
        assert_eq!(refused(store.insert(&order(3, "b", 2, "G1", (10, 12)), &admission()).await), None, "{engine}");

        let cancelled = go_on(&*store, first, vec![Event::Cancel, Event::LegReleased { leg: 0 }]).await;
        assert_eq!(cancelled.phase, Phase::Released(EndReason::Cancelled));
        let other = order(4, "c", 1, "G1", (13, 14));
        assert_eq!(refused(store.insert(&other, &admission()).await), None, "{engine}");
    }
}

#[tokio::test]
async fn journeys_of_one_person_do_not_overlap_and_may_touch() {
    for TestStore { engine, store, .. } in stores("overlap").await {
        store.insert(&order(1, "a", 1, "G1", (10, 12)), &admission()).await.unwrap();
        for (id, hours, expected) in [
            (2, (11, 13), Some(Refusal::Overlap)),
            (3, (9, 11), Some(Refusal::Overlap)),
            (4, (9, 13), Some(Refusal::Overlap)),
            (5, (11, 12), Some(Refusal::Overlap)),
            (6, (12, 14), None),
            (7, (8, 10), None),
        ] {
            let account = format!("b{id}");
            let other = order(id, &account, 1, &format!("D{id}"), hours);
            assert_eq!(refused(store.insert(&other, &admission()).await), expected, "{engine} {hours:?}");
        }
    }
}

#[tokio::test]
async fn a_hundred_orders_for_one_person_at_once_make_one() {
    for TestStore { engine, store, .. } in stores("hundred").await {
        let mut tasks = tokio::task::JoinSet::new();
        for id in 1..=100u128 {
            let store = store.clone();
            // Every other one on another train at the same time.
            let train = if id % 2 == 0 { "G1" } else { "G3" };
            let new = order(id, &format!("a{id}"), 1, train, (10, 12));
            tasks.spawn(async move { refused(store.insert(&new, &admission()).await) });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|refusal| refusal.is_none()).count(), 1, "{engine}");
    }
}

#[tokio::test]
async fn an_account_has_one_unpaid_order_unless_it_sells_for_others() {
    for TestStore { engine, store, .. } in stores("unpaid").await {
        let first = order(1, "a", 1, "G1", (10, 12));
        store.insert(&first, &admission()).await.unwrap();
        let second = order(2, "a", 2, "G1", (10, 12));
        assert_eq!(refused(store.insert(&second, &admission()).await), Some(Refusal::Unpaid), "{engine}");
        let agency = Order { channel: Channel::Agency, ..order(3, "a", 3, "G1", (10, 12)) };
        let unlimited = Admission { account: None, ..admission() };
        assert_eq!(refused(store.insert(&agency, &unlimited).await), None, "{engine}");

        // Paid: the account may order again.
        let total = first.total();
        go_on(&*store, first, to_tickets(total)).await;
        assert_eq!(refused(store.insert(&second, &admission()).await), None, "{engine}");
    }
}

#[tokio::test]
async fn twenty_orders_of_one_account_at_once_make_one() {
    for TestStore { engine, store, .. } in stores("unpaid_race").await {
        let mut tasks = tokio::task::JoinSet::new();
        for id in 1..=20u8 {
            let store = store.clone();
            let new = order(id.into(), "a", id, "G1", (10, 12));
            tasks.spawn(async move { refused(store.insert(&new, &admission()).await) });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|refusal| refusal.is_none()).count(), 1, "{engine}: {outcomes:?}");
    }
}

#[tokio::test]
async fn three_unpaid_cancellations_stop_the_day() {
    for TestStore { engine, store, .. } in stores("cancellations").await {
        for id in 1..=3 {
            let new = order(id, "a", id as u8, "G1", (10, 12));
            store.insert(&new, &admission()).await.unwrap();
            let (next, _) = step(&new, Event::Cancel, NOW, &Terms::default()).unwrap();
            let cancellation = Some(Cancellation { day: 20_000, points: 5 });
            store.update(&new, next, Change { cancellation, ..NO_CHANGE }).await.unwrap();
        }
        let fourth = order(4, "a", 4, "G1", (10, 12));
        let refusal = refused(store.insert(&fourth, &admission()).await);
        assert_eq!(refusal, Some(Refusal::CancelledTooOften), "{engine}");
        let tomorrow = Admission { day: 20_001, ..admission() };
        assert_eq!(refused(store.insert(&fourth, &tomorrow).await), None, "{engine}");
        // A cancellation of the new day is the first of that day.
        let (next, _) = step(&fourth, Event::Cancel, NOW, &Terms::default()).unwrap();
        let cancellation = Some(Cancellation { day: 20_001, points: 5 });
        store.update(&fourth, next, Change { cancellation, ..NO_CHANGE }).await.unwrap();
        assert_eq!(refused(store.insert(&order(5, "a", 5, "G1", (10, 12)), &tomorrow).await), None, "{engine}");
    }
}

#[tokio::test]
async fn the_rush_caps_untravelled_tickets_of_an_account() {
    for TestStore { engine, store, .. } in stores("rush").await {
        let limits = AccountLimits { unpaid_max: 100, rush_tickets_max: 2, ..LIMITS };
        let rush = Admission { account: Some(limits), rush: vec![true], ..admission() };
        for id in 1..=2 {
            store.insert(&order(id, "a", id as u8, "G1", (10, 12)), &rush).await.unwrap();
        }
        let third = order(3, "a", 3, "G1", (10, 12));
        assert_eq!(refused(store.insert(&third, &rush).await), Some(Refusal::RushTickets { max: 2 }), "{engine}");
        let outside = Admission { rush: vec![false], ..rush.clone() };
        assert_eq!(refused(store.insert(&order(4, "a", 4, "G1", (10, 12)), &outside).await), None, "{engine}");
        // Once the trains have left, the account may have others.
        let later = Admission { now: NOW.plus_millis(10 * HOUR), ..rush };
        assert_eq!(refused(store.insert(&third, &later).await), None, "{engine}");
    }
}

#[tokio::test]
async fn a_refund_gives_the_student_trip_back() {
    for TestStore { engine, store, .. } in stores("students").await {
        let trip = |id: u128| {
            let mut new = order(id, &format!("a{id}"), 1, &format!("G{id}"), (id as i64 * 10, id as i64 * 10 + 2));
            new.tickets[0].student_year = Some(2026);
            new
        };
        for id in 1..=4 {
            store.insert(&trip(id), &admission()).await.unwrap();
        }
        let fifth = refused(store.insert(&trip(5), &admission()).await);
        assert_eq!(fifth, Some(Refusal::StudentTrips { max: 4 }), "{engine}");
        let mut next_year = trip(6);
        next_year.tickets[0].student_year = Some(2027);
        assert_eq!(refused(store.insert(&next_year, &admission()).await), None, "{engine}");

        let bought = go_on(&*store, trip(2), to_tickets(trip(2).total())).await;
        let fee = Money::ZERO;
        go_on(&*store, bought, vec![Event::GiveBack { ticket: 0, fee }]).await;
        assert_eq!(refused(store.insert(&trip(5), &admission()).await), None, "{engine}");
    }
}

#[tokio::test]
async fn orders_are_listed_newest_first_page_by_page() {
    for TestStore { engine, store, .. } in stores("list").await {
        let unlimited = Admission { account: None, ..admission() };
        for id in 1..=5u128 {
            let mut new = order(id, "a", id as u8, "G1", (10, 12));
            // Two of them in the same millisecond.
            new.created_at = NOW.plus_millis([0, 1, 2, 2, 3][id as usize - 1]);
            store.insert(&new, &unlimited).await.unwrap();
        }
        store.insert(&order(9, "b", 9, "G1", (10, 12)), &unlimited).await.unwrap();
        let account = "a".parse().unwrap();
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let page = store.list(&account, after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(PageEnd { created_at: last.created_at, id: last.id });
            seen.extend(page.iter().map(|order| order.id.as_u128()));
        }
        assert_eq!(seen, [5, 4, 3, 2, 1], "{engine}");
    }
}

#[tokio::test]
async fn due_orders_come_longest_due_first_and_can_be_postponed() {
    for TestStore { engine, store, .. } in stores("due").await {
        let due = |ms: i64| Admission { account: None, due_at: NOW.plus_millis(ms), ..admission() };
        for (id, ms) in [(1, 30), (2, 10), (3, 20)] {
            store.insert(&order(id, "a", id as u8, "G1", (10, 12)), &due(ms)).await.unwrap();
        }
        let ids = |at: i64| {
            let store = store.clone();
            async move {
                let due = store.due(NOW.plus_millis(at), 10).await.unwrap();
                due.iter().map(|id| id.as_u128()).collect::<Vec<_>>()
            }
        };
        assert_eq!(ids(9).await, [0u128; 0], "{engine}");
        assert_eq!(ids(20).await, [2, 3], "{engine}");
        store.postpone(OrderId::from_u128(2), NOW.plus_millis(40)).await.unwrap();
        assert_eq!(ids(40).await, [3, 1, 2], "{engine}");
        // Nothing left to do: it is not due at all, and cannot be postponed back into it.
        let third = store.get(OrderId::from_u128(3)).await.unwrap().unwrap();
        let held = Order { phase: Phase::Held, ..third.clone() };
        store.update(&third, held, NO_CHANGE).await.unwrap();
        store.postpone(OrderId::from_u128(3), NOW).await.unwrap();
        assert_eq!(ids(40).await, [1, 2], "{engine}");
    }
}

#[tokio::test]
async fn late_money_is_told_when_the_passenger_has_another_ticket() {
    for TestStore { engine, store, .. } in stores("late").await {
        let first = order(1, "a", 1, "G1", (10, 12));
        store.insert(&first, &admission()).await.unwrap();
        let mut released = first.clone();
        released.phase = Phase::Released(EndReason::Lapsed);
        released.tickets[0].state = TicketState::Void;
        released.legs[0].seats = Seats::Ended;
        let released = store.update(&first, released, NO_CHANGE).await.unwrap();
        store.insert(&order(2, "b", 1, "G1", (10, 12)), &admission()).await.unwrap();
        let mut revived = released.clone();
        revived.tickets[0].state = TicketState::Reserved;
        let refusal = store.update(&released, revived, NO_CHANGE).await.map(drop);
        assert_eq!(refused(refusal), Some(Refusal::TicketOnRun), "{engine}");
        assert_eq!(store.get(released.id).await.unwrap(), Some(released), "{engine}: nothing was changed");
    }
}
