//! Which places of one class are free where: the index under every decision about seats.
//!
//! [`SeatIndex`] is the one interface, so that layouts can be measured side by side; [`Seats`] is the layout in use.

mod change;
mod choose;
mod gaps;
mod mask;
mod party;

use domain::{Interval, StopIndex};

pub use gaps::Gaps;
pub use mask::Mask;

pub(crate) use change::{Leg, fewest_changes};
pub(crate) use choose::{Liking, single};
pub(crate) use party::{NoRoom, choose_party};

/// The free and busy segments of the places of one class.
pub trait SeatIndex {
    /// So many places, all free, on a train with so many segments.
    fn new(segments: u8, places: u16) -> Self;

    /// Adds free places after the others.
    fn add_places(&mut self, places: u16);

    /// How many places are free over the whole interval.
    fn free_count(&self, interval: Interval) -> u16;

    /// How many places are free over each interval, in the order of [`Interval::all`].
    fn counts_all(&self, counts: &mut [u16]);

    /// The place whose free gap fits the interval most tightly; of several the first.
    fn best_fit(&self, interval: Interval) -> Option<u16>;

    /// Whether a place is free over the whole interval.
    fn is_free(&self, place: u16, interval: Interval) -> bool;

    /// Takes a place that is free over the interval.
    fn occupy(&mut self, place: u16, interval: Interval);

    /// Gives back a place that is busy over the whole interval.
    fn release(&mut self, place: u16, interval: Interval);
}

/// A stretch of stops `[from, to)` over which a place is free, with a busy segment or the train's end on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gap {
    /// Its first stop.
    pub from: StopIndex,
    /// Its last stop.
    pub to: StopIndex,
}

impl Gap {
    /// How badly an interval fits into this gap: first the segments left over, then the pieces they fall into, then the
    /// segments left in front. Lower is tighter.
    pub(crate) fn looseness(self, interval: Interval) -> u32 {
        let before = u32::from(interval.from() - self.from);
        let after = u32::from(self.to - interval.to());
        let pieces = u32::from(before > 0) + u32::from(after > 0);
        (before + after) << 16 | pieces << 8 | before
    }
}

/// The index in use: gaps over the narrowest mask that holds the train's segments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seats {
    /// Up to 16 segments.
    Upto16(Gaps<u16>),
    /// Up to 32 segments.
    Upto32(Gaps<u32>),
    /// Up to 64 segments.
    Upto64(Gaps<u64>),
    /// Up to 128 segments.
    Upto128(Gaps<u128>),
}

/// Runs the same expression on whichever width is there.
macro_rules! each_width {
    ($seats:expr, $gaps:ident => $run:expr) => {
        match $seats {
            Seats::Upto16($gaps) => $run,
            Seats::Upto32($gaps) => $run,
            Seats::Upto64($gaps) => $run,
            Seats::Upto128($gaps) => $run,
        }
    };
}

impl Seats {
    /// The gap of a place around an interval over which it is free.
    pub fn gap_around(&self, place: u16, interval: Interval) -> Gap {
        each_width!(self, gaps => gaps.gap_around(place, interval))
    }

    /// Whether any place is free over the interval.
    pub fn has_free(&self, interval: Interval) -> bool {
        each_width!(self, gaps => gaps.has_free(interval))
    }

    /// One bit per place, set where it is free over the interval.
    pub fn free_places(&self, interval: Interval) -> Vec<u64> {
        each_width!(self, gaps => gaps.free_places(interval))
    }

    /// The tightest place that passes a test.
    pub fn best_fit_where(&self, interval: Interval, accept: impl FnMut(u16) -> bool) -> Option<u16> {
        each_width!(self, gaps => gaps.best_fit_where(interval, accept))
    }

    /// The gap over segment `from` that reaches furthest, of several the one that begins last.
    pub fn furthest_from(&self, from: StopIndex) -> Option<Gap> {
        each_width!(self, gaps => gaps.furthest_from(from))
    }

    /// The first place that has exactly this gap.
    pub fn place_with(&self, gap: Gap) -> Option<u16> {
        each_width!(self, gaps => gaps.place_with(gap))
    }

    /// How many bytes it owns.
    pub fn heap_bytes(&self) -> usize {
        each_width!(self, gaps => gaps.heap_bytes())
    }

    /// Recomputes the index from the busy masks and compares.
    pub fn is_consistent(&self) -> bool {
        each_width!(self, gaps => gaps.is_consistent())
    }
}

impl SeatIndex for Seats {
    fn new(segments: u8, places: u16) -> Self {
        match segments {
            0..=16 => Self::Upto16(Gaps::new(segments, places)),
            17..=32 => Self::Upto32(Gaps::new(segments, places)),
            33..=64 => Self::Upto64(Gaps::new(segments, places)),
            _ => Self::Upto128(Gaps::new(segments, places)),
        }
    }

    fn add_places(&mut self, places: u16) {
        each_width!(self, gaps => gaps.add_places(places));
    }

    fn free_count(&self, interval: Interval) -> u16 {
        each_width!(self, gaps => gaps.free_count(interval))
    }

    fn counts_all(&self, counts: &mut [u16]) {
        each_width!(self, gaps => gaps.counts_all(counts));
    }

    fn best_fit(&self, interval: Interval) -> Option<u16> {
        each_width!(self, gaps => gaps.best_fit(interval))
    }

    fn is_free(&self, place: u16, interval: Interval) -> bool {
        each_width!(self, gaps => gaps.is_free(place, interval))
    }

    fn occupy(&mut self, place: u16, interval: Interval) {
        each_width!(self, gaps => gaps.occupy(place, interval));
    }

    fn release(&mut self, place: u16, interval: Interval) {
        each_width!(self, gaps => gaps.release(place, interval));
    }
}
