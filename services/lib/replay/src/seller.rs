//! Who sells: one trait over the kernel and over the baseline, so that both face the very same passengers.

mod kernel;
mod ledger;
mod random;

use domain::{Interval, SeatClass, Time};
use smallvec::SmallVec;

use crate::rules::Rule;
use crate::scenario::{Request, Scenario};

pub(crate) use ledger::SeatLedger;

/// One passenger's seat over one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub class: SeatClass,
    pub place: u16,
    pub interval: Interval,
}

pub(crate) type Seats = SmallVec<[Seat; 1]>;

/// Sells one train-date.
pub(crate) trait Seller {
    /// Sells to a party, or says with which code it is refused. `nth` names the request.
    fn sell(&mut self, ledger: &SeatLedger, nth: usize, request: &Request) -> Result<Seats, &'static str>;

    /// A party gives all its tickets back.
    fn give_back(&mut self, nth: usize, request: &Request, at: Time);

    /// Looks at its own state for contradictions.
    fn check(&self) -> Result<(), String>;
}

/// The seller of a rule.
pub(crate) fn seller<'a>(scenario: &'a Scenario, rule: &'a Rule, seed: u64) -> Box<dyn Seller + 'a> {
    match rule {
        Rule::RandomSeat => Box::new(random::RandomSeats::new(seed)),
        _ => Box::new(kernel::Kernel::new(scenario, rule)),
    }
}
