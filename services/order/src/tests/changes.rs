//! Tickets exchanged for others: across trains, dates and classes.

use proto::common::v1::{self as common, SeatClass};
use proto::order::v1::{self as wire, OrderState, TicketChangeState, TicketState, TradeOutcome};
use rpc::reason;

use super::fakes::Stage;
use super::*;
use crate::test_databases::stores;

/// First class of the same interval: `fares.csv` of the sample says 897.50.
const FIRST_FEN: i64 = 89_750;

/// The second passenger's ticket, to another train that leaves at 06:44 for the same fare.
fn to_g101(date: &str) -> wire::ChangedJourney {
    wire::ChangedJourney {
        account: "li-lei".into(),
        order_id: id(1).to_string(),
        ticket_ids: vec![format!("{}-0-1", id(1))],
        run: Some(common::Run { train_code: "G101".into(), service_date: date.into(), ordinal: 1 }),
        seat_class: SeatClass::Second.into(),
        from_stop: 0,
        to_stop: 10,
        accept_standing: false,
        accept_seat_change: false,
    }
}

fn request(number: u128, journey: wire::ChangedJourney) -> wire::ChangeTicketsRequest {
    let change_id = domain::ChangeId::from_u128(number).to_string();
    wire::ChangeTicketsRequest { change_id, journey: Some(journey), ..Default::default() }
}

async fn change(world: &World, request: wire::ChangeTicketsRequest) -> Result<wire::ChangeTicketsResponse, Failure> {
    world.client.clone().change_tickets(request).await.map(|it| it.into_inner()).map_err(Failure::from)
}

fn states(order: &wire::Order) -> Vec<TicketState> {
    order.tickets.iter().map(wire::Ticket::state).collect()
}

#[tokio::test]
async fn one_id_for_two_changes_at_once_stands_for_one_of_them() {
    for store in stores("change_id").await {
        let engine = store.engine;
        let world = World::on(store).await;
        world.ticketed(id(1)).await;
        let (one, other) = (to_g101("2026-12-21"), to_g101("2026-12-22"));
        let answers = tokio::join!(change(&world, request(7, one)), change(&world, request(7, other)));
        let (accepted, refused): (Vec<_>, Vec<_>) = [answers.0, answers.1].into_iter().partition(Result::is_ok);
        assert_eq!(accepted.len(), 1, "{engine}");
        let reasons: Vec<_> = refused.into_iter().map(|it| it.unwrap_err().reason).collect();
        assert_eq!(reasons, [reason::REQUEST_ID_REUSED], "{engine}");
    }
}

