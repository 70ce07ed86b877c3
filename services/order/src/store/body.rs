//! The JSON part of an order's row: legs, trades, refunds and changes. Fields are added, never renamed: old rows stay
//! readable.

mod change;

use domain::{HoldId, Interval, Money, SeatClass, Time};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::order::{
    Changed, Leg, Order, Place, Refund, RefundCause, RefundState, Seats, TicketChange, Trade, TradeState,
};
use change::ChangeRecord;

#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    legs: Vec<LegRecord>,
    trades: Vec<TradeRecord>,
    refunds: Vec<RefundRecord>,
    /// By the ticket's position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<ChangedRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeRecord>,
    /// Passenger, city of the home, city of the school. Tells no more than the journey does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    students: Vec<(usize, String, String)>,
}

#[derive(Serialize, Deserialize)]
struct LegRecord {
    run: String,
    class: String,
    from: u8,
    to: u8,
    hold: String,
    seats: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    held_again: u8,
    departs_at_ms: i64,
    arrives_at_ms: i64,
    /// Absent where every passenger of the order has a seat on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    riders: Option<Vec<u8>>,
    places: Vec<PlaceRecord>,
}

#[derive(Serialize, Deserialize)]
struct PlaceRecord {
    passenger: u8,
    class: String,
    carriage: u32,
    label: String,
    #[serde(default, skip_serializing_if = "is_false")]
    standing: bool,
    from: u8,
    to: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    berth: String,
}

#[derive(Serialize, Deserialize)]
struct TradeRecord {
    attempt: u32,
    id: Option<String>,
    token: String,
    /// Absent where it is the price of the order.
    #[serde(default)]
    amount_fen: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<u8>,
    state: String,
    captured_fen: i64,
}

#[derive(Serialize, Deserialize)]
struct RefundRecord {
    id: String,
    /// The ticket's position, `order` or `surplus`.
    cause: String,
    attempt: u32,
    amount_fen: i64,
    fee_fen: i64,
    state: String,
}

#[derive(Serialize, Deserialize)]
struct ChangedRecord {
    ticket: usize,
    from_departs_at_ms: i64,
    at_ms: i64,
    into_rush: bool,
    #[serde(default = "once")]
    times: u32,
}

/// What [`Body::read`] gives back.
pub(super) struct Read {
    pub legs: Vec<Leg>,
    pub trades: Vec<Trade>,
    pub refunds: Vec<Refund>,
    pub changed: Vec<(usize, Changed)>,
    pub changes: Vec<TicketChange>,
    pub students: Vec<(usize, String, String)>,
}

const SEATS: [(Seats, &str); 5] = [
    (Seats::Held, "held"),
    (Seats::Opened, "opened"),
    (Seats::Confirmed, "confirmed"),
    (Seats::Lost, "lost"),
    (Seats::Ended, "ended"),
];

const TRADES: [(TradeState, &str); 4] = [
    (TradeState::Open, "open"),
    (TradeState::Captured, "captured"),
    (TradeState::Declined, "declined"),
    (TradeState::Closed, "closed"),
];

const REFUNDS: [(RefundState, &str); 3] =
    [(RefundState::Due, "due"), (RefundState::Asked, "asked"), (RefundState::Arrived, "arrived")];

impl Body {
    pub(super) fn write(order: &Order) -> String {
        let body = Self {
            legs: order.legs.iter().map(|leg| leg_record(leg, order.passengers.len())).collect(),
            trades: order.trades.iter().map(trade_record).collect(),
            refunds: order.refunds.iter().map(refund_record).collect(),
            changed: order.tickets.iter().enumerate().filter_map(changed_record).collect(),
            changes: order.changes.iter().map(ChangeRecord::write).collect(),
            students: order.passengers.iter().enumerate().filter_map(student_record).collect(),
        };
        serde_json::to_string(&body).expect("texts, numbers and lists are always JSON")
    }

    /// Reads the JSON of an order of so many passengers and of this price, which old rows leave out.
    pub(super) fn read(text: &str, passengers: u8, price: Money) -> Result<Read, StoreError> {
        let body: Self = serde_json::from_str(text).map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(Read {
            legs: body.legs.into_iter().map(|leg| read_leg(leg, passengers)).collect::<Result<_, _>>()?,
            trades: body.trades.into_iter().map(|trade| read_trade(trade, price)).collect::<Result<_, _>>()?,
            refunds: body.refunds.into_iter().map(read_refund).collect::<Result<_, _>>()?,
            changed: body.changed.iter().map(|record| (record.ticket, record.read())).collect(),
            changes: body.changes.into_iter().map(ChangeRecord::read).collect::<Result<_, _>>()?,
            students: body.students,
        })
    }
}

