//! The railway's numbers as one typed, validated, versioned policy file.
//!
//! [`Policy::default`] is the published rules; `default.toml` says the same, key by key, with its meaning and bounds. A file
//! may leave out what it does not change. Times to departure and waits carry their unit in the name.

mod check;
mod hours;
mod sections;

use serde::Deserialize;

pub use check::BadPolicy;
pub use hours::{RailwayClock, Selling};
pub use sections::{
    ChangePolicy, DatePeriod, FarePolicy, HoldPolicy, OrderPolicy, RefundPolicy, RefundTier, SalePolicy, SeatsFreeWhen,
    WaitlistPolicy,
};

/// The default policy file with every key explained.
pub const DEFAULT_FILE: &str = include_str!("../default.toml");

/// Every number of the railway's rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Counts up with every published change; recorded on each order.
    pub version: u32,
    /// When tickets are sold.
    pub sale: SalePolicy,
    /// What an order and an account may have.
    pub order: OrderPolicy,
    /// How long seats wait.
    pub hold: HoldPolicy,
    /// Reduced fares.
    pub fare: FarePolicy,
    /// Fees for tickets given back.
    pub refund: RefundPolicy,
    /// Fees for tickets exchanged.
    pub change: ChangePolicy,
    /// The line of those who wait.
    pub waitlist: WaitlistPolicy,
}

impl Policy {
    /// Reads a policy file and checks it.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a value outside what is allowed, with the key's full name.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        let policy: Self = toml::from_str(text).map_err(|error| BadPolicy::File(error.to_string()))?;
        policy.validate()?;
        Ok(policy)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: 1,
            sale: SalePolicy::default(),
            order: OrderPolicy::default(),
            hold: HoldPolicy::default(),
            fare: FarePolicy::default(),
            refund: RefundPolicy::default(),
            change: ChangePolicy::default(),
            waitlist: WaitlistPolicy::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_what_the_code_does() {
        assert_eq!(Policy::parse(DEFAULT_FILE).unwrap(), Policy::default());
    }

    #[test]
    fn every_key_of_the_default_file_is_explained() {
        let mut explained = false;
        for line in DEFAULT_FILE.lines() {
            let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.contains([' ', '#', '{']));
            // One comment may explain a month and its day.
            if let Some(key) = key {
                assert!(explained || key == "student_year_day", "{key} has no comment");
            }
            explained = line.starts_with('#');
        }
    }

    #[test]
    fn an_empty_file_is_the_published_rules() {
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        let error = Policy::parse("[refund]\nfee_minimum_fen = 300\n").unwrap_err().to_string();
        assert!(error.contains("fee_minimum_fen") && error.contains("fee_min_fen"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_by_its_full_name() {
        for (text, field) in [
            ("version = 0", "version"),
            ("[order]\npassengers_max = 0", "order.passengers_max"),
            ("[order]\nlegs_max = 3", "order.legs_max"),
            ("[hold]\nhard_limit_seconds = 900", "hold.hard_limit_seconds"),
            ("[hold]\nopen_by_ms = 10", "hold.open_by_ms"),
            ("[fare]\nchild_percent = 101", "fare.child_percent"),
            ("[fare]\nstudent_year_day = 31", "fare.student_year_day"),
            ("[refund]\ntiers = []", "refund.tiers"),
            ("[refund]\ntiers = [{ minutes_before = 60, percent = 5 }]", "refund.tiers"),
            (
                "[refund]\ntiers = [{ minutes_before = 0, percent = 5 }, { minutes_before = 60, percent = 0 }]",
                "refund.tiers",
            ),
            ("[change]\nlate_minutes_before = 2880", "change.late_minutes_before"),
            ("[waitlist]\ndeadline_max_minutes = 20", "waitlist.deadline_max_minutes"),
            ("[[order.rush_periods]]\nfirst = '2026-03-01'\nlast = '2026-02-01'", "order.rush_periods"),
            ("[sale]\nclose_minute = 2000", "sale.close_minute"),
        ] {
            match Policy::parse(text) {
                Err(BadPolicy::Value { field: found, .. }) => assert_eq!(found, field, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_rush_period_includes_both_its_days() {
        let policy = Policy::default();
        let in_rush = |text: &str| policy.order.in_rush(text.parse().unwrap());
        assert!(!in_rush("2027-01-21") && in_rush("2027-01-22") && in_rush("2027-03-02") && !in_rush("2027-03-03"));
    }
}
