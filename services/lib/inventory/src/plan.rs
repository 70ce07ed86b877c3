use domain::{STOPS_MAX, SeatClass, StopIndex, Time};

use crate::policy::QuotaPolicy;
use crate::seat_map::{Layout, LayoutError};

/// What is put on sale for one train-date, and on which terms. Decisions rest on nothing else: no timetable is read later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The stops in order, the origin first.
    pub stops: Vec<PlanStop>,
    /// The carriages in order. Places are numbered from 0 through all carriages of one class in this order.
    pub carriages: Vec<Carriage>,
    /// When sale opens and ends, how long holds live, how large parties and the line may be.
    pub terms: SaleTerms,
    /// Standing places by class; a class that is absent sells none.
    pub standing: Vec<StandingAllowance>,
    /// The quotas in force from the start.
    pub quotas: QuotaPolicy,
    /// The version of the policy file these numbers came from.
    pub policy_version: u32,
}

/// One stop of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanStop {
    /// Arrival; none at the origin.
    pub arrival: Option<Time>,
    /// Departure; none at the terminus.
    pub departure: Option<Time>,
    /// When sale opens for passengers who board here.
    pub sale_opens: Time,
    /// Distance from the origin in km.
    pub km: u32,
}

/// One carriage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// The number painted on it.
    pub number: u16,
    /// The class of all its places.
    pub class: SeatClass,
    /// How a row or bay is laid out: `ABC|DF` (letters, the bar is the aisle) or `LMU` (berths of one side of a bay).
    pub layout: String,
    /// How many places it has; the last row may be short.
    pub places: u16,
}

/// When a run is sold and how long its holds live. Spans are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleTerms {
    /// How long before the departure from a boarding stop its sale ends.
    pub cutoff_before_departure_ms: u32,
    /// How long a hold waits for an order to claim it.
    pub open_by_ms: u32,
    /// How long an open hold waits for payment.
    pub payment_ms: u32,
    /// When an open hold frees its seats whatever else failed, counted from its opening; at least `payment_ms`.
    pub hard_limit_ms: u32,
    /// How long an offer to the line stands.
    pub offer_ms: u32,
    /// The most passengers of one hold or waitlist entry.
    pub party_max: u8,
    /// The most entries that may wait in the line of one run.
    pub line_max: u32,
}

impl Default for SaleTerms {
    /// The railway's published numbers (RULES: Sale; PROTOCOL: Time).
    fn default() -> Self {
        Self {
            cutoff_before_departure_ms: 5 * 60_000,
            open_by_ms: 10_000,
            payment_ms: 15 * 60_000,
            hard_limit_ms: 20 * 60_000,
            offer_ms: 10_000,
            party_max: 5,
            line_max: 20_000,
        }
    }
}

/// Standing places of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingAllowance {
    /// The class.
    pub class: SeatClass,
    /// Places on each segment.
    pub places: u16,
}

/// The most passengers a hold may ever have, whatever the terms say: passengers are numbered in one byte of a part.
pub const PARTY_MAX: u8 = 64;

/// The most places of one class of one train.
pub const PLACES_MAX: usize = 8_192;

impl Plan {
    /// Checks everything later decisions rely on.
    ///
    /// # Errors
    /// The first thing that is wrong, with where it stands.
    pub fn validate(&self) -> Result<(), PlanError> {
        validate_stops(&self.stops)?;
        if self.carriages.is_empty() {
            return Err(PlanError::NoCarriages);
        }
        validate_carriages(&[], &self.carriages)?;
        validate_terms(&self.terms)?;
        for (i, allowance) in self.standing.iter().enumerate() {
            let sold = self.carriages.iter().any(|carriage| carriage.class == allowance.class);
            if !sold || self.standing[..i].iter().any(|other| other.class == allowance.class) {
                return Err(PlanError::Standing { class: allowance.class });
            }
        }
        self.quotas.validate(self.stops.len()).map_err(PlanError::Quotas)
    }
}

