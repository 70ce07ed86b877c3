use std::collections::BTreeMap;

use domain::{Interval, SeatClass};

use super::Seat;
use crate::scenario::Scenario;

/// Who sits where, kept apart from every seller as a plain matrix of seats and segments: what no policy may ever contradict.
#[derive(Debug)]
pub(crate) struct SeatLedger {
    /// One bit per segment of each place.
    busy: BTreeMap<SeatClass, Vec<u128>>,
}

impl SeatLedger {
    pub fn new(scenario: &Scenario) -> Self {
        let places = |class: &SeatClass| vec![0; scenario.places(*class) as usize];
        Self { busy: scenario.classes.keys().map(|class| (*class, places(class))).collect() }
    }

    /// Takes a seat.
    ///
    /// # Errors
    /// The seat does not exist or is not free: it would be sold twice.
    pub fn take(&mut self, seat: Seat) -> Result<(), String> {
        let places = self.busy.get_mut(&seat.class);
        match places.and_then(|places| places.get_mut(usize::from(seat.place))) {
            Some(busy) if *busy & mask(seat.interval) == 0 => {
                *busy |= mask(seat.interval);
                Ok(())
            }
            Some(_) => Err(format!("{seat:?} is sold twice")),
            None => Err(format!("{seat:?} does not exist")),
        }
    }

    /// Frees a seat that was taken.
    pub fn give_back(&mut self, seat: Seat) {
        if let Some(busy) = self.busy.get_mut(&seat.class).and_then(|places| places.get_mut(usize::from(seat.place))) {
            *busy &= !mask(seat.interval);
        }
    }

    /// The places of a class that are free over an interval.
    pub fn free(&self, class: SeatClass, interval: Interval) -> impl Iterator<Item = u16> + '_ {
        let places = self.busy.get(&class).into_iter().flatten().enumerate();
        places.filter(move |(_, busy)| **busy & mask(interval) == 0).map(|(place, _)| place as u16)
    }

    /// How many segments of places are taken, over all classes.
    pub fn filled(&self) -> u64 {
        self.busy.values().flatten().map(|busy| u64::from(busy.count_ones())).sum()
    }
}

fn mask(interval: Interval) -> u128 {
    // Stops are numbered below 128, so both shifts are.
    (1u128 << interval.to()) - (1u128 << interval.from())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Reference;

    #[test]
    fn a_seat_sold_a_b_and_c_d_can_be_sold_b_c_but_not_b_d() {
        let scenario = Reference::ALL[0].scenario(0.01, 1);
        let mut ledger = SeatLedger::new(&scenario);
        let seat =
            |place, from, to| Seat { class: SeatClass::Second, place, interval: Interval::new(from, to).unwrap() };
        assert_eq!(ledger.take(seat(7, 0, 1)), Ok(()));
        assert_eq!(ledger.take(seat(7, 2, 3)), Ok(()));
        assert!(ledger.take(seat(7, 1, 3)).is_err());
        assert!(ledger.free(SeatClass::Second, Interval::new(1, 2).unwrap()).any(|place| place == 7));
        assert_eq!(ledger.take(seat(7, 1, 2)), Ok(()));
        assert_eq!(ledger.filled(), 3);
        ledger.give_back(seat(7, 1, 2));
        assert_eq!(ledger.filled(), 2);
        assert!(ledger.take(seat(1_000, 0, 1)).is_err());
    }
}
