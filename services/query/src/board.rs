use domain::{Interval, SeatClass, Time};
use smallvec::SmallVec;

/// What can be bought of one run: how many parties of one could hold a place, for every class and interval.
///
/// A national presale period has some 80,000 of them, so the counts of all classes share one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Orders the boards of one run.
    pub stamp: Stamp,
    /// The database's time it shows.
    pub as_of: Time,
    /// Whether the run is on sale for at least one boarding stop.
    pub on_sale: bool,
    /// Whether the line takes entries.
    pub line_open: bool,
    stops: u8,
    columns: SmallVec<[Column; 6]>,
    /// The columns one after another: seats of every interval, then standing places where the class sells any.
    counts: Box<[u16]>,
}

/// What orders the boards of one run: a new owner of its slot has a higher epoch, a new batch a higher version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The owner's epoch.
    pub epoch: u64,
    /// The slot's journal version.
    pub version: u64,
}

/// The places that one passenger could have over one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Seats or berths.
    pub seats: u16,
    /// Standing tickets once no seat is left.
    pub standing: u16,
}

/// The counts of one class, as a board is built from them.
#[derive(Clone, Debug)]
pub struct ClassCounts<'a> {
    /// The class.
    pub class: SeatClass,
    /// One per interval, in the order of [`Interval::all`].
    pub seats: &'a [u32],
    /// The same for standing places; empty where none are sold.
    pub standing: &'a [u32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    class: SeatClass,
    has_standing: bool,
}

/// A board whose numbers do not fit its train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a board of {stops} stops has {counts} counts for class {class}")]
pub struct Misshapen {
    /// The stops it says it has.
    pub stops: u8,
    /// The class.
    pub class: SeatClass,
    /// How many counts came.
    pub counts: usize,
}

impl Board {
    /// A board without counts: a run that was never put on sale.
    pub fn empty(stamp: Stamp, as_of: Time, stops: u8) -> Self {
        Self { stamp, as_of, on_sale: false, line_open: false, stops, columns: SmallVec::new(), counts: Box::default() }
    }

    /// The board with these counts. Counts past 65,535 are kept as that: no class of a train has so many places.
    ///
    /// # Errors
    /// A class whose number of counts is not the number of the train's intervals.
    pub fn with_counts(mut self, classes: &[ClassCounts<'_>]) -> Result<Self, Misshapen> {
        let intervals = self.intervals();
        let mut counts = Vec::with_capacity(classes.len() * intervals);
        for class in classes {
            let fits = |column: &[u32]| column.len() == intervals;
            if !fits(class.seats) || !(class.standing.is_empty() || fits(class.standing)) {
                let counts = if fits(class.seats) { class.standing.len() } else { class.seats.len() };
                return Err(Misshapen { stops: self.stops, class: class.class, counts });
            }
            self.columns.push(Column { class: class.class, has_standing: !class.standing.is_empty() });
            counts.extend(class.seats.iter().chain(class.standing).map(|n| u16::try_from(*n).unwrap_or(u16::MAX)));
        }
        self.counts = counts.into_boxed_slice();
        Ok(self)
    }

    /// What could be held over an interval; none for a class that is not sold, or an interval the train does not have.
    pub fn places(&self, class: SeatClass, interval: Interval) -> Option<Places> {
        let at = self.index(interval)?;
        let intervals = self.intervals();
        let mut start = 0;
        for column in &self.columns {
            let width = intervals * (1 + usize::from(column.has_standing));
            if column.class == class {
                let standing = if column.has_standing { self.counts[start + intervals + at] } else { 0 };
                return Some(Places { seats: self.counts[start + at], standing });
            }
            start += width;
        }
        None
    }

    fn intervals(&self) -> usize {
        let stops = usize::from(self.stops);
        stops * stops.saturating_sub(1) / 2
    }

    /// The position of an interval in the order of [`Interval::all`]: those that board earlier come first.
    fn index(&self, interval: Interval) -> Option<usize> {
        let (stops, from, to) = (usize::from(self.stops), usize::from(interval.from()), usize::from(interval.to()));
        (to < stops).then(|| from * (2 * stops - from - 1) / 2 + (to - from - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(stops: u8) -> Board {
        Board::empty(Stamp { epoch: 1, version: 1 }, Time::from_millis(0), stops)
    }

    #[test]
    fn every_interval_finds_its_count() {
        // Counts are the interval's position in the published order, so that a wrong index shows.
        for stops in [2u8, 3, 18, 35, 100] {
            let seats: Vec<u32> = (0..).take(Interval::all(usize::from(stops)).count()).collect();
            let standing: Vec<u32> = seats.iter().map(|n| n + 10_000).collect();
            let board = empty(stops)
                .with_counts(&[
                    ClassCounts { class: SeatClass::First, seats: &seats, standing: &[] },
                    ClassCounts { class: SeatClass::Second, seats: &seats, standing: &standing },
                ])
                .unwrap();
            for (position, interval) in Interval::all(usize::from(stops)).enumerate() {
                let position = position as u16;
                let first = board.places(SeatClass::First, interval);
                assert_eq!(first, Some(Places { seats: position, standing: 0 }), "{interval:?} of {stops}");
                let second = board.places(SeatClass::Second, interval);
                assert_eq!(second, Some(Places { seats: position, standing: position + 10_000 }));
            }
            assert_eq!(board.places(SeatClass::Second, Interval::new(0, stops).unwrap()), None);
            assert_eq!(board.places(SeatClass::Business, Interval::new(0, 1).unwrap()), None);
        }
    }

    #[test]
    fn counts_that_do_not_fit_the_train_are_refused() {
        let class = ClassCounts { class: SeatClass::Second, seats: &[1, 2], standing: &[] };
        assert_eq!(
            empty(3).with_counts(&[class]).unwrap_err(),
            Misshapen { stops: 3, class: SeatClass::Second, counts: 2 }
        );
    }
}
