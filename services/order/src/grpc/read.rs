//! Requests to values of the domain.

use domain::{
    AccountId, ChangeId, Channel, Document, DocumentKind, HoldId, Invalid, Money, OrderId, PassengerKind, Time,
};
use proto::common::v1 as common;
use proto::order::v1 as wire;
use rpc::Failure;
use tonic::Status;

use crate::app::{NewLeg, NewOrder, NewPassenger, NewQuote, NewTickets};
use crate::convert::{class_in, interval_in, place_in, run_in};
use crate::store::PageEnd;

const PAGE_DEFAULT: u32 = 20;
const PAGE_MAX: u32 = 100;
const PAYMENT_TOKEN_MAX: usize = 256;

pub(super) fn account(text: &str) -> Result<AccountId, Status> {
    text.parse().map_err(|invalid| field("account", &invalid))
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Status> {
    text.parse().map_err(|invalid| field("order_id", &invalid))
}

pub(super) fn change_id(text: &str) -> Result<ChangeId, Status> {
    text.parse().map_err(|invalid| field("change_id", &invalid))
}

/// What the client agreed to pay, if it says so.
pub(super) fn agreed(fen: Option<i64>) -> Result<Option<Money>, Status> {
    match fen {
        Some(fen) if fen < 0 => Err(wrong("agreed_fen", "0 or more, or nothing")),
        fen => Ok(fen.map(Money::fen)),
    }
}

pub(super) fn new_tickets(journey: Option<wire::ChangedJourney>) -> Result<NewTickets, Status> {
    let it = journey.ok_or_else(|| wrong("journey", "a journey"))?;
    let run = it.run.as_ref().ok_or_else(|| wrong("journey.run", "a run"))?;
    Ok(NewTickets {
        account: account(&it.account)?,
        order: order_id(&it.order_id)?,
        run: run_in(run).map_err(|invalid| field("journey.run", &invalid))?,
        class: class_in(it.seat_class).ok_or_else(|| wrong("journey.seat_class", "a class"))?,
        interval: interval_in(it.from_stop, it.to_stop).map_err(|invalid| field("journey.to_stop", &invalid))?,
        tickets: it.ticket_ids,
        standing: it.accept_standing,
        seat_change: it.accept_seat_change,
    })
}

pub(super) fn page_size(size: u32) -> Result<u32, Status> {
    match size {
        0 => Ok(PAGE_DEFAULT),
        1..=PAGE_MAX => Ok(size),
        _ => Err(wrong("page_size", "0 to 100")),
    }
}

/// What [`super::write::page_token`] wrote.
pub(super) fn page_end(token: &str) -> Result<Option<PageEnd>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (millis, id) = token.split_once('.')?;
        Some(PageEnd { created_at: Time::from_millis(millis.parse().ok()?), id: id.parse().ok()? })
    };
    parse().map(Some).ok_or_else(|| wrong("page_token", "a next_page_token, or nothing"))
}

pub(super) fn payment_token(token: String) -> Result<String, Status> {
    if (1..=PAYMENT_TOKEN_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(wrong("payment_token", "1 to 256 printable ASCII characters"))
    }
}

pub(super) fn new_quote(request: &wire::QuoteOrderRequest) -> Result<NewQuote, Status> {
    let leg = |(position, leg): (usize, &wire::QuotedLeg)| {
        let at = |name: &str| format!("legs[{position}].{name}");
        let run = leg.run.as_ref().ok_or_else(|| wrong(at("run"), "a run"))?;
        Ok((
            run_in(run).map_err(|invalid| field(at("run"), &invalid))?,
            class_in(leg.seat_class).ok_or_else(|| wrong(at("seat_class"), "a class"))?,
            interval_in(leg.from_stop, leg.to_stop).map_err(|invalid| field(at("to_stop"), &invalid))?,
        ))
    };
    let kind = |(position, code): (usize, &i32)| {
        kind_in(*code).ok_or_else(|| wrong(format!("kinds[{position}]"), "a type of ticket"))
    };
    Ok(NewQuote {
        legs: request.legs.iter().enumerate().map(leg).collect::<Result<_, Status>>()?,
        kinds: request.kinds.iter().enumerate().map(kind).collect::<Result<_, _>>()?,
    })
}

