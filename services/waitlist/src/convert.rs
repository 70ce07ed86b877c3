//! The wire's words to the domain's and back.

use domain::{Channel, Document, DocumentKind, Interval, Invalid, PassengerKind, Run, SeatClass, StopIndex};
use proto::common::v1 as common;

use crate::entry::Traveller;
use crate::error::Error;

type Read<T> = Result<T, Error>;

/// A run for the wire.
pub fn run_out(run: Run) -> common::Run {
    common::Run {
        train_code: run.train.to_string(),
        service_date: run.date.to_string(),
        ordinal: u32::from(run.ordinal),
    }
}

/// A run of the wire.
pub fn run_in(run: Option<&common::Run>) -> Read<Run> {
    let run = run.ok_or_else(|| Error::field("run", Invalid::new("run", "a run", "")))?;
    let ordinal = u8::try_from(run.ordinal.max(1))
        .map_err(|_| Error::field("run.ordinal", Invalid::new("ordinal", "0 to 255", &run.ordinal.to_string())))?;
    Ok(Run {
        train: run.train_code.parse().map_err(|invalid| Error::field("run.train_code", invalid))?,
        date: run.service_date.parse().map_err(|invalid| Error::field("run.service_date", invalid))?,
        ordinal,
    })
}

/// A class of the wire.
pub fn class_in(code: i32) -> Read<SeatClass> {
    let class = u8::try_from(code).ok().and_then(SeatClass::from_code);
    class.ok_or_else(|| unknown("seat_class", "seat class", "a value of SeatClass", code))
}

/// A channel of the wire; not said means online.
pub fn channel_in(code: i32) -> Read<Channel> {
    if code == 0 {
        return Ok(Channel::Online);
    }
    let channel = u8::try_from(code).ok().and_then(Channel::from_code);
    channel.ok_or_else(|| unknown("channel", "channel", "a value of Channel", code))
}

/// An interval of the wire.
pub fn interval_in(from: u32, to: u32) -> Read<Interval> {
    let stop = |field: &str, stop: u32| {
        StopIndex::try_from(stop).map_err(|_| Error::field(field, Invalid::new("stop", "0 to 127", &stop.to_string())))
    };
    let (from, to) = (stop("from_stop", from)?, stop("to_stop", to)?);
    Interval::new(from, to).map_err(|invalid| Error::field("to_stop", invalid))
}

/// A passenger of the wire, the one at a position.
pub fn traveller_in(position: usize, passenger: &common::Passenger) -> Read<Traveller> {
    let field = |name: &str| format!("passengers[{position}].{name}");
    let kind = match passenger.kind {
        0 => Some(PassengerKind::Adult),
        code => u8::try_from(code).ok().and_then(PassengerKind::from_code),
    };
    let document_kind = u8::try_from(passenger.document_kind).ok().and_then(DocumentKind::from_code);
    let document_kind = document_kind.ok_or_else(|| {
        unknown(field("document_kind"), "document kind", "a value of DocumentKind", passenger.document_kind)
    })?;
    let preference = common::PlacePreference::try_from(passenger.preference).ok().map(|known| known as i32);
    let preference = preference.and_then(|code| u8::try_from(code).ok());
    Ok(Traveller {
        name: passenger.name.parse().map_err(|invalid| Error::field(field("name"), invalid))?,
        document: Document::new(document_kind, &passenger.document_number)
            .map_err(|invalid| Error::field(field("document_number"), invalid))?,
        kind: kind
            .ok_or_else(|| unknown(field("kind"), "passenger kind", "a value of PassengerKind", passenger.kind))?,
        preference: preference.ok_or_else(|| {
            unknown(field("preference"), "preference", "a value of PlacePreference", passenger.preference)
        })?,
    })
}

/// A passenger for the wire.
pub fn traveller_out(traveller: &Traveller) -> common::Passenger {
    common::Passenger {
        name: traveller.name.as_str().to_owned(),
        document_kind: traveller.document.kind().code().into(),
        document_number: traveller.document.number().to_owned(),
        kind: traveller.kind.code().into(),
        preference: traveller.preference.into(),
        student: None,
        adult_ticket_id: String::new(),
    }
}

fn unknown(field: impl Into<String>, what: &'static str, allowed: &'static str, code: i32) -> Error {
    Error::field(field, Invalid::new(what, allowed, &code.to_string()))
}
