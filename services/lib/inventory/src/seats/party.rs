use domain::Interval;
use smallvec::SmallVec;

use super::{Liking, Seats};
use crate::command::{Preference, Together};
use crate::seat_map::{BerthLevel, SeatMap, Span};

/// The places of a party, in order of its passengers.
pub(crate) type PartyPlaces = SmallVec<[u16; 8]>;

/// Why a party finds no places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Fewer places are free over the interval than passengers.
    TooFew,
    /// The party insists on one carriage, and the emptiest has so many places.
    NotInOneCarriage { free: u16 },
}

/// Places for a party of two or more, as close as can be: side by side in a row, then in a row, then in adjacent rows, then
/// in a carriage, then anywhere. Among equally close ones those that meet most likings, then the tightest gaps, then the
/// first in the train. Lower berths that are due come before closeness.
pub(crate) fn choose_party(
    seats: &Seats,
    map: &SeatMap,
    interval: Interval,
    likings: &[Liking],
    together: Together,
) -> Result<PartyPlaces, NoRoom> {
    let free = Free::over(seats, map, interval);
    if free.places.len() < likings.len() {
        return Err(NoRoom::TooFew);
    }
    let lowers = free.places.iter().filter(|place| place.lower).count();
    let due = likings.iter().filter(|liking| liking.lower).count().min(lowers);
    // A party that insists on one carriage takes as many of the due lower berths as one carriage has.
    let least_due = if together == Together::SameCarriage { 0 } else { due };
    for lowers in (least_due..=due).rev() {
        let party = Party { map, likings, lowers };
        if let Some(places) = party.closest(&free, together) {
            return Ok(places);
        }
    }
    let of_carriage = |span: &Span| free.range(span.first, span.places).len() as u16;
    Err(NoRoom::NotInOneCarriage { free: map.spans().iter().map(of_carriage).max().unwrap_or(0) })
}

/// The places that are free over an interval, in order.
struct Free {
    places: Vec<FreePlace>,
}

#[derive(Clone, Copy)]
struct FreePlace {
    number: u16,
    looseness: u32,
    lower: bool,
}

impl Free {
    fn over(seats: &Seats, map: &SeatMap, interval: Interval) -> Self {
        let berths = map.places() > 0 && map.spans().iter().any(|span| map.place(span.first).berth.is_some());
        let mut places = Vec::new();
        for (word, mut bits) in seats.free_places(interval).into_iter().enumerate() {
            while bits != 0 {
                let number = (word * 64) as u16 + bits.trailing_zeros() as u16;
                bits &= bits - 1;
                let looseness = seats.gap_around(number, interval).looseness(interval);
                let lower = berths && map.place(number).berth == Some(BerthLevel::Lower);
                places.push(FreePlace { number, looseness, lower });
            }
        }
        Self { places }
    }

    /// The free ones of `length` places from `first` on.
    fn range(&self, first: u16, length: u16) -> &[FreePlace] {
        let from = self.places.partition_point(|place| place.number < first);
        let length = self.places[from..].partition_point(|place| place.number < first + length);
        &self.places[from..from + length]
    }
}

/// How good a choice is; lower is better.
type Score = (usize, u64, u16);

struct Party<'a> {
    map: &'a SeatMap,
    likings: &'a [Liking],
    /// How many of the places must be lower berths.
    lowers: usize,
}