fn kind_in(code: i32) -> Option<PassengerKind> {
    match code {
        0 => Some(PassengerKind::Adult),
        code => u8::try_from(code).ok().and_then(PassengerKind::from_code),
    }
}

/// The longest quote: five passengers on two sleepers have a third of it.
const QUOTE_BYTES_MAX: usize = 8_192;

pub(super) fn new_order(request: &wire::OpenOrderRequest) -> Result<NewOrder, Status> {
    let channel = match request.channel {
        0 => Some(Channel::Online),
        code => u8::try_from(code).ok().and_then(Channel::from_code),
    };
    if request.quoted_fen < 0 {
        return Err(wrong("quoted_fen", "0 or more"));
    }
    if request.quote.len() > QUOTE_BYTES_MAX {
        return Err(wrong("quote", "at most 8192 bytes"));
    }
    Ok(NewOrder {
        id: order_id(&request.order_id)?,
        account: account(&request.account)?,
        channel: channel.ok_or_else(|| wrong("channel", "online, window, phone or agency"))?,
        legs: request.legs.iter().enumerate().map(leg).collect::<Result<_, _>>()?,
        passengers: request.passengers.iter().enumerate().map(passenger).collect::<Result<_, _>>()?,
        quoted: (request.quoted_fen > 0).then(|| Money::fen(request.quoted_fen)),
        quote: (!request.quote.is_empty()).then(|| request.quote.clone()),
    })
}

fn leg((position, leg): (usize, &wire::HeldLeg)) -> Result<NewLeg, Status> {
    let at = |name: &str| format!("legs[{position}].{name}");
    let run = leg.run.as_ref().ok_or_else(|| wrong(at("run"), "a run"))?;
    let places = leg.places.iter().map(place_in).collect::<Option<Vec<_>>>();
    let deadlines = (Time::from_millis(leg.pay_by_ms), Time::from_millis(leg.hard_limit_ms));
    Ok(NewLeg {
        run: run_in(run).map_err(|invalid| field(at("run"), &invalid))?,
        class: class_in(leg.seat_class).ok_or_else(|| wrong(at("seat_class"), "a class"))?,
        interval: interval_in(leg.from_stop, leg.to_stop).map_err(|invalid| field(at("to_stop"), &invalid))?,
        places: places.ok_or_else(|| wrong(at("places"), "places of a passenger, a class and two stops"))?,
        hold: HoldId::from_bytes(&leg.hold_id).ok_or_else(|| wrong(at("hold_id"), "17 bytes"))?,
        opened: leg.opened.then_some(deadlines),
    })
}

fn passenger((position, passenger): (usize, &common::Passenger)) -> Result<NewPassenger, Status> {
    let at = |name: &str| format!("passengers[{position}].{name}");
    let kind = kind_in(passenger.kind);
    let document_kind = u8::try_from(passenger.document_kind).ok().and_then(DocumentKind::from_code);
    let document_kind = document_kind.ok_or_else(|| wrong(at("document_kind"), "a kind of document"))?;
    Ok(NewPassenger {
        name: passenger.name.parse().map_err(|invalid| field(at("name"), &invalid))?,
        document: Document::new(document_kind, &passenger.document_number)
            .map_err(|invalid| field(at("document_number"), &invalid))?,
        kind: kind.ok_or_else(|| wrong(at("kind"), "a type of ticket"))?,
        student: passenger.student.as_ref().map(|it| (it.home.clone(), it.school.clone())),
        adult_ticket: (!passenger.adult_ticket_id.is_empty()).then(|| passenger.adult_ticket_id.clone()),
    })
}

fn field(path: impl Into<String>, invalid: &Invalid) -> Status {
    Failure::invalid_field(path, invalid).into()
}

/// A field that is not what is expected there.
pub(super) fn wrong(path: impl Into<String>, expected: &str) -> Status {
    Failure::bad_field(path, format!("expected {expected}")).into()
}
