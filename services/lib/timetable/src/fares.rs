use domain::{Interval, Money, SeatClass};

use crate::BerthLevel;

/// The lowest fare of any interval: what a hard seat costs over the shortest distance. Fares from the origin may be equal at
/// neighbouring stops, and a ride between those stops is not free.
pub const FARE_MIN: Money = Money::yuan(1);

/// What a price is for: a class, and for sleepers the level of the berth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PriceKey {
    /// The class.
    pub class: SeatClass,
    /// The berth; `None` for seats.
    pub berth: Option<BerthLevel>,
}

impl PriceKey {
    /// Every price there can be, in the order of the columns of `fares.csv`.
    pub fn all() -> impl Iterator<Item = Self> {
        SeatClass::ALL.into_iter().flat_map(Self::of)
    }

    /// The prices a train needs to sell the class.
    pub fn of(class: SeatClass) -> impl Iterator<Item = Self> {
        let berths = BerthLevel::of(class).iter().map(move |level| Self { class, berth: Some(*level) });
        let seat = (!class.is_sleeper()).then_some(Self { class, berth: None });
        seat.into_iter().chain(berths)
    }

    /// Its column in `fares.csv` and `fare_curves.csv`.
    pub const fn column(self) -> &'static str {
        use BerthLevel::{Lower, Middle, Upper};
        match (self.class, self.berth) {
            (SeatClass::SoftSleeper, Some(Upper)) => "soft_sleeper_upper",
            (SeatClass::SoftSleeper, _) => "soft_sleeper_lower",
            (SeatClass::HardSleeper, Some(Upper)) => "hard_sleeper_upper",
            (SeatClass::HardSleeper, Some(Middle)) => "hard_sleeper_middle",
            (SeatClass::HardSleeper, Some(Lower) | None) => "hard_sleeper_lower",
            (SeatClass::EmuSleeper, Some(Upper)) => "emu_sleeper_upper",
            (SeatClass::EmuSleeper, _) => "emu_sleeper_lower",
            (seat, _) => seat.name(),
        }
    }
}

/// The full adult fares of one train.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FareTable {
    /// The curve, by its number in the timetable, that prices rides which do not begin at the origin. Without one the
    /// fare is the difference of the two fares from the origin, as on high-speed trains.
    pub(crate) curve: Option<u32>,
    /// One column per price, ordered by key.
    pub(crate) columns: Box<[PriceColumn]>,
}

/// The fares of one class or berth from the origin to every stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceColumn {
    /// What is priced.
    pub key: PriceKey,
    /// Fen from the origin to each stop, 0 at the origin, never falling along the route.
    pub from_origin: Box<[u32]>,
}

impl FareTable {
    /// The columns, ordered by key.
    pub fn columns(&self) -> &[PriceColumn] {
        &self.columns
    }

    pub(crate) fn column(&self, key: PriceKey) -> Option<&PriceColumn> {
        self.columns.iter().find(|column| column.key == key)
    }

    /// The fare over an interval whose length along the track is `km`; `None` where the class is not priced or the
    /// train has no such stop.
    pub(crate) fn fare(&self, key: PriceKey, interval: Interval, km: u32, curve: Option<&FareCurve>) -> Option<Money> {
        let from_origin = &self.column(key)?.from_origin;
        let at = |stop: u8| from_origin.get(usize::from(stop)).map(|fen| i64::from(*fen));
        let (before, through) = (at(interval.from())?, at(interval.to())?);
        let by_curve = curve.filter(|_| interval.from() > 0).and_then(|curve| curve.price(key, km));
        let fen = match by_curve {
            // A part of the journey is never dearer than the journey: the curve is a national average, the table is not.
            Some(price) => i64::from(price).min(through),
            None => through - before,
        };
        Some(Money::fen(fen).rounded_half_yuan().max(FARE_MIN))
    }
}

/// Fares by distance: a row for every distance from which a new price holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FareCurve {
    /// Its name in the files, such as `K`.
    pub name: Box<str>,
    pub(crate) columns: Box<[CurveColumn]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurveColumn {
    pub(crate) key: PriceKey,
    /// `(km, fen)`: the price from this distance on, both rising.
    pub(crate) points: Box<[(u32, u32)]>,
}

impl FareCurve {
    /// The price in fen of a ride of so many km. Past the last row it grows with the distance.
    pub fn price(&self, key: PriceKey, km: u32) -> Option<u32> {
        let points = &self.columns.iter().find(|column| column.key == key)?.points;
        let next = points.partition_point(|(from_km, _)| *from_km <= km);
        let (from_km, fen) = *points.get(next.saturating_sub(1))?;
        let past_the_end = next == points.len() && from_km > 0;
        let in_proportion = || u64::from(fen) * u64::from(km) / u64::from(from_km);
        Some(if past_the_end { u32::try_from(in_proportion()).unwrap_or(u32::MAX) } else { fen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARD_SEAT: PriceKey = PriceKey { class: SeatClass::HardSeat, berth: None };

    fn table(fen: &[u32]) -> FareTable {
        FareTable { curve: None, columns: [PriceColumn { key: HARD_SEAT, from_origin: fen.into() }].into() }
    }

    fn interval(from: u8, to: u8) -> Interval {
        Interval::new(from, to).unwrap()
    }

    #[test]
    fn without_a_curve_a_fare_is_a_difference() {
        // From the origin 37.50, 63.50 and 63.50 yuan.
        let table = table(&[0, 3750, 6350, 6350]);
        let fare = |from, to| table.fare(HARD_SEAT, interval(from, to), 100, None);
        assert_eq!(fare(0, 2), Some(Money::fen(6350)));
        assert_eq!(fare(1, 2), Some(Money::yuan(26)));
        assert_eq!(fare(2, 3), Some(FARE_MIN), "a ride is never free");
        assert_eq!(fare(0, 4), None, "there is no such stop");
    }

    #[test]
    fn a_curve_prices_rides_past_the_origin() {
        let curve = FareCurve {
            name: "K".into(),
            columns: [CurveColumn { key: HARD_SEAT, points: [(0, 250), (25, 550), (50, 900)].into() }].into(),
        };
        let table = table(&[0, 800, 1200]);
        let fare = |from, to, km| table.fare(HARD_SEAT, interval(from, to), km, Some(&curve));
        assert_eq!(fare(0, 1, 30), Some(Money::yuan(8)), "from the origin the table holds");
        assert_eq!(fare(1, 2, 24), Some(Money::fen(250)));
        assert_eq!(fare(1, 2, 25), Some(Money::fen(550)));
        assert_eq!(fare(1, 2, 60), Some(Money::fen(1100)), "past the end 9.00 x 60 / 50 = 10.80, rounded");
        assert_eq!(fare(1, 2, 100), Some(Money::yuan(12)), "18.00 would be more than the whole journey");
    }

    #[test]
    fn sleepers_are_priced_by_berth_and_seats_are_not() {
        let columns: Vec<_> = PriceKey::of(SeatClass::HardSleeper).map(PriceKey::column).collect();
        assert_eq!(columns, ["hard_sleeper_lower", "hard_sleeper_middle", "hard_sleeper_upper"]);
        assert_eq!(PriceKey::all().count(), 13);
    }
}
