use crate::Invalid;

/// The position of a stop along a train, from 0 at the origin.
pub type StopIndex = u8;

/// The most stops a train may have.
pub const STOPS_MAX: usize = 128;

/// From one stop to a later one of the same train: the segments `[from, to)`. Never empty, never reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    from: StopIndex,
    to: StopIndex,
}

impl Interval {
    /// The interval from one stop to a later one.
    ///
    /// # Errors
    /// Equal or reversed stops, or a stop past [`STOPS_MAX`].
    pub fn new(from: StopIndex, to: StopIndex) -> Result<Self, Invalid> {
        if from < to && usize::from(to) < STOPS_MAX {
            Ok(Self { from, to })
        } else {
            Err(Invalid::new("interval", "an alighting stop after the boarding stop", &format!("{from}..{to}")))
        }
    }

    /// The boarding stop.
    pub const fn from(self) -> StopIndex {
        self.from
    }

    /// The alighting stop.
    pub const fn to(self) -> StopIndex {
        self.to
    }

    /// How many segments it crosses: at least 1.
    pub const fn segments(self) -> u8 {
        self.to - self.from
    }

    /// Whether two intervals share a segment. Touching at a stop is not overlapping.
    pub const fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Whether every segment of `other` is one of this interval's.
    pub const fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// The intervals of a train with so many stops, ordered by boarding and then alighting stop.
    pub fn all(stops: usize) -> impl Iterator<Item = Self> {
        let stops = stops.min(STOPS_MAX) as StopIndex;
        (0..stops).flat_map(move |from| (from + 1..stops).map(move |to| Self { from, to }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_match_the_published_ones() {
        assert_eq!(Interval::all(17).count(), 136);
        assert_eq!(Interval::all(18).count(), 153);
        assert_eq!(Interval::all(35).count(), 595);
    }

    #[test]
    fn equal_and_reversed_stops_are_refused() {
        assert!(Interval::new(3, 3).is_err());
        assert!(Interval::new(4, 3).is_err());
        assert!(Interval::new(0, 128).is_err());
    }

    #[test]
    fn touching_is_not_overlapping() {
        let ab = Interval::new(0, 1).unwrap();
        let bc = Interval::new(1, 2).unwrap();
        let ac = Interval::new(0, 2).unwrap();
        assert!(!ab.overlaps(bc));
        assert!(ac.overlaps(bc) && ac.contains(ab));
    }
}
