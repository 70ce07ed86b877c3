//! What the rules of exchanges and of reduced fares refuse, on a running fleet: a stable reason, and nothing changed.

use proto::common::v1::{DocumentKind, Passenger, PassengerKind, SeatClass, StudentJourney};
use proto::gateway::v1::{ChangeTicketRequest, GetOrderRequest, LegRequest, OpenSaleRequest, PlaceOrderRequest};
use proto::gateway::v1::{OpenSaleResponse, RefundTicketRequest};
use proto::order::v1::{Order, OrderState, TicketState};
use tonic::{Code, Status};

use crate::support::client::{
    Caller, DAYS_AHEAD, fields, new_id, order_for, passenger, reason, service_date, service_date_in,
};
use crate::support::process::Serving;

/// Trips at the student fare in a student year (RULES: Fares).
const STUDENT_TRIPS: i64 = 4;

/// A wrong exchange, made from a right one.
struct Case {
    what: &'static str,
    spoil: fn(&mut ChangeTicketRequest),
    /// The reason, and for a wrong field its name.
    refused: (&'static str, &'static str),
}

const CASES: [Case; 8] = [
    Case { what: "an order that is none", spoil: |c| c.order_id = new_id(), refused: ("ORDER_NOT_FOUND", "") },
    Case { what: "a ticket that is none", spoil: |c| c.ticket_ids[0].push('9'), refused: ("TICKET_NOT_FOUND", "") },
    Case { what: "no ticket", spoil: |c| c.ticket_ids.clear(), refused: ("INVALID_FIELD", "ticket_ids") },
    Case {
        what: "a ticket twice",
        spoil: |c| c.ticket_ids = vec![c.ticket_ids[0].clone(), c.ticket_ids[0].clone()],
        refused: ("INVALID_FIELD", "ticket_ids"),
    },
    Case {
        what: "what the ticket says",
        spoil: |c| c.leg.as_mut().unwrap().train_code = "G71".into(),
        refused: ("INVALID_FIELD", "leg"),
    },
    Case {
        what: "another city to board in",
        spoil: |c| c.leg.as_mut().unwrap().from_station = "郑州东".into(),
        refused: ("CHANGE_NOT_ALLOWED", ""),
    },
    Case {
        what: "more than was agreed",
        // From 517.00 to 527.50.
        spoil: |c| c.agreed_fen = Some(1_049),
        refused: ("PRICE_CHANGED", ""),
    },
    Case {
        what: "less than nothing agreed",
        spoil: |c| c.agreed_fen = Some(-1),
        refused: ("INVALID_FIELD", "agreed_fen"),
    },
];

#[tokio::test]
async fn wrong_exchanges_have_a_reason_and_change_nothing() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&["G71", "G79"]).await;
    let alice = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let bob = Caller::new(&serving.gateway(), data.path(), "bob", &[]).await;

    let order = order_for("G71", "北京西", "武汉", &[1]);
    let id = order.order_id.clone();
    alice.gateway().place_order(order).await.unwrap();
    let paid = alice.pay(&id, "sandbox-ok").await;
    let right = exchange(&paid);
    for case in CASES {
        let mut request = right.clone();
        (case.spoil)(&mut request);
        let status = alice.gateway().change_ticket(request).await.expect_err(case.what);
        assert_eq!(reason(&status), case.refused.0, "{}: {status:?}", case.what);
        assert_eq!(fields(&status).first().map_or("", String::as_str), case.refused.1, "{}: {status:?}", case.what);
    }
    let status = bob.gateway().change_ticket(right.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"), "{status:?}");
    let request = GetOrderRequest { order_id: id.clone() };
    assert_eq!(alice.gateway().get_order(request).await.unwrap().into_inner().order.unwrap(), paid);

    alice.gateway().change_ticket(right.clone()).await.unwrap();
    let changed = alice.until(&id, &[OrderState::Confirmed]).await;
    let states: Vec<_> = changed.tickets.iter().map(|ticket| ticket.state()).collect();
    assert_eq!(states, [TicketState::Changed, TicketState::Issued]);
    assert_eq!(changed.total_fen, 51_700 + 1_050);
    let mut other = right.clone();
    other.agreed_fen = Some(5_000);
    assert_eq!(reason(&alice.gateway().change_ticket(other).await.unwrap_err()), "REQUEST_ID_REUSED");
    for ticket in &changed.tickets {
        let mut again = exchange(&changed);
        again.ticket_ids = vec![ticket.ticket_id.clone()];
        again.leg.as_mut().unwrap().seat_class = SeatClass::First as i32;
        assert_eq!(reason(&alice.gateway().change_ticket(again).await.unwrap_err()), "CHANGES_USED");
    }
}

