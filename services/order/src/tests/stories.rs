//! From the held seat to the ticket and back.

use domain::HoldId;
use proto::common::v1 as common;
use proto::order::v1::order_operator_service_client::OrderOperatorServiceClient;
use proto::order::v1::{self as wire, OrderState, TicketState, TradeOutcome};
use rpc::reason;

use super::fakes::Stage;
use super::*;

#[tokio::test]
async fn an_order_is_placed_paid_and_ticketed() {
    let world = World::new().await;
    let order = world.place(id(1)).await.unwrap();
    assert_eq!((order.state(), order.total_fen, order.policy_version), (OrderState::Held, 2 * FARE_FEN, 1));
    assert_eq!(order.pay_by_ms, NOW.plus_millis(15 * MINUTE).millis());
    let leg = &order.legs[0];
    assert_eq!((&*leg.from_station, &*leg.departure), ("北京南", "2026-12-20T09:00"));
    assert_eq!((&*leg.to_station, &*leg.arrival), ("上海虹桥", "2026-12-20T13:48"));

    let order = world.pay(id(1), "later").await.unwrap();
    assert_eq!(order.state(), OrderState::Paying);
    world.note_trade(id(1), 0, TradeOutcome::Captured).await.unwrap();
    let order = world.get(id(1)).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    let tickets: Vec<_> = order
        .tickets
        .iter()
        .map(|it| (&*it.ticket_id, it.state(), &*it.passenger_name, &*it.document_masked, it.fare_fen))
        .collect();
    let name = |ticket: &str| format!("00000000-0000-0000-0000-000000000001-{ticket}");
    assert_eq!(
        tickets,
        [
            (&*name("0-0"), TicketState::Issued, "李雷", "1101**********002X", FARE_FEN),
            (&*name("0-1"), TicketState::Issued, "韩梅梅", "4405**********0014", FARE_FEN),
        ]
    );
    assert_eq!(order.tickets[1].places[0].label, "02A");
    assert_eq!((world.inventory.seated(), world.payment.kept_fen()), (2, 2 * FARE_FEN));
    world.stop().await;
}

#[tokio::test]
async fn placing_again_answers_the_same_and_another_order_under_the_id_is_refused() {
    let world = World::new().await;
    let first = world.place(id(1)).await.unwrap();
    assert_eq!(world.place(id(1)).await.unwrap(), first);
    let mut other = request(&world, id(1));
    other.passengers[0].name = "李磊".into();
    let failure = world.open(other).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::AlreadyExists, reason::REQUEST_ID_REUSED));
    let foreign = wire::OpenOrderRequest { account: "mallory".into(), ..request(&world, id(1)) };
    assert_eq!(world.open(foreign).await.unwrap_err().reason, reason::REQUEST_ID_REUSED);
    world.stop().await;
}

#[tokio::test]
async fn nothing_is_sold_at_night_but_what_was_sold_is_answered_again_and_refunded() {
    let world = World::by(sqlite().await, policy::Policy::default()).await;
    // 2026-12-01, a Tuesday, 00:00: Monday's hours last until 01:00.
    let placed = world.place(id(1)).await.unwrap();
    world.pay(id(1), "sandbox-ok").await.unwrap();
    assert_eq!(world.place(id(1)).await.unwrap(), placed, "the original answer, although it is paid by now");
    world.clock.advance_ms(HOUR);
    let mut other = request(&world, id(2));
    other.account = "wang-wu".into();
    other.passengers = vec![passenger("王五", "110101199003070038"), passenger("赵六", "110101199003070054")];
    let failure = world.open(other.clone()).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::SELLING_HOURS));
    // 05:00 of that day.
    assert_eq!(failure.value("opens_at_ms"), Some(&*NOW.plus_millis(5 * HOUR).millis().to_string()));
    assert_eq!(world.place(id(1)).await.unwrap(), placed);
    let asked = wire::OpenOrderRequest { repeat_only: true, ..request(&world, id(1)) };
    assert_eq!(world.open(asked).await.unwrap(), placed);
    let never = wire::OpenOrderRequest { repeat_only: true, ..other.clone() };
    assert_eq!(world.open(never).await.unwrap_err().reason, reason::ORDER_NOT_FOUND);
    world.refund(id(1), "0-0").await.unwrap();
    world.clock.advance_ms(4 * HOUR - 1);
    assert_eq!(world.open(other.clone()).await.unwrap_err().reason, reason::SELLING_HOURS);
    world.clock.advance_ms(1);
    world.open(other).await.unwrap();
    // The train has left: the answer is the same.
    world.clock.set(DEPARTURE.plus_millis(6 * HOUR));
    assert_eq!(world.place(id(1)).await.unwrap(), placed);
    world.stop().await;
}

