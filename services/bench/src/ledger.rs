//! The bench's own bookkeeping: no design may sell a seat twice, whatever its speed.

use parking_lot::Mutex;

use crate::workload::{TRAINS, places};

/// Which segments of which places are held, by the answers that clients were given.
pub(crate) struct Ledger {
    trains: Vec<Mutex<Vec<u32>>>,
}

impl Ledger {
    pub fn new() -> Self {
        Self { trains: (0..TRAINS).map(|train| Mutex::new(vec![0; places(train) as usize])).collect() }
    }

    /// Notes a place that was held.
    ///
    /// # Panics
    /// When somebody else has it, or there is no such place: then no figure of this run means anything.
    pub fn take(&self, train: u32, place: u32, segments: u32) {
        let mut held = self.trains[train as usize].lock();
        let known = held.get_mut(place as usize);
        let taken = known.expect("the design held a place that the train does not have");
        assert_eq!(*taken & segments, 0, "train {train}: place {place} was sold twice");
        *taken |= segments;
    }

    /// Notes that a place is about to be given back.
    pub fn give_back(&self, train: u32, place: u32, segments: u32) {
        self.trains[train as usize].lock()[place as usize] &= !segments;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_holder_per_segment() {
        let ledger = Ledger::new();
        ledger.take(0, 7, 0b011);
        ledger.take(0, 7, 0b100);
        ledger.give_back(0, 7, 0b011);
        ledger.take(0, 7, 0b010);
    }

    #[test]
    #[should_panic(expected = "place 7 was sold twice")]
    fn two_holders_are_noticed() {
        let ledger = Ledger::new();
        ledger.take(0, 7, 0b011);
        ledger.take(0, 7, 0b110);
    }
}
