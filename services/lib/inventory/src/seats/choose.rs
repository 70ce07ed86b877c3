use domain::Interval;

use super::{SeatIndex as _, Seats};
use crate::command::{Passenger, Preference};
use crate::seat_map::{BerthLevel, Place, SeatMap};

/// What one passenger likes, as far as places are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Liking {
    /// The preference.
    pub preference: Preference,
    /// Whether a lower berth is due (RULES: Seats, passengers of 60 and over).
    pub lower: bool,
}

impl Liking {
    /// An older passenger who asks for a level by name knows best.
    pub fn of(passenger: &Passenger) -> Self {
        let lower = passenger.elderly && !matches!(passenger.preference, Preference::Berth(_));
        Self { preference: passenger.preference, lower }
    }

    /// Whether a place is what is liked; everything is to one who likes nothing in particular.
    pub fn is_met_by(self, place: &Place) -> bool {
        match self.preference {
            Preference::None => true,
            Preference::Letter(letter) => place.letter == letter,
            Preference::Window => place.window,
            Preference::Aisle => place.aisle,
            Preference::Berth(level) => place.berth == Some(level),
        }
    }
}

/// The place for one passenger: a lower berth if one is due and free, else one that is liked, else the tightest.
pub(crate) fn single(seats: &Seats, map: &SeatMap, interval: Interval, liking: Liking) -> Option<u16> {
    let best = seats.best_fit(interval)?;
    let is_lower = |place: u16| map.place(place).berth == Some(BerthLevel::Lower);
    let is_liked = |place: u16| liking.is_met_by(&map.place(place));
    if liking.lower
        && let Some(place) = tightest(seats, interval, best, is_lower)
    {
        return Some(place);
    }
    if liking.preference != Preference::None
        && let Some(place) = tightest(seats, interval, best, is_liked)
    {
        return Some(place);
    }
    Some(best)
}

/// The tightest place that passes a test; `best` is the tightest of all.
fn tightest(seats: &Seats, interval: Interval, best: u16, accept: impl Fn(u16) -> bool) -> Option<u16> {
    if accept(best) { Some(best) } else { seats.best_fit_where(interval, accept) }
}
