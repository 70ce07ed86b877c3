//! The trains there are, and what clients ask of them.

use std::sync::LazyLock;

use bytes::Bytes;
use domain::{HoldId, OrderId, Run, ServiceDate};
use proto::common::v1 as common;
use proto::inventory::v1::{HoldPassenger, HoldRequest};
use rand::Rng;
use rand::rngs::SmallRng;

/// Stops of every train.
pub(crate) const STOPS: u8 = 16;
/// Places of one carriage: 20 rows of `ABC|DF`.
pub(crate) const CARRIAGE_PLACES: u32 = 100;
/// The train that everybody wants.
pub(crate) const HOT_TRAIN: u32 = 0;
/// The trains of the spread workload are those after the hot one.
pub(crate) const SPREAD_TRAINS: u32 = 1_000;
/// The train that is sold out before refusals are measured.
pub(crate) const SOLD_OUT_TRAIN: u32 = SPREAD_TRAINS + 1;
/// All of them.
pub(crate) const TRAINS: u32 = SOLD_OUT_TRAIN + 1;

/// Second class.
pub(crate) const SEAT_CLASS: i32 = common::SeatClass::Second as i32;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Each client holds a random interval of one train and gives it back.
    HotTrain,
    /// The same over 1,000 trains.
    Spread,
    /// Each client asks for random intervals of a sold-out train.
    SoldOut,
}

impl Workload {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HotTrain => "hot train",
            Self::Spread => "1,000 trains",
            Self::SoldOut => "sold out",
        }
    }

    /// The trains it needs.
    pub(crate) fn trains(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::HotTrain => HOT_TRAIN..=HOT_TRAIN,
            Self::Spread => 1..=SPREAD_TRAINS,
            Self::SoldOut => SOLD_OUT_TRAIN..=SOLD_OUT_TRAIN,
        }
    }

    /// What a client asks for next.
    pub(crate) fn next(self, random: &mut SmallRng) -> Ask {
        let train = match self {
            Self::HotTrain => HOT_TRAIN,
            Self::Spread => random.random_range(1..=SPREAD_TRAINS),
            Self::SoldOut => SOLD_OUT_TRAIN,
        };
        let from = random.random_range(0..STOPS - 1);
        let to = random.random_range(from + 1..STOPS);
        Ask { train, from, to, order: random.random() }
    }
}

/// A hold that a client wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub train: u32,
    pub from: u8,
    pub to: u8,
    pub order: u128,
}

impl Ask {
    /// The whole way of a train.
    pub fn whole_way(train: u32, order: u128) -> Self {
        Self { train, from: 0, to: STOPS - 1, order }
    }

    /// One bit for each segment of the interval.
    pub fn segments(self) -> u32 {
        segments(self.from, self.to)
    }

    pub fn hold_id(self) -> Bytes {
        HoldId::of_order(OrderId::from_u128(self.order), 0).bytes().to_vec().into()
    }

    /// The ask as a shard is asked. Each order is made by somebody else.
    pub fn request(self) -> HoldRequest {
        let person = self.order.to_be_bytes().to_vec().into();
        HoldRequest {
            run: Some(wire_run(self.train)),
            hold_id: self.hold_id(),
            channel: common::Channel::Online.into(),
            seat_class: SEAT_CLASS,
            from_stop: self.from.into(),
            to_stop: self.to.into(),
            passengers: vec![HoldPassenger { person, preference: 0, elderly: false }],
            accept_standing: false,
            accept_seat_change: false,
        }
    }
}

/// One bit for each segment between two stops.
pub(crate) const fn segments(from: u8, to: u8) -> u32 {
    (1 << to) - (1 << from)
}

/// Places of a train. The hot one has more than there are clients, so that nobody is refused.
pub(crate) const fn places(train: u32) -> u32 {
    match train {
        HOT_TRAIN => 1_200,
        SOLD_OUT_TRAIN => 100,
        _ => 200,
    }
}

/// The train-dates of all trains and how they are named on the wire: written once, as clients have better to do.
static RUNS: LazyLock<Vec<(Run, common::Run)>> = LazyLock::new(|| {
    let date = ServiceDate::from_days(20_800).expect("a day of 2026");
    let run = |train: u32| {
        let run = Run::first(format!("G{}", train + 1).parse().expect("a letter and digits"), date);
        let train_code = run.train.to_string();
        (run, common::Run { train_code, service_date: run.date.to_string(), ordinal: 1 })
    };
    (0..TRAINS).map(run).collect()
});

/// The train-date of a train's number.
pub(crate) fn run(train: u32) -> Run {
    RUNS[train as usize].0
}

/// The number of a train-date.
pub(crate) fn train_of(run: &Run) -> u32 {
    run.train.as_str()[1..].parse::<u32>().map_or(0, |number| number - 1)
}

pub(crate) fn wire_run(train: u32) -> common::Run {
    RUNS[train as usize].1.clone()
}

/// The number of a place among those of its train; none for what is no place.
pub(crate) fn place_number(place: &common::Place) -> Option<u32> {
    let [tens, ones, letter] = place.label.as_bytes() else { return None };
    let row = u32::from(tens.checked_sub(b'0')?) * 10 + u32::from(ones.checked_sub(b'0')?);
    let letter = b"ABCDF".iter().position(|known| known == letter)? as u32;
    Some(place.carriage.checked_sub(1)? * CARRIAGE_PLACES + row.checked_sub(1)? * 5 + letter)
}

/// A place by its number.
pub(crate) fn place(number: u32, from: u8, to: u8) -> common::Place {
    let in_carriage = number % CARRIAGE_PLACES;
    let letter = char::from(b"ABCDF"[(in_carriage % 5) as usize]);
    common::Place {
        carriage: number / CARRIAGE_PLACES + 1,
        label: format!("{:02}{letter}", in_carriage / 5 + 1),
        seat_class: SEAT_CLASS,
        from_stop: from.into(),
        to_stop: to.into(),
        ..common::Place::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_as_they_are_labelled() {
        for number in [0, 4, 5, 99, 100, 1_199] {
            assert_eq!(place_number(&place(number, 0, 1)), Some(number));
        }
        assert_eq!((place(0, 0, 1).label, place(1_199, 0, 1).label), ("01A".to_owned(), "20F".to_owned()));
        assert_eq!(place(1_199, 0, 1).carriage, 12);
    }

    #[test]
    fn an_interval_covers_the_segments_between_its_stops() {
        assert_eq!((segments(0, 1), segments(1, 3), segments(0, 15)), (0b1, 0b110, 0x7fff));
        assert_eq!(train_of(&run(SOLD_OUT_TRAIN)), SOLD_OUT_TRAIN);
    }
}