#[tokio::test]
async fn an_order_belongs_to_its_account() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    let (account, order_id) = ("mallory".to_owned(), id(1).to_string());
    let mut client = world.client.clone();
    let mut reasons = Vec::new();
    let request = wire::GetOrderRequest { account: account.clone(), order_id: order_id.clone() };
    reasons.push(client.get_order(request).await.unwrap_err());
    let (payment_token, trade) = ("sandbox-ok".to_owned(), account.clone());
    let request = wire::PayOrderRequest { account: trade, order_id: order_id.clone(), payment_token };
    reasons.push(client.pay_order(request).await.unwrap_err());
    let request = wire::CancelOrderRequest { account: account.clone(), order_id: order_id.clone() };
    reasons.push(client.cancel_order(request).await.unwrap_err());
    let ticket_id = format!("{order_id}-0-0");
    let request = wire::RefundTicketRequest { account: account.clone(), order_id: order_id.clone(), ticket_id };
    reasons.push(client.refund_ticket(request).await.unwrap_err());
    let request = wire::WatchOrderRequest { account: account.clone(), order_id };
    reasons.push(client.watch_order(request).await.map(drop).unwrap_err());
    for status in &reasons {
        let failure = Failure::from(status);
        assert_eq!((failure.code, failure.reason), (tonic::Code::NotFound, reason::ORDER_NOT_FOUND));
    }
    let request = wire::ListOrdersRequest { account, ..Default::default() };
    assert_eq!(client.list_orders(request).await.unwrap().into_inner().orders, []);
    world.stop().await;
}

#[tokio::test]
async fn an_unpaid_order_lapses_and_frees_its_seats() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    world.pay(id(1), "later").await.unwrap();
    world.clock.advance_ms(15 * MINUTE);
    let order = world.wait(id(1), OrderState::Released).await;
    assert_eq!(order.end_reason, "lapsed");
    assert!(order.tickets.iter().all(|ticket| ticket.state() == TicketState::Void));
    assert_eq!(world.inventory.stage(HoldId::of_order(id(1), 0)), Some(Stage::Ended));
    assert_eq!(world.payment.kept_fen(), 0);
    // The account may order again.
    world.place(id(2)).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_order_frees_its_seats_and_three_stop_the_day() {
    let world = World::new().await;
    for number in 1..=3 {
        world.place(id(number)).await.unwrap();
        let order = world.cancel(id(number)).await.unwrap();
        assert_eq!((order.state(), &*order.end_reason), (OrderState::Released, "cancelled"));
        assert_eq!(world.cancel(id(number)).await.unwrap(), order, "cancelling again changes nothing");
    }
    let failure = world.place(id(4)).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::ResourceExhausted, reason::CANCELLED_TOO_OFTEN));
    world.clock.set(NOW.plus_millis(DAY));
    world.place(id(5)).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn seats_that_are_gone_refuse_the_order_each_time() {
    let world = World::new().await;
    let request = request(&world, id(1));
    world.inventory.expire();
    for _ in 0..2 {
        let failure = world.open(request.clone()).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::HOLD_ENDED));
    }
    assert_eq!(world.get(id(1)).await.end_reason, "seats_lost");
    world.stop().await;
}