#[tokio::test]
async fn a_ticket_is_exchanged_for_one_of_the_same_fare_and_only_once() {
    for store in stores("change").await {
        let engine = store.engine;
        let world = World::on(store).await;
        world.ticketed(id(1)).await;
        let answer = change(&world, request(7, to_g101("2026-12-21"))).await.unwrap();
        let order = answer.order.unwrap();
        assert_eq!(answer.change.unwrap().state(), TicketChangeState::Done, "{engine}");
        assert_eq!(order.state(), OrderState::Confirmed, "{engine}");
        assert_eq!(states(&order), [TicketState::Issued, TicketState::Changed, TicketState::Issued], "{engine}");
        let (old, new) = (&order.tickets[1], &order.tickets[2]);
        assert_eq!((&old.changed_to, &new.changed_from), (&new.ticket_id, &old.ticket_id), "{engine}");
        assert_eq!((&*new.passenger_name, new.passenger, &*new.places[0].label), ("韩梅梅", 1, "16F"), "{engine}");
        assert_eq!(&*order.legs[1].departure, "2026-12-21T06:44", "{engine}");
        assert_eq!((order.total_fen, order.refunded_fen, order.fees_fen), (2 * FARE_FEN, 0, 0), "{engine}");
        assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (2, 2 * FARE_FEN), "{engine}");
        assert_eq!(world.get(id(1)).await, order, "{engine}: it is stored as it was told");

        let again = change(&world, request(7, to_g101("2026-12-21"))).await.unwrap();
        assert_eq!(again.order.unwrap(), order, "{engine}: a repeat");
        let other = change(&world, request(7, to_g101("2026-12-22"))).await.unwrap_err();
        assert_eq!(other.reason, reason::REQUEST_ID_REUSED, "{engine}");
        let old_again = change(&world, request(8, to_g101("2026-12-22"))).await.unwrap_err();
        assert_eq!(old_again.reason, reason::CHANGES_USED, "{engine}");
        let mut new_again = to_g101("2026-12-22");
        new_again.ticket_ids = vec![new.ticket_id.clone()];
        let failure = change(&world, request(9, new_again)).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::CHANGES_USED), "{engine}");
        assert_eq!(world.get(id(1)).await, order, "{engine}: nothing was changed");

        // Changed from 19 days before, when it was free: the later refund is free too, eight days and more before.
        let given = world.refund(id(1), "1-1").await.unwrap();
        assert_eq!((given.refund_fen, given.fee_fen), (FARE_FEN, 0), "{engine}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_better_class_of_the_same_train_is_paid_first() {
    for store in stores("dearer").await {
        let engine = store.engine;
        let world = World::on(store).await;
        world.ticketed(id(1)).await;
        let mut journey = to_g101("2026-12-20");
        journey.run.as_mut().unwrap().train_code = "G1".into();
        (journey.to_stop, journey.seat_class) = (2, SeatClass::First.into());
        let quote = wire::QuoteChangeRequest { journey: Some(journey.clone()) };
        let quote = world.client.clone().quote_change(quote).await.unwrap().into_inner();
        let due_fen = FIRST_FEN - FARE_FEN;
        assert_eq!((quote.due_fen, quote.refund_fen, quote.fee_fen), (due_fen, 0, 0), "{engine}");
        let cheap = wire::ChangeTicketsRequest { agreed_fen: Some(due_fen - 1), ..request(7, journey.clone()) };
        assert_eq!(change(&world, cheap).await.unwrap_err().reason, reason::PRICE_CHANGED, "{engine}");

        let held = change(&world, request(7, journey)).await.unwrap();
        let order = held.order.unwrap();
        assert_eq!((order.state(), held.change.unwrap().due_fen), (OrderState::Changing, due_fen), "{engine}");
        assert_eq!(states(&order), [TicketState::Issued, TicketState::Issued, TicketState::Replacing], "{engine}");
        let busy = world.refund(id(1), "0-0").await.unwrap_err();
        assert_eq!(busy.reason, reason::ORDER_STATE, "{engine}");
        assert_eq!(world.inventory.seated(), 2, "{engine}: the old seats stay until the new ones are paid");
        world.pay(id(1), "later").await.unwrap();
        for _ in 0..3 {
            world.note_trade(id(1), 1, TradeOutcome::Captured).await.unwrap();
        }
        let order = world.get(id(1)).await;
        assert_eq!(states(&order), [TicketState::Issued, TicketState::Changed, TicketState::Issued], "{engine}");
        assert_eq!((order.state(), order.total_fen), (OrderState::Confirmed, FARE_FEN + FIRST_FEN), "{engine}");
        assert_eq!(world.payment.kept_fen(), FARE_FEN + FIRST_FEN, "{engine}");
        // Beside her own token, which the run has seated, hers is another one.
        let wanted = world.inventory.wanted.lock()[0].clone();
        assert_eq!((wanted.passengers.len(), wanted.class.code()), (1, 2), "{engine}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_cheaper_class_sends_the_difference_back_less_its_fee() {
    let world = World::new().await;
    let mut first = super::request(&world, id(1));
    first.legs[0].seat_class = SeatClass::First.into();
    world.open(first).await.unwrap();
    world.pay(id(1), "sandbox-ok").await.unwrap();
    // Three days before: 336.50 goes back, of which 5 % = 16.825 are kept, rounded to 17.00.
    world.clock.set(DEPARTURE.plus_millis(-3 * DAY));
    let answer = change(&world, request(7, to_g101("2026-12-20"))).await.unwrap();
    let order = answer.order.unwrap();
    assert_eq!((order.refunded_fen, order.fees_fen), (FIRST_FEN - FARE_FEN - 1_700, 1_700));
    assert_eq!(order.tickets[1].fee_fen, 1_700);
    assert_eq!(world.payment.kept_fen(), FIRST_FEN + FARE_FEN + 1_700);
    world.stop().await;
}

#[tokio::test]
async fn a_change_without_seats_leaves_the_old_ticket() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    *world.inventory.room.lock() = false;
    for _ in 0..2 {
        let failure = change(&world, request(7, to_g101("2026-12-21"))).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::SOLD_OUT));
    }
    let order = world.wait(id(1), OrderState::Confirmed).await;
    assert_eq!(states(&order), [TicketState::Issued, TicketState::Issued, TicketState::Void]);
    assert_eq!((order.total_fen, world.inventory.seated()), (2 * FARE_FEN, 2));
    // There is room again: it can be asked for anew.
    *world.inventory.room.lock() = true;
    let answer = change(&world, request(8, to_g101("2026-12-21"))).await.unwrap();
    assert_eq!(answer.change.unwrap().state(), TicketChangeState::Done);
    world.stop().await;
}

