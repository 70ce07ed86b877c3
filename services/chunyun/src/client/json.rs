//! The fleet's answers as JSON documents, for machines.

use domain::SeatClass;
use proto::common::v1 as wire;
use proto::{order::v1 as orders, query::v1 as query, waitlist::v1 as waiting};
use serde_json::{Value, json};

use super::render;

/// A run as its parts.
pub fn run(run: Option<&wire::Run>) -> Value {
    run.map_or(
        Value::Null,
        |run| json!({ "train": run.train_code, "service_date": run.service_date, "ordinal": run.ordinal.max(1) }),
    )
}

fn class(code: i32) -> Value {
    u8::try_from(code).ok().and_then(SeatClass::from_code).map_or(Value::Null, |class| json!(class.name()))
}

fn availability(available: &[wire::Availability]) -> Vec<Value> {
    let one = |a: &wire::Availability| json!({ "class": class(a.seat_class), "seats": a.seats, "standing": a.standing, "fare_fen": a.fare_fen });
    available.iter().map(one).collect()
}

fn stop(stop: &query::Stop) -> Value {
    json!({
        "index": stop.index, "station": stop.station, "telecode": stop.telecode, "city": stop.city,
        "arrival": stop.arrival, "departure": stop.departure,
    })
}

/// One journey of a search.
pub fn journey(journey: &query::Journey) -> Value {
    json!({
        "run": run(journey.run.as_ref()),
        "from": journey.from.as_ref().map(stop),
        "to": journey.to.as_ref().map(stop),
        "duration_minutes": journey.duration_minutes,
        "distance_km": journey.distance_km,
        "on_sale": journey.on_sale,
        "availability": availability(&journey.availability),
        "as_of_ms": journey.as_of_ms,
        "version": journey.version,
    })
}

/// One train with its stops.
pub fn train(train: &query::GetTrainResponse) -> Value {
    json!({
        "run": run(train.run.as_ref()),
        "stops": train.stops.iter().map(stop).collect::<Vec<_>>(),
        "availability": availability(&train.availability),
    })
}

/// One station.
pub fn station(station: &query::Station) -> Value {
    json!({ "name": station.name, "telecode": station.telecode, "pinyin": station.pinyin, "city": station.city })
}

/// One order.
pub fn order(order: &orders::Order) -> Value {
    let tickets = order.tickets.iter().map(|ticket| {
        json!({
            "ticket_id": ticket.ticket_id,
            "state": render::ticket_state(ticket.state),
            "leg": ticket.leg,
            "passenger": ticket.passenger,
            "passenger_name": ticket.passenger_name,
            "document": ticket.document_masked,
            "places": ticket.places.iter().map(place).collect::<Vec<_>>(),
            "fare_fen": ticket.fare_fen,
            "refund_fen": ticket.refund_fen,
            "fee_fen": ticket.fee_fen,
            "changed_to": ticket.changed_to,
            "changed_from": ticket.changed_from,
        })
    });
    let legs = order.legs.iter().map(|leg| {
        json!({
            "run": run(leg.run.as_ref()), "class": class(leg.seat_class),
            "from": leg.from_station, "to": leg.to_station, "departure": leg.departure, "arrival": leg.arrival,
        })
    });
    json!({
        "order_id": order.order_id,
        "state": render::order_state(order.state),
        "legs": legs.collect::<Vec<_>>(),
        "tickets": tickets.collect::<Vec<_>>(),
        "total_fen": order.total_fen,
        "refunded_fen": order.refunded_fen,
        "fees_fen": order.fees_fen,
        "pay_by_ms": order.pay_by_ms,
        "created_at_ms": order.created_at_ms,
        "version": order.version,
        "policy_version": order.policy_version,
        "end_reason": order.end_reason,
        "changes": order.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

fn change(change: &orders::TicketChange) -> Value {
    json!({
        "change_id": change.change_id,
        "state": render::change_state(change.state),
        "swaps": change.swaps.iter().map(swap).collect::<Vec<_>>(),
        "due_fen": change.due_fen,
        "refund_fen": change.refund_fen,
        "fee_fen": change.fee_fen,
        "pay_by_ms": change.pay_by_ms,
        "end_reason": change.end_reason,
    })
}

/// One ticket for another.
pub fn swap(swap: &orders::TicketSwap) -> Value {
    json!({
        "ticket_id": swap.ticket_id, "new_ticket_id": swap.new_ticket_id, "fare_fen": swap.fare_fen,
        "fee_fen": swap.fee_fen, "pay_fen": swap.pay_fen, "refund_fen": swap.refund_fen,
    })
}

fn place(place: &wire::Place) -> Value {
    json!({
        "carriage": place.carriage, "label": place.label, "berth": place.berth, "standing": place.standing,
        "class": class(place.seat_class), "from_stop": place.from_stop, "to_stop": place.to_stop,
    })
}

/// One waitlist entry.
pub fn entry(entry: &waiting::Entry) -> Value {
    json!({
        "entry_id": entry.entry_id,
        "state": super::waitlist::entry_state(entry.state),
        "run": run(entry.run.as_ref()),
        "class": class(entry.seat_class),
        "from_stop": entry.from_stop,
        "to_stop": entry.to_stop,
        "passengers": entry.passengers,
        "sequence": entry.sequence,
        "ahead_at_join": entry.ahead_at_join,
        "deadline_ms": entry.deadline_ms,
        "order_id": entry.order_id,
        "end_reason": entry.end_reason,
    })
}