#[tokio::test]
async fn an_outage_of_inventory_delays_the_order_and_loses_nothing() {
    let world = World::new().await;
    world.inventory.fails.next(1);
    let failure = world.place(id(1)).await.unwrap_err();
    assert_eq!((failure.code, failure.retry_after_ms), (tonic::Code::Unavailable, Some(200)));
    // The client repeats it, or the sweeper goes on: either way the holds are opened.
    assert_eq!(world.place(id(1)).await.unwrap().state(), OrderState::Held);

    world.inventory.fails.answers(1);
    world.pay(id(1), "sandbox-ok").await.unwrap();
    let order = world.wait(id(1), OrderState::Confirmed).await;
    assert_eq!((order.tickets.len(), world.inventory.seated()), (2, 2));
    world.stop().await;
}

#[tokio::test]
async fn a_ticket_is_given_back_for_its_fee_and_once() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    world.clock.set(DEPARTURE.plus_millis(-3 * DAY));
    // 5 % of 561.00 is 28.05, rounded to 28.00.
    let given = world.refund(id(1), "0-1").await.unwrap();
    assert_eq!((given.refund_fen, given.fee_fen), (53_300, 2_800));
    let order = given.order.unwrap();
    assert_eq!(order.tickets[1].state(), TicketState::Refunding);
    assert_eq!((order.refunded_fen, order.fees_fen), (53_300, 2_800));
    assert_eq!(world.inventory.seated(), 1, "the seat is free at once");
    // A day before departure the fee would be higher; what was decided stands.
    world.clock.set(DEPARTURE.plus_millis(-HOUR));
    let again = world.refund(id(1), "0-1").await.unwrap();
    assert_eq!((again.refund_fen, again.fee_fen), (53_300, 2_800));

    world.payment.settle();
    for _ in 0..3 {
        world.note_refund(id(1), &format!("{}-0-1", id(1))).await.unwrap();
    }
    let order = world.get(id(1)).await;
    assert_eq!((order.state(), order.tickets[1].state()), (OrderState::Confirmed, TicketState::Refunded));
    assert_eq!(world.payment.kept_fen(), FARE_FEN + 2_800);

    world.clock.set(DEPARTURE);
    let failure = world.refund(id(1), "0-0").await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::FailedPrecondition, reason::DEPARTED));
    let failure = world.refund(id(1), "0-7").await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (tonic::Code::NotFound, reason::TICKET_NOT_FOUND));
    world.stop().await;
}

#[tokio::test]
async fn an_order_ends_when_all_its_money_has_arrived_even_if_nobody_tells() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    for ticket in ["0-0", "0-1"] {
        // Within 30 minutes of payment, days before departure: free.
        let given = world.refund(id(1), ticket).await.unwrap();
        assert_eq!((given.refund_fen, given.fee_fen), (FARE_FEN, 0));
    }
    assert_eq!(world.get(id(1)).await.state(), OrderState::Refunding);
    world.payment.settle();
    world.wait(id(1), OrderState::Refunded).await;
    assert_eq!((world.payment.kept_fen(), world.inventory.seated()), (0, 0));
    world.stop().await;
}

#[tokio::test]
async fn those_who_watch_an_order_see_it_through() {
    let world = World::new().await;
    world.place(id(1)).await.unwrap();
    let request = wire::WatchOrderRequest { account: "li-lei".into(), order_id: id(1).to_string() };
    let mut watched = world.client.clone().watch_order(request).await.unwrap().into_inner();
    let mut states = vec![watched.message().await.unwrap().unwrap().order.unwrap()];
    world.cancel(id(1)).await.unwrap();
    while let Some(response) = watched.message().await.unwrap() {
        states.push(response.order.unwrap());
    }
    assert_eq!(states[0].state(), OrderState::Held);
    assert_eq!(states.last().unwrap().state(), OrderState::Released);
    assert!(states.is_sorted_by_key(|order| order.version), "{states:?}");
    world.stop().await;
}

