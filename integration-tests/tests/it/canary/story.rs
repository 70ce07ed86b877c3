//! Planted passengers buy, give back, wait, and are refused in every way that names them.

use std::path::Path;

use proto::common::v1 as wire;
use proto::gateway::v1::{self as gateway, PlaceOrderRequest};
use proto::order::v1::OrderState;
use tonic::Status;

use super::{CONTROL, PLANTED, REFUSED};
use crate::support::client::{Caller, new_id, order_for, reason};

pub async fn tell(gateway: &str, data: &Path) {
    Caller::new(gateway, data, "ops", &["--operator"]).await.open_sale(&["G71", "G1"]).await;
    let caller = Caller::new(gateway, data, CONTROL, &[]).await;
    buy_and_give_back(&caller).await;
    be_refused(&caller).await;
    let crowd = Caller::new(gateway, data, "crowd", &[]).await;
    wait_for_seats(&caller, &crowd).await;
}

fn resident((name, number): (&str, &str)) -> wire::Passenger {
    person(name, number, wire::DocumentKind::ResidentId)
}

fn traveller((name, number): (&str, &str)) -> wire::Passenger {
    person(name, number, wire::DocumentKind::Passport)
}

fn person(name: &str, number: &str, kind: wire::DocumentKind) -> wire::Passenger {
    wire::Passenger {
        name: name.to_owned(),
        document_kind: kind as i32,
        document_number: number.to_owned(),
        kind: wire::PassengerKind::Adult as i32,
        ..Default::default()
    }
}

fn order(train: &str, from: &str, to: &str, passengers: Vec<wire::Passenger>) -> PlaceOrderRequest {
    PlaceOrderRequest { passengers, ..order_for(train, from, to, &[]) }
}

async fn place(caller: &Caller, request: PlaceOrderRequest) -> Result<(), Status> {
    caller.gateway().place_order(request).await.map(drop)
}

async fn buy_and_give_back(caller: &Caller) {
    let party = vec![resident(PLANTED[0]), traveller(PLANTED[1])];
    let request = order("G71", "北京西", "武汉", party.clone());
    let id = request.order_id.clone();
    place(caller, request.clone()).await.unwrap();
    // Once more, and once more with other content.
    place(caller, request.clone()).await.unwrap();
    let other = PlaceOrderRequest { passengers: vec![resident(PLANTED[0])], ..request };
    assert_eq!(reason(&place(caller, other).await.unwrap_err()), "REQUEST_ID_REUSED");
    let paid = caller.pay(&id, "sandbox-ok").await;
    assert_eq!(paid.state, OrderState::Confirmed as i32);
    // One train at a time.
    let overlapping = order("G1", "北京南", "上海虹桥", party);
    assert!(place(caller, overlapping).await.is_err());
    let ticket_id = paid.tickets[1].ticket_id.clone();
    caller.gateway().refund_ticket(gateway::RefundTicketRequest { order_id: id, ticket_id }).await.unwrap();
}

async fn be_refused(caller: &Caller) {
    let wrong_check_digit = resident(REFUSED[0]);
    let control_characters = traveller((&format!("{}\u{7}", REFUSED[1].0), REFUSED[1].1));
    let long_number = traveller((REFUSED[1].0, &REFUSED[1].1.repeat(3)));
    let child_alone = wire::Passenger { kind: wire::PassengerKind::Child as i32, ..traveller(REFUSED[1]) };
    for passenger in [wrong_check_digit, control_characters, long_number, child_alone] {
        let refused = place(caller, order("G1", "北京南", "上海虹桥", vec![passenger])).await;
        assert!(refused.is_err());
    }
    let twice = vec![traveller(REFUSED[1]), traveller(REFUSED[1])];
    assert!(place(caller, order("G1", "北京南", "上海虹桥", twice)).await.is_err());
}

/// Others buy the smallest class up; then a planted passenger waits for it, and one is refused that.
async fn wait_for_seats(caller: &Caller, crowd: &Caller) {
    let mut number = 0;
    for size in [5, 1] {
        loop {
            let passengers: Vec<u32> = (number..number + size).collect();
            number += size;
            let request = in_business(order_for("G1", "北京南", "上海虹桥", &passengers));
            let id = request.order_id.clone();
            match place(crowd, request).await {
                Ok(()) => drop(crowd.pay(&id, "sandbox-ok").await),
                Err(refused) => {
                    assert_eq!(reason(&refused), "SOLD_OUT", "{refused:?}");
                    break;
                }
            }
        }
    }
    join(caller, resident(PLANTED[0])).await.unwrap();
    assert!(join(caller, resident(REFUSED[0])).await.is_err());
}

fn in_business(mut request: PlaceOrderRequest) -> PlaceOrderRequest {
    request.legs[0].seat_class = wire::SeatClass::Business as i32;
    request
}

async fn join(caller: &Caller, passenger: wire::Passenger) -> Result<(), Status> {
    let request = in_business(order("G1", "北京南", "上海虹桥", vec![passenger]));
    let join = gateway::JoinWaitlistRequest {
        entry_id: new_id(),
        leg: request.legs.into_iter().next(),
        passengers: request.passengers,
        channel: request.channel,
        ..Default::default()
    };
    caller.gateway().join_waitlist(join).await.map(drop)
}