/// The right exchange of an order's first ticket: for G79 on the same day.
fn exchange(order: &Order) -> ChangeTicketRequest {
    ChangeTicketRequest {
        change_id: new_id(),
        order_id: order.order_id.clone(),
        ticket_ids: vec![order.tickets[0].ticket_id.clone()],
        leg: Some(LegRequest {
            train_code: "G79".to_owned(),
            boarding_date: service_date(),
            from_station: "北京西".to_owned(),
            to_station: "武汉".to_owned(),
            seat_class: SeatClass::Second as i32,
        }),
        payment_token: "sandbox-ok".to_owned(),
        ..Default::default()
    }
}

fn student(home: &str, school: &str) -> Passenger {
    Passenger {
        kind: PassengerKind::Student as i32,
        student: Some(StudentJourney { home: home.to_owned(), school: school.to_owned() }),
        ..passenger(7)
    }
}

fn order_of(travels: Passenger) -> PlaceOrderRequest {
    PlaceOrderRequest { passengers: vec![travels], ..order_for("G71", "北京西", "武汉", &[]) }
}

#[tokio::test]
async fn reduced_fares_are_refused_by_reason() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&["G71"]).await;
    let caller = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let refusal =
        async |request: PlaceOrderRequest| -> Status { caller.gateway().place_order(request).await.unwrap_err() };

    for card in [None, Some(StudentJourney { home: "北京".into(), school: "Atlantis".into() })] {
        let status = refusal(order_of(Passenger { student: card, ..student("", "") })).await;
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["passengers[0].student".to_owned()]));
    }
    assert_eq!(reason(&refusal(order_of(student("北京", "上海"))).await), "STUDENT_INTERVAL");
    let mut first_class = order_of(student("北京", "武汉"));
    first_class.legs[0].seat_class = SeatClass::First as i32;
    assert_eq!(fields(&refusal(first_class).await), ["passengers[0].kind"]);
    let child = Passenger { kind: PassengerKind::Child as i32, ..passenger(8) };
    assert_eq!(reason(&refusal(order_of(child)).await), "CHILD_ALONE");
    // The example number of GB 11643 belongs to somebody born in 1949.
    let aged = Passenger {
        kind: PassengerKind::Child as i32,
        document_kind: DocumentKind::ResidentId as i32,
        document_number: "11010519491231002X".to_owned(),
        ..passenger(9)
    };
    let mut with_aged_child = order_of(aged);
    with_aged_child.passengers.push(passenger(10));
    assert_eq!(fields(&refusal(with_aged_child).await), ["passengers[0].kind"]);
    // Nothing was kept of all that: an account has one unpaid order, and this is the first.
    caller.gateway().place_order(order_of(student("武汉", "北京"))).await.unwrap();
}

#[tokio::test]
async fn a_student_has_four_trips_and_gets_one_back_with_a_refund() {
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    let operator = Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await;
    let days = DAYS_AHEAD..=DAYS_AHEAD + STUDENT_TRIPS;
    for day in days.clone() {
        open(&operator, "G71", service_date_in(day)).await;
    }
    let caller = Caller::new(&serving.gateway(), data.path(), "alice", &[]).await;
    let trip = |day: i64| {
        let mut order = order_of(student("北京", "武汉"));
        order.legs[0].boarding_date = service_date_in(day);
        order
    };
    let mut bought = Vec::new();
    for day in days.clone().take(STUDENT_TRIPS as usize) {
        let order = trip(day);
        let id = order.order_id.clone();
        caller.gateway().place_order(order).await.unwrap();
        let paid = caller.pay(&id, "sandbox-ok").await;
        // Three quarters of 517.00 are 387.75, from 0.75 up to the yuan.
        assert_eq!(paid.tickets[0].fare_fen, 38_800);
        bought.push(paid);
    }
    let status = caller.gateway().place_order(trip(*days.end())).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "STUDENT_TRIPS_USED"),
        "{status:?}"
    );

    let ticket_id = bought[0].tickets[0].ticket_id.clone();
    let request = RefundTicketRequest { order_id: bought[0].order_id.clone(), ticket_id };
    caller.gateway().refund_ticket(request).await.unwrap();
    caller.gateway().place_order(trip(*days.end())).await.unwrap();
}

async fn open(operator: &Caller, train: &str, service_date: String) {
    let request = OpenSaleRequest { service_date, train_codes: vec![train.to_owned()], sale_opens_ms: 1 };
    let mut steps = operator.operator().open_sale(request).await.unwrap().into_inner();
    let mut last = OpenSaleResponse::default();
    while let Some(step) = steps.message().await.unwrap() {
        last = step;
    }
    assert_eq!((last.opened, last.total), (1, 1));
}
