use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use domain::Time;

use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::seller::{SeatLedger, Seats, seller};

/// What one policy made of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Requests that got tickets, later cancelled or not.
    pub requests_served: u64,
    /// Requests whose tickets were given back.
    pub requests_cancelled: u64,
    /// Passengers on board at departure.
    pub passengers: u64,
    /// Seat-segments filled at departure.
    pub seat_segments: u64,
    /// Seat-kilometres filled at departure.
    pub seat_km: u64,
    /// Fares of the passengers on board, in fen. Fees for cancellations are left out.
    pub revenue_fen: u64,
    /// Requests refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// A policy that did what none may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{scenario}: exactness is broken: {detail}")]
pub struct BrokenExactness {
    /// The scenario.
    pub scenario: String,
    /// What was found.
    pub detail: String,
}

/// Sells a scenario by a rule. Every seat given is entered in a ledger apart from the seller, which finds any seat sold twice;
/// at the end the seller's own state is checked too.
pub(crate) fn run(scenario: &Scenario, rule: &Rule, seed: u64) -> Result<Figures, BrokenExactness> {
    let broken = |detail| BrokenExactness { scenario: scenario.name.clone(), detail };
    let mut ledger = SeatLedger::new(scenario);
    let mut seller = seller(scenario, rule, seed);
    let mut live: BTreeMap<usize, Seats> = BTreeMap::new();
    let mut cancellations: BinaryHeap<Reverse<(Time, usize)>> = BinaryHeap::new();
    let mut figures = Figures::default();
    let end = Time::from_millis(i64::MAX);
    for at in 0..=scenario.requests.len() {
        let request = scenario.requests.get(at);
        let now = request.map_or(end, |request| request.at);
        while let Some(&Reverse((time, nth))) = cancellations.peek()
            && time <= now
        {
            cancellations.pop();
            seller.give_back(nth, &scenario.requests[nth], time);
            live.remove(&nth).into_iter().flatten().for_each(|seat| ledger.give_back(seat));
            figures.requests_cancelled += 1;
        }
        let Some(request) = request else { break };
        match seller.sell(&ledger, at, request) {
            Ok(seats) => {
                seats.iter().try_for_each(|seat| ledger.take(*seat)).map_err(broken)?;
                figures.requests_served += 1;
                live.insert(at, seats);
                cancellations.extend(request.cancel_at.map(|time| Reverse((time, at))));
            }
            Err(code) => *figures.refused.entry(code).or_default() += 1,
        }
    }
    seller.check().map_err(broken)?;
    for nth in live.into_keys() {
        figures.board(scenario, nth);
    }
    if figures.seat_segments == ledger.filled() {
        Ok(figures)
    } else {
        Err(broken(format!("{} seat-segments sold, {} taken", figures.seat_segments, ledger.filled())))
    }
}

impl Figures {
    /// Counts a party that travels.
    fn board(&mut self, scenario: &Scenario, nth: usize) {
        let request = &scenario.requests[nth];
        let party = u64::from(request.party);
        self.passengers += party;
        self.seat_segments += party * u64::from(request.interval.segments());
        self.seat_km += party * u64::from(scenario.km(request.interval));
        let fare = scenario.fare(request.class, request.interval).as_fen();
        self.revenue_fen += party * fare.max(0) as u64;
    }

    /// Adds the figures of another train.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests_served += other.requests_served;
        self.requests_cancelled += other.requests_cancelled;
        self.passengers += other.passengers;
        self.seat_segments += other.seat_segments;
        self.seat_km += other.seat_km;
        self.revenue_fen += other.revenue_fen;
        for (code, count) in &other.refused {
            *self.refused.entry(code).or_default() += count;
        }
    }
}
