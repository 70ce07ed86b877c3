//! The common words of the wire to the domain's and back.

use domain::{Interval, Invalid, Run, SeatClass};
use proto::common::v1 as wire;

use crate::order::Place;

/// A run for the wire.
pub fn run_out(run: Run) -> wire::Run {
    wire::Run { train_code: run.train.to_string(), service_date: run.date.to_string(), ordinal: run.ordinal.into() }
}

/// A run of the wire.
pub fn run_in(run: &wire::Run) -> Result<Run, Invalid> {
    let ordinal =
        u8::try_from(run.ordinal.max(1)).map_err(|_| Invalid::new("ordinal", "1 to 255", &run.ordinal.to_string()))?;
    Ok(Run { train: run.train_code.parse()?, date: run.service_date.parse()?, ordinal })
}

/// A class of the wire.
pub fn class_in(code: i32) -> Option<SeatClass> {
    u8::try_from(code).ok().and_then(SeatClass::from_code)
}

/// An interval of the wire.
pub fn interval_in(from: u32, to: u32) -> Result<Interval, Invalid> {
    let stop = |stop: u32| u8::try_from(stop).map_err(|_| Invalid::new("stop", "0 to 127", &stop.to_string()));
    Interval::new(stop(from)?, stop(to)?)
}

/// A place of the wire; `None` where it is none.
pub fn place_in(place: &wire::Place) -> Option<Place> {
    Some(Place {
        passenger: u8::try_from(place.passenger).ok()?,
        class: class_in(place.seat_class)?,
        carriage: place.carriage,
        label: place.label.clone(),
        standing: place.standing,
        interval: interval_in(place.from_stop, place.to_stop).ok()?,
        berth: place.berth.clone(),
    })
}

/// A place for the wire.
pub fn place_out(place: &Place) -> wire::Place {
    wire::Place {
        passenger: place.passenger.into(),
        seat_class: i32::from(place.class.code()),
        carriage: place.carriage,
        label: place.label.clone(),
        standing: place.standing,
        from_stop: place.interval.from().into(),
        to_stop: place.interval.to().into(),
        berth: place.berth.clone(),
    }
}
