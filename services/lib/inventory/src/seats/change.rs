use domain::Interval;
use smallvec::SmallVec;

use super::{SeatIndex as _, Seats};

/// One place on a part of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leg {
    pub place: u16,
    pub interval: Interval,
}

/// The journey on as few places as possible, one after the other; none when some segment has no free place.
///
/// Riding the place that reaches furthest, and changing only where it ends, cannot be beaten: whatever another plan rides
/// from there on is free to this one too.
pub(crate) fn fewest_changes(seats: &Seats, interval: Interval) -> Option<SmallVec<[Leg; 4]>> {
    let mut legs = SmallVec::new();
    let mut at = interval.from();
    while at < interval.to() {
        let gap = seats.furthest_from(at)?;
        let to = gap.to.min(interval.to());
        let part = Interval::new(at, to).ok()?;
        // The last place only has to reach the end: there the tightest one is as good as the furthest.
        let place = if to == interval.to() { seats.best_fit(part)? } else { seats.place_with(gap)? };
        legs.push(Leg { place, interval: part });
        at = to;
    }
    Some(legs)
}