fn leg_record(leg: &Leg, passengers: usize) -> LegRecord {
    let place = |place: &Place| PlaceRecord {
        passenger: place.passenger,
        class: place.class.name().to_owned(),
        carriage: place.carriage,
        label: place.label.clone(),
        standing: place.standing,
        from: place.interval.from(),
        to: place.interval.to(),
        berth: place.berth.clone(),
    };
    LegRecord {
        run: leg.run.to_string(),
        class: leg.class.name().to_owned(),
        from: leg.interval.from(),
        to: leg.interval.to(),
        hold: leg.hold.to_string(),
        seats: word(&SEATS, leg.seats),
        held_again: leg.held_again,
        departs_at_ms: leg.departs_at.millis(),
        arrives_at_ms: leg.arrives_at.millis(),
        riders: (!leg.riders.iter().copied().eq(0..passengers as u8)).then(|| leg.riders.clone()),
        places: leg.places.iter().map(place).collect(),
    }
}

fn read_leg(leg: LegRecord, passengers: u8) -> Result<Leg, StoreError> {
    let place = |place: PlaceRecord| {
        Ok(Place {
            passenger: place.passenger,
            class: parse::<SeatClass>(&place.class)?,
            carriage: place.carriage,
            label: place.label,
            standing: place.standing,
            interval: interval(place.from, place.to)?,
            berth: place.berth,
        })
    };
    Ok(Leg {
        run: parse(&leg.run)?,
        class: parse(&leg.class)?,
        interval: interval(leg.from, leg.to)?,
        riders: leg.riders.unwrap_or_else(|| (0..passengers).collect()),
        places: leg.places.into_iter().map(place).collect::<Result<_, StoreError>>()?,
        hold: parse::<HoldId>(&leg.hold)?,
        seats: value(&SEATS, &leg.seats)?,
        held_again: leg.held_again,
        departs_at: Time::from_millis(leg.departs_at_ms),
        arrives_at: Time::from_millis(leg.arrives_at_ms),
    })
}

fn trade_record(trade: &Trade) -> TradeRecord {
    TradeRecord {
        attempt: trade.attempt,
        id: trade.id.clone(),
        token: trade.token.clone(),
        amount_fen: Some(trade.amount.as_fen()),
        change: trade.change,
        state: word(&TRADES, trade.state),
        captured_fen: trade.captured.as_fen(),
    }
}

fn read_trade(trade: TradeRecord, price: Money) -> Result<Trade, StoreError> {
    Ok(Trade {
        attempt: trade.attempt,
        id: trade.id,
        token: trade.token,
        amount: trade.amount_fen.map_or(price, Money::fen),
        change: trade.change,
        state: value(&TRADES, &trade.state)?,
        captured: Money::fen(trade.captured_fen),
    })
}

fn refund_record(refund: &Refund) -> RefundRecord {
    let cause = match refund.cause {
        RefundCause::Ticket(position) => position.to_string(),
        RefundCause::Order => "order".to_owned(),
        RefundCause::Surplus => "surplus".to_owned(),
    };
    RefundRecord {
        id: refund.id.clone(),
        cause,
        attempt: refund.attempt,
        amount_fen: refund.amount.as_fen(),
        fee_fen: refund.fee.as_fen(),
        state: word(&REFUNDS, refund.state),
    }
}

fn read_refund(refund: RefundRecord) -> Result<Refund, StoreError> {
    let cause = match &*refund.cause {
        "order" => RefundCause::Order,
        "surplus" => RefundCause::Surplus,
        position => RefundCause::Ticket(parse(position)?),
    };
    Ok(Refund {
        id: refund.id,
        cause,
        attempt: refund.attempt,
        amount: Money::fen(refund.amount_fen),
        fee: Money::fen(refund.fee_fen),
        state: value(&REFUNDS, &refund.state)?,
    })
}

fn student_record((position, it): (usize, &crate::order::Passenger)) -> Option<(usize, String, String)> {
    it.student.clone().map(|(home, school)| (position, home, school))
}

fn changed_record((ticket, it): (usize, &crate::order::Ticket)) -> Option<ChangedRecord> {
    it.changed.map(|changed| ChangedRecord::write(ticket, changed))
}

impl ChangedRecord {
    fn write(ticket: usize, changed: Changed) -> Self {
        Self {
            ticket,
            from_departs_at_ms: changed.from_departs_at.millis(),
            at_ms: changed.at.millis(),
            into_rush: changed.into_rush,
            times: changed.times,
        }
    }

    const fn read(&self) -> Changed {
        Changed {
            from_departs_at: Time::from_millis(self.from_departs_at_ms),
            at: Time::from_millis(self.at_ms),
            into_rush: self.into_rush,
            times: self.times,
        }
    }
}

const fn once() -> u32 {
    1
}

fn interval(from: u8, to: u8) -> Result<Interval, StoreError> {
    Interval::new(from, to).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Unreadable(error.to_string()))
}

fn word<T: PartialEq>(words: &[(T, &'static str)], value: T) -> String {
    let word = words.iter().find(|(other, _)| *other == value).map(|(_, word)| *word);
    word.expect("every value has its word").to_owned()
}

fn value<T: Copy>(words: &[(T, &str)], word: &str) -> Result<T, StoreError> {
    let value = words.iter().find(|(_, other)| *other == word).map(|(value, _)| *value);
    value.ok_or_else(|| StoreError::Unreadable(format!("unknown word {word:?}")))
}

const fn is_zero(value: &u8) -> bool {
    *value == 0
}

const fn is_false(value: &bool) -> bool {
    !*value
}