impl Party<'_> {
    fn closest(&self, free: &Free, together: Together) -> Option<PartyPlaces> {
        let size = self.likings.len() as u16;
        self.best(self.map.spans().iter().flat_map(|span| self.side_by_side(span, free)))
            .or_else(|| self.best(self.windows(free, |_| 1)))
            .or_else(|| self.best(self.windows(free, |span| size.div_ceil(span.width()).max(2))))
            .or_else(|| self.best(self.windows(free, |span| size.div_ceil(span.width()) + 1)))
            .or_else(|| self.best(self.windows(free, |span| span.places)))
            .or_else(|| match together {
                Together::Preferred => self.best(std::iter::once(&free.places[..])),
                Together::SameCarriage => None,
            })
    }

    /// Runs of free neighbours without an aisle between them.
    fn side_by_side<'f>(&self, span: &'f Span, free: &'f Free) -> impl Iterator<Item = &'f [FreePlace]> {
        let size = self.likings.len();
        free.range(span.first, span.places).windows(size).filter(move |window| {
            let (first, last) = (window[0].number, window[size - 1].number);
            let row = |place: u16| (place - span.first) / span.width();
            usize::from(last - first) == size - 1 && row(first) == row(last) && span.block(first) == span.block(last)
        })
    }

    /// The free places of so many adjacent rows, for each place in each carriage where they may begin.
    fn windows<'f>(&self, free: &'f Free, rows: impl Fn(&Span) -> u16) -> impl Iterator<Item = &'f [FreePlace]> {
        let spans = self.map.spans().iter();
        spans.flat_map(move |span| {
            let width = span.width();
            let all_rows = span.places.div_ceil(width);
            let rows = rows(span).min(all_rows);
            (0..=all_rows - rows).map(move |row| {
                let first = row * width;
                free.range(span.first + first, (rows * width).min(span.places - first))
            })
        })
    }

    /// The best choice among several stretches of free places.
    fn best<'f>(&self, stretches: impl Iterator<Item = &'f [FreePlace]>) -> Option<PartyPlaces> {
        let choices = stretches.filter_map(|stretch| self.choose(stretch));
        choices.min_by_key(|(score, _)| *score).map(|(_, places)| places)
    }

    /// The tightest places of a stretch, handed out to the passengers.
    fn choose(&self, stretch: &[FreePlace]) -> Option<(Score, PartyPlaces)> {
        let size = self.likings.len();
        if stretch.len() < size {
            return None;
        }
        let mut chosen: SmallVec<[FreePlace; 8]> = stretch.iter().copied().collect();
        if chosen.len() > size {
            chosen.sort_unstable_by_key(|place| (place.looseness, place.number));
            // Due lower berths first; a stable sort keeps the tightest in front on either side.
            let mut wanted = self.lowers;
            chosen.sort_by_cached_key(|place| {
                let due = place.lower && wanted > 0;
                wanted -= usize::from(due);
                !due
            });
            chosen.truncate(size);
            chosen.sort_unstable_by_key(|place| place.number);
        }
        if chosen.iter().filter(|place| place.lower).count() < self.lowers {
            return None;
        }
        let looseness = chosen.iter().map(|place| u64::from(place.looseness)).sum();
        let first = chosen[0].number;
        let (missed, places) = self.hand_out(&chosen);
        Some(((missed, looseness, first), places))
    }

    /// Gives each passenger one of the chosen places: due lower berths first, then those who like something, then the rest.
    /// Answers how many likings are not met.
    fn hand_out(&self, chosen: &[FreePlace]) -> (usize, PartyPlaces) {
        let mut left: SmallVec<[FreePlace; 8]> = chosen.iter().copied().collect();
        let mut places: PartyPlaces = SmallVec::from_elem(0, chosen.len());
        let rank = |liking: &Liking| match (liking.lower, liking.preference) {
            (true, _) => 0,
            (false, Preference::Letter(_) | Preference::Berth(_)) => 1,
            (false, Preference::Window | Preference::Aisle) => 2,
            (false, Preference::None) => 3,
        };
        let mut order: SmallVec<[usize; 8]> = (0..chosen.len()).collect();
        order.sort_by_key(|&passenger| rank(&self.likings[passenger]));
        let mut missed = 0;
        for passenger in order {
            let liking = self.likings[passenger];
            let liked = left.iter().position(|place| match liking.lower {
                true => place.lower,
                false => liking.is_met_by(&self.map.place(place.number)),
            });
            missed += usize::from(liked.is_none());
            places[passenger] = left.remove(liked.unwrap_or(0)).number;
        }
        (missed, places)
    }
}
