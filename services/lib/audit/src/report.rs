use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

/// The most violations a report lists; all of them are counted.
pub const VIOLATIONS_LISTED_MAX: usize = 1_000;

/// The invariants that are audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// No seat and segment has two live holders, no person two tickets; quotas, allotments and standing within bounds; a
    /// ticket has its seat.
    I1,
    /// Every fen is accounted for; the ledger sums to zero.
    I2,
    /// Whatever has a deadline ends in time, and not before.
    I3,
    /// Nobody is served before someone earlier who could have used the same; what is free has no waiting taker.
    I4,
    /// An id is accepted once.
    I5,
    /// The journal is contiguous, chained and makes sense.
    I7,
    /// A refund happens once; no more goes back than came.
    I8,
    /// Nothing is recorded that changed nothing.
    I10,
}

impl Invariant {
    /// Every audited invariant.
    pub const ALL: [Self; 8] = [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I7, Self::I8, Self::I10];

    /// What it says, in a few words.
    pub const fn says(self) -> &'static str {
        match self {
            Self::I1 => "no seat is held twice, no limit is passed, every ticket has its seat",
            Self::I2 => "every fen is accounted for, the ledger sums to zero",
            Self::I3 => "whatever has a deadline ends in time",
            Self::I4 => "nobody in line is passed over",
            Self::I5 => "an id is accepted once",
            Self::I7 => "the journal is contiguous and its hash chain unbroken",
            Self::I8 => "a refund happens once, no more goes back than came",
            Self::I10 => "what was refused left nothing behind",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// Where: a slot and version, a run, an order, a trade.
    #[serde(rename = "where")]
    pub place: String,
    /// What is wrong there, with the values that matter.
    pub what: String,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Slots that have batches.
    pub slots: u64,
    /// Batches of the journal.
    pub batches: u64,
    /// Records of batches.
    pub records: u64,
    /// Events of records.
    pub events: u64,
    /// Runs whose every event since they went on sale was followed.
    pub runs: u64,
    /// Runs that went on sale in a part of the journal that is purged: only the chain around them was checked.
    pub runs_not_followed: u64,
    /// Holds and offers that were made.
    pub holds: u64,
    /// Waitlist entries that joined a line.
    pub entries: u64,
    /// Offers to the line.
    pub offers: u64,
    /// Orders.
    pub orders: u64,
    /// Tickets of orders.
    pub tickets: u64,
    /// Issued tickets of runs that could not be followed: their seats were not checked.
    pub tickets_not_followed: u64,
    /// Trades of payment.
    pub trades: u64,
    /// Refunds of payment.
    pub refunds: u64,
    /// Postings of the ledger.
    pub postings: u64,
    /// Charges and refunds in the provider's books.
    pub provider_operations: u64,
}

impl Counts {
    /// Names and numbers, in the order in which they are shown.
    pub fn named(&self) -> [(&'static str, u64); 16] {
        [
            ("slots", self.slots),
            ("batches", self.batches),
            ("records", self.records),
            ("events", self.events),
            ("runs", self.runs),
            ("runs not followed", self.runs_not_followed),
            ("holds", self.holds),
            ("waitlist entries", self.entries),
            ("offers", self.offers),
            ("orders", self.orders),
            ("tickets", self.tickets),
            ("tickets not followed", self.tickets_not_followed),
            ("trades", self.trades),
            ("refunds", self.refunds),
            ("postings", self.postings),
            ("provider operations", self.provider_operations),
        ]
    }
}

/// What an audit found. Its `Display` is a table for people, [`Report::to_json`] is for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How much was looked at.
    pub counts: Counts,
    /// The first violations, at most [`VIOLATIONS_LISTED_MAX`].
    pub violations: Vec<Violation>,
    /// How many violations there are of each invariant, listed or not.
    pub totals: BTreeMap<Invariant, u64>,
}

impl Report {
    /// How many violations there are, listed or not.
    pub fn violations_total(&self) -> u64 {
        self.totals.values().sum()
    }

    /// How many violations there are of one invariant.
    pub fn violations_of(&self, invariant: Invariant) -> u64 {
        self.totals.get(&invariant).copied().unwrap_or(0)
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty()
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and texts are always JSON")
    }

    /// Notes a violation.
    pub(crate) fn found(&mut self, invariant: Invariant, place: impl fmt::Display, what: impl Into<String>) {
        *self.totals.entry(invariant).or_insert(0) += 1;
        if self.violations.len() < VIOLATIONS_LISTED_MAX {
            self.violations.push(Violation { invariant, place: place.to_string(), what: what.into() });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut checked = Table::new();
        checked.load_style(presets::NOTHING).set_header(["checked", ""]);
        for (name, count) in self.counts.named().into_iter().filter(|(_, count)| *count > 0) {
            checked.add_row([name.to_owned(), count.to_string()]);
        }
        writeln!(f, "{checked}\n")?;
        let mut invariants = Table::new();
        invariants.load_style(presets::NOTHING).set_header(["invariant", "violations", ""]);
        for invariant in Invariant::ALL {
            let count = self.violations_of(invariant).to_string();
            invariants.add_row([invariant.to_string(), count, invariant.says().to_owned()]);
        }
        writeln!(f, "{invariants}")?;
        if !self.violations.is_empty() {
            let mut violations = Table::new();
            violations.load_style(presets::NOTHING).set_header(["violated", "where", "what"]);
            for violation in &self.violations {
                violations.add_row([&violation.invariant.to_string(), &violation.place, &violation.what]);
            }
            writeln!(f, "\n{violations}")?;
        }
        let total = self.violations_total();
        if total > self.violations.len() as u64 {
            writeln!(f, "and {} more", total - self.violations.len() as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let mut report = Report::default();
        for number in 0..VIOLATIONS_LISTED_MAX + 5 {
            report.found(Invariant::I2, number, "a fen too few");
        }
        assert_eq!(report.violations.len(), VIOLATIONS_LISTED_MAX);
        assert_eq!(report.violations_total(), 1_005);
        assert!(report.to_string().contains("and 5 more"));
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["totals"]["I2"], 1_005);
        assert_eq!(json["violations"][0]["where"], "0");
    }
}