/// Checks carriages, which come after `earlier` ones of the same train. One number may stand once for each class: many end
/// cars are part business, part first class.
pub(crate) fn validate_carriages(earlier: &[Carriage], carriages: &[Carriage]) -> Result<(), PlanError> {
    for (i, carriage) in carriages.iter().enumerate() {
        let number = carriage.number;
        let same = |other: &Carriage| (other.number, other.class) == (number, carriage.class);
        if earlier.iter().chain(&carriages[..i]).any(same) {
            return Err(PlanError::CarriageTwice { number });
        }
        if carriage.places == 0 {
            return Err(PlanError::EmptyCarriage { number });
        }
        Layout::parse(&carriage.layout, carriage.class).map_err(|error| PlanError::Layout { number, error })?;
    }
    for class in SeatClass::ALL {
        let all = earlier.iter().chain(carriages).filter(|carriage| carriage.class == class);
        let places: usize = all.map(|carriage| usize::from(carriage.places)).sum();
        if places > PLACES_MAX {
            return Err(PlanError::TooManyPlaces { class, places });
        }
    }
    Ok(())
}

fn validate_stops(stops: &[PlanStop]) -> Result<(), PlanError> {
    if !(2..=STOPS_MAX).contains(&stops.len()) {
        return Err(PlanError::StopCount { stops: stops.len() });
    }
    let last = stops.len() - 1;
    for (i, stop) in stops.iter().enumerate() {
        let at = i as StopIndex;
        // The origin has no arrival that matters and the terminus no departure; every other stop has both, in order.
        if (i < last && stop.departure.is_none()) || (i > 0 && stop.arrival.is_none()) {
            return Err(PlanError::StopTimes { stop: at });
        }
        if i > 0 && i < last && stop.arrival > stop.departure {
            return Err(PlanError::StopTimes { stop: at });
        }
        if i > 0 && (stops[i - 1].departure > stop.arrival || stops[i - 1].km > stop.km) {
            return Err(PlanError::StopOrder { stop: at });
        }
    }
    Ok(())
}

fn validate_terms(terms: &SaleTerms) -> Result<(), PlanError> {
    if !(1..=PARTY_MAX).contains(&terms.party_max) {
        return Err(PlanError::PartyMax { party_max: terms.party_max });
    }
    if terms.hard_limit_ms < terms.payment_ms {
        return Err(PlanError::HardLimit { payment_ms: terms.payment_ms, hard_limit_ms: terms.hard_limit_ms });
    }
    Ok(())
}

/// What is wrong with a plan or with an addition to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Fewer than 2 or more than [`STOPS_MAX`] stops.
    #[error("a train has 2 to {STOPS_MAX} stops, not {stops}")]
    StopCount {
        /// How many there are.
        stops: usize,
    },
    /// A stop without a time it needs, or that departs before it arrives.
    #[error("stop {stop} lacks a time or departs before it arrives")]
    StopTimes {
        /// Its position.
        stop: StopIndex,
    },
    /// A stop that lies before the one before it, in time or distance.
    #[error("stop {stop} lies before the stop before it, in time or in distance")]
    StopOrder {
        /// Its position.
        stop: StopIndex,
    },
    /// Nothing to sell.
    #[error("a train needs at least one carriage")]
    NoCarriages,
    /// Two carriages of a class with one number.
    #[error("carriage number {number} stands twice in one class")]
    CarriageTwice {
        /// The number.
        number: u16,
    },
    /// A carriage without places.
    #[error("carriage {number} has no places")]
    EmptyCarriage {
        /// The number.
        number: u16,
    },
    /// A carriage whose layout cannot be read.
    #[error("carriage {number}: {error}")]
    Layout {
        /// The number.
        number: u16,
        /// What is wrong with it.
        error: LayoutError,
    },
    /// A class with more places than are allowed.
    #[error("{places} places of class {class}, at most {PLACES_MAX} are allowed")]
    TooManyPlaces {
        /// The class.
        class: SeatClass,
        /// How many there are.
        places: usize,
    },
    /// Parties of nobody or of too many.
    #[error("party_max is 1 to {PARTY_MAX}, not {party_max}")]
    PartyMax {
        /// What came.
        party_max: u8,
    },
    /// Seats that would be freed while they may still be paid.
    #[error("hard_limit_ms {hard_limit_ms} lies before payment_ms {payment_ms}")]
    HardLimit {
        /// How long an open hold waits for payment.
        payment_ms: u32,
        /// When its seats are freed.
        hard_limit_ms: u32,
    },
    /// A standing allowance for a class that is not sold, or two for one class.
    #[error("the standing allowance of class {class} stands twice or its class is not sold")]
    Standing {
        /// The class.
        class: SeatClass,
    },
    /// Quotas that cannot be used on this train.
    #[error("quotas: {0}")]
    Quotas(crate::policy::QuotaError),
}