#[tokio::test]
async fn two_legs_stand_or_fall_together() {
    let world = World::new().await;
    let mut two = request(&world, id(1));
    let mut second = two.legs[0].clone();
    second.run = Some(common::Run { train_code: "G2".into(), service_date: "2026-12-21".into(), ordinal: 1 });
    second.hold_id = HoldId::of_order(id(1), 1).bytes().to_vec().into();
    two.legs.push(second);
    // Nobody holds seats on the second train.
    let failure = world.open(two.clone()).await.unwrap_err();
    assert_eq!(failure.reason, reason::HOLD_ENDED);
    assert_eq!(world.get(id(1)).await.state(), OrderState::Released);
    assert_eq!(world.inventory.stage(HoldId::of_order(id(1), 0)), Some(Stage::Ended));

    let mut both = request(&world, id(2));
    both.legs
        .push(wire::HeldLeg { hold_id: HoldId::of_order(id(2), 1).bytes().to_vec().into(), ..two.legs[1].clone() });
    world.inventory.hold(HoldId::of_order(id(2), 1), &[0, 1]);
    let order = world.open(both).await.unwrap();
    assert_eq!((order.state(), order.tickets.len()), (OrderState::Held, 4));
    assert_eq!(world.pay(id(2), "sandbox-ok").await.unwrap().state(), OrderState::Confirmed);
    assert_eq!(world.inventory.seated(), 4);
    world.stop().await;
}

#[tokio::test]
async fn a_taken_waitlist_offer_is_an_order_with_an_open_hold() {
    let world = World::new().await;
    let mut request = request(&world, id(1));
    request.legs[0].opened = true;
    request.legs[0].pay_by_ms = NOW.plus_millis(7 * MINUTE).millis();
    request.legs[0].hard_limit_ms = NOW.plus_millis(12 * MINUTE).millis();
    // Inventory is not asked to open it.
    world.inventory.fails.next(1);
    let order = world.open(request).await.unwrap();
    assert_eq!((order.state(), order.pay_by_ms), (OrderState::Held, NOW.plus_millis(7 * MINUTE).millis()));
    world.stop().await;
}

#[tokio::test]
async fn no_document_number_and_no_name_is_stored_in_clear() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    world.refund(id(1), "0-0").await.unwrap();
    let folder = world.store.folder().to_owned();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let found = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(found("li-lei"), "the database is what was read");
    for planted in ["11010519491231002X", "440524188001010014", "李雷", "韩梅梅"] {
        assert!(!found(planted), "{planted}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_train_gives_everything_back_without_a_fee_and_once() {
    let world = World::new().await;
    world.ticketed(id(1)).await;
    // An hour before departure a refund would cost 20 %. Whoever has not paid has time to, or would run out of it by himself.
    world.clock.set(DEPARTURE.plus_millis(-HOUR));
    let mut unpaid = request(&world, id(2));
    unpaid.passengers = vec![passenger("王五", "110101199003070038"), passenger("赵六", "110101199003070054")];
    unpaid.account = "wang-wu".into();
    world.open(unpaid).await.unwrap();
    let mut operator = OrderOperatorServiceClient::new(world.link.clone());
    let run = Some(common::Run { train_code: "G1".into(), service_date: "2026-12-20".into(), ordinal: 1 });
    let withdraw = wire::RefundRunRequest { run: run.clone(), seat_class: common::SeatClass::Second.into() };
    let mut reports = operator.refund_run(withdraw.clone()).await.unwrap().into_inner();
    let mut last = wire::RefundRunResponse::default();
    while let Some(report) = reports.message().await.unwrap() {
        last = report;
    }
    let expected = wire::RefundRunResponse {
        orders_done: 2,
        orders_total: 2,
        tickets_refunded: 2,
        refund_fen: 2 * FARE_FEN,
        orders_ended: 1,
        orders_failed: 0,
    };
    assert_eq!(last, expected);
    world.payment.settle();
    let order = world.wait(id(1), OrderState::Refunded).await;
    assert_eq!((order.refunded_fen, order.fees_fen, world.payment.kept_fen()), (2 * FARE_FEN, 0, 0));
    let mut again = operator.refund_run(withdraw).await.unwrap().into_inner();
    assert_eq!(again.message().await.unwrap(), Some(wire::RefundRunResponse::default()));
    assert_eq!(again.message().await.unwrap(), None);
    world.stop().await;
}