#[tokio::test]
async fn a_difference_that_is_not_paid_in_time_ends_the_change_and_late_money_goes_back() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    let mut journey = to_g101("2026-12-21");
    journey.seat_class = SeatClass::First.into();
    let asked = wire::ChangeTicketsRequest { payment_token: "later".into(), ..request(7, journey) };
    change(&world, asked).await.unwrap();
    world.clock.advance_ms(15 * MINUTE);
    let order = world.wait(id(1), OrderState::Confirmed).await;
    assert_eq!(order.changes[0].end_reason, "lapsed");
    assert_eq!(world.inventory.stage(HoldId { owner: id(1).as_u128(), leg: 0x11 }), Some(Stage::Ended));
    world.note_trade(id(1), 1, TradeOutcome::Captured).await.unwrap();
    let order = world.get(id(1)).await;
    assert_eq!(states(&order), [TicketState::Issued, TicketState::Issued, TicketState::Void]);
    assert_eq!((order.refunded_fen, world.payment.kept_fen()), (FIRST_FEN - FARE_FEN, 2 * FARE_FEN));
    world.stop().await;
}

#[tokio::test]
async fn lost_answers_and_a_client_that_gives_up_leave_no_two_tickets() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    // The hold is made, its answer is lost; then opening fails; the sweeper goes on.
    world.inventory.fails.answers(1);
    let begun = change(&world, request(7, to_g101("2026-12-21"))).await.unwrap();
    assert_eq!(begun.change.unwrap().state(), TicketChangeState::Holding);
    let order = world.wait(id(1), OrderState::Confirmed).await;
    assert_eq!(states(&order), [TicketState::Issued, TicketState::Changed, TicketState::Issued]);
    world.wait_until_seated(2).await;

    let mut journey = to_g101("2026-12-22");
    (journey.ticket_ids, journey.seat_class) = (vec![format!("{}-0-0", id(1))], SeatClass::First.into());
    change(&world, request(8, journey)).await.unwrap();
    let order = world.cancel(id(1)).await.unwrap();
    assert_eq!((order.state(), &*order.changes[1].end_reason), (OrderState::Confirmed, "cancelled"));
    assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (2, 2 * FARE_FEN));
    world.stop().await;
}

/// Makes a good request a bad one.
type Mistake = fn(&mut wire::ChangedJourney);

#[tokio::test]
async fn what_the_rules_forbid_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let before = world.ticketed(id(1)).await;
    let cases: &[(Mistake, &str)] = &[
        (|it| it.ticket_ids = vec![format!("{}-0-7", id(1))], reason::TICKET_NOT_FOUND),
        (|it| it.ticket_ids.clear(), reason::INVALID_FIELD),
        (|it| it.ticket_ids.push(it.ticket_ids[0].clone()), reason::INVALID_FIELD),
        (|it| it.account = "mallory".into(), reason::ORDER_NOT_FOUND),
        (|it| it.run.as_mut().unwrap().train_code = "G9999".into(), reason::TRAIN_NOT_FOUND),
        (|it| it.seat_class = SeatClass::HardSeat.into(), reason::FARE_UNKNOWN),
        (|it| it.run.as_mut().unwrap().service_date = "2026-11-30".into(), reason::DEPARTED),
        // To board in another city.
        (|it| it.from_stop = 1, reason::CHANGE_NOT_ALLOWED),
        (
            |it| {
                it.run.as_mut().unwrap().train_code = "G1".into();
                it.to_stop = 2;
            },
            reason::INVALID_FIELD,
        ),
    ];
    for (position, (spoil, expected)) in cases.iter().enumerate() {
        let mut journey = to_g101("2026-12-20");
        spoil(&mut journey);
        let failure = change(&world, request(7, journey)).await.unwrap_err();
        assert_eq!(failure.reason, *expected, "case {position}: {failure:?}");
    }
    // Another destination, less than 48 hours before.
    world.clock.set(DEPARTURE.plus_millis(-48 * HOUR + 1_000));
    let mut elsewhere = to_g101("2026-12-20");
    elsewhere.to_stop = 9;
    let failure = change(&world, request(7, elsewhere)).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::CHANGE_NOT_ALLOWED));
    assert_eq!(world.get(id(1)).await, before);
    world.stop().await;
}
