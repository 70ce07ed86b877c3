//! Requests as the kernel's commands.

use domain::{Channel, EntryId, HoldId, Interval, Invalid, PersonToken, Run, SeatClass, StopIndex, Time};
use inventory::encoding::{DecodeError, decode_record};
use inventory::{BerthLevel, Command, Event, HoldRequest, Passenger, Preference, RequestId, Together, Wish, WishId};
use prost::Message as _;
use proto::common::v1::{self as common, PlacePreference};
use proto::inventory::v1 as wire;
use proto::journal::v1 as journal;

use crate::error::Error;

type Read<T> = Result<T, Error>;

pub fn run(run: Option<&common::Run>) -> Read<Run> {
    let run = run.ok_or_else(|| field("run", "run", "a run", "nothing"))?;
    let ordinal = u8::try_from(run.ordinal.max(1));
    Ok(Run {
        train: run.train_code.parse().map_err(invalid("run.train_code"))?,
        date: run.service_date.parse().map_err(invalid("run.service_date"))?,
        ordinal: ordinal.map_err(|_| field("run.ordinal", "ordinal", "0 to 255", &run.ordinal.to_string()))?,
    })
}

pub fn hold(request: &wire::HoldRequest) -> Read<HoldRequest> {
    Ok(HoldRequest {
        hold: hold_id("hold_id", &request.hold_id)?,
        channel: channel("channel", request.channel)?,
        class: class("seat_class", request.seat_class)?,
        interval: interval(request.from_stop, request.to_stop)?,
        passengers: request.passengers.iter().map(passenger).collect::<Read<_>>()?,
        together: Together::Preferred,
        allow_standing: request.accept_standing,
        allow_seat_change: request.accept_seat_change,
    })
}

pub fn release(request: &wire::ReleaseRequest) -> Read<Command> {
    Ok(Command::Release { hold: hold_id("hold_id", &request.hold_id)? })
}

pub fn hold_id(name: &'static str, bytes: &[u8]) -> Read<HoldId> {
    HoldId::from_bytes(bytes).ok_or_else(|| field(name, "hold id", "17 bytes", &format!("{} bytes", bytes.len())))
}

pub fn wish_id(entry: &[u8]) -> Read<WishId> {
    Ok(WishId::first(EntryId::from_u128(id16("entry_id", entry)?)))
}

pub fn join(request: &wire::JoinLineRequest) -> Read<Command> {
    let wished = request.wish.as_ref().ok_or_else(|| field("wish", "wish", "a wish", "nothing"))?;
    let wish = Wish {
        class: code("wish.seat_class", "seat class", wished.seat_class, SeatClass::from_code)?,
        interval: interval(wished.from, wished.to)?,
        persons: wished.persons.iter().map(|token| person("wish.persons", token)).collect::<Read<_>>()?,
        standing: wished.standing,
        channel: code("wish.channel", "channel", wished.channel, Channel::from_code)?,
    };
    Ok(Command::Join { id: wish_id(&request.entry_id)?, wish, deadline: Time::from_millis(request.deadline_ms) })
}

pub fn refund(request: &wire::RefundRequest) -> Read<Command> {
    let passenger = |number: &u32| {
        u8::try_from(*number).map_err(|_| field("passengers", "passenger", "0 to 63", &number.to_string()))
    };
    Ok(Command::Refund {
        hold: hold_id("hold_id", &request.hold_id)?,
        passengers: request.passengers.iter().map(passenger).collect::<Read<_>>()?,
    })
}

pub fn open_sale(request: wire::OpenSaleRequest) -> Read<Command> {
    let plan = request.plan.ok_or_else(|| field("plan", "plan", "what is sold", "nothing"))?;
    match event("plan", journal::event::Kind::SaleOpened(plan))? {
        Event::SaleOpened(plan) => Ok(Command::OpenSale { request: request_id(&request.request_id)?, plan }),
        _ => unreachable!("an event is read as its own kind"),
    }
}

pub fn add_capacity(request: wire::AddCapacityRequest) -> Read<Command> {
    let added = journal::CapacityAdded { carriages: request.carriages };
    match event("carriages", journal::event::Kind::CapacityAdded(added))? {
        Event::CapacityAdded { carriages } => {
            Ok(Command::AddCapacity { request: request_id(&request.request_id)?, carriages })
        }
        _ => unreachable!("an event is read as its own kind"),
    }
}

