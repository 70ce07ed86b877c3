use domain::Time;
use rand::SeedableRng;
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;

use super::{Seat, SeatLedger, Seats, Seller};
use crate::scenario::Request;

/// Gives any free seats, by lot.
pub(super) struct RandomSeats {
    random: ChaCha8Rng,
}

impl RandomSeats {
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed) }
    }
}

impl Seller for RandomSeats {
    fn sell(&mut self, ledger: &SeatLedger, _nth: usize, request: &Request) -> Result<Seats, &'static str> {
        let Request { class, interval, party, .. } = *request;
        let drawn = ledger.free(class, interval).choose_multiple(&mut self.random, usize::from(party));
        if drawn.len() < usize::from(party) {
            return Err("SOLD_OUT");
        }
        Ok(drawn.into_iter().map(|place| Seat { class, place, interval }).collect())
    }

    fn give_back(&mut self, _nth: usize, _request: &Request, _at: Time) {
        // The ledger is all it knows.
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