pub fn set_quotas(request: wire::SetQuotasRequest) -> Read<Command> {
    let set = journal::QuotasSet { quotas: request.quotas };
    match event("quotas", journal::event::Kind::QuotasSet(set))? {
        Event::QuotasSet(quotas) => Ok(Command::SetQuotas { request: request_id(&request.request_id)?, quotas }),
        _ => unreachable!("an event is read as its own kind"),
    }
}

pub fn close_sale(request: &wire::CloseSaleRequest) -> Read<Command> {
    Ok(Command::CloseSale { request: request_id(&request.request_id)?, cancelled: request.cancelled })
}

/// What a request shares with the journal is read by the kernel's own reader: as the one event of a record.
fn event(name: &'static str, kind: journal::event::Kind) -> Read<Event> {
    let record = journal::Record {
        run: Some(journal::RunKey { train: "X".to_owned(), service_date: 20_000, ordinal: 1 }),
        events: vec![journal::Event { kind: Some(kind) }],
        ..journal::Record::default()
    };
    let read = decode_record(&record.encode_to_vec()).map_err(|error| unreadable(name, &error))?;
    read.events.into_iter().next().ok_or_else(|| field(name, "event", "one event", "none"))
}

fn unreadable(name: &'static str, error: &DecodeError) -> Error {
    Error::Plan { field: name, message: error.to_string() }
}

fn passenger(passenger: &wire::HoldPassenger) -> Read<Passenger> {
    let preference = PlacePreference::try_from(passenger.preference).map_err(|_| {
        field("passengers.preference", "preference", "a value of PlacePreference", &passenger.preference.to_string())
    })?;
    Ok(Passenger {
        person: person("passengers.person", &passenger.person)?,
        preference: liking(preference),
        elderly: passenger.elderly,
    })
}

const fn liking(preference: PlacePreference) -> Preference {
    match preference {
        PlacePreference::Unspecified => Preference::None,
        PlacePreference::Window => Preference::Window,
        PlacePreference::Aisle => Preference::Aisle,
        // The middle seat of a row of three is the one lettered B.
        PlacePreference::Middle | PlacePreference::B => Preference::Letter(b'B'),
        PlacePreference::Lower => Preference::Berth(BerthLevel::Lower),
        PlacePreference::MiddleBerth => Preference::Berth(BerthLevel::Middle),
        PlacePreference::Upper => Preference::Berth(BerthLevel::Upper),
        PlacePreference::A => Preference::Letter(b'A'),
        PlacePreference::C => Preference::Letter(b'C'),
        PlacePreference::D => Preference::Letter(b'D'),
        PlacePreference::F => Preference::Letter(b'F'),
    }
}

fn person(name: &'static str, token: &[u8]) -> Read<PersonToken> {
    let bytes = token.try_into().map_err(|_| field(name, "person", "16 bytes", &format!("{} bytes", token.len())))?;
    Ok(PersonToken(bytes))
}

fn request_id(bytes: &[u8]) -> Read<RequestId> {
    id16("request_id", bytes).map(RequestId)
}

fn id16(name: &'static str, bytes: &[u8]) -> Read<u128> {
    let id = bytes.try_into().map(u128::from_be_bytes).ok().filter(|id| *id != 0);
    id.ok_or_else(|| field(name, "id", "16 bytes, not all zero", &format!("{} bytes", bytes.len())))
}

fn channel(name: &'static str, value: i32) -> Read<Channel> {
    match value {
        0 => Ok(Channel::Online),
        _ => code(name, "channel", value, Channel::from_code),
    }
}

fn class(name: &'static str, value: i32) -> Read<SeatClass> {
    code(name, "seat class", value, SeatClass::from_code)
}

fn code<C, V: TryInto<u8> + Copy + ToString>(
    name: &'static str,
    what: &'static str,
    value: V,
    from_code: fn(u8) -> Option<C>,
) -> Read<C> {
    let known = value.try_into().ok().and_then(from_code);
    known.ok_or_else(|| field(name, what, "a code of the protocol", &value.to_string()))
}

fn interval(from: u32, to: u32) -> Read<Interval> {
    let stop =
        |name, value: u32| StopIndex::try_from(value).map_err(|_| field(name, "stop", "0 to 127", &value.to_string()));
    Interval::new(stop("from_stop", from)?, stop("to_stop", to)?).map_err(invalid("to_stop"))
}

fn invalid(name: &'static str) -> impl Fn(Invalid) -> Error {
    move |invalid| Error::Field { field: name, invalid }
}

fn field(name: &'static str, what: &'static str, allowed: &'static str, got: &str) -> Error {
    Error::Field { field: name, invalid: Invalid::new(what, allowed, got) }
}
