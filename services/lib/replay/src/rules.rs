//! The policies that are compared, as data.

mod kept;
mod protection;

use serde::Deserialize;

pub(crate) use kept::kept_sections;
pub(crate) use protection::{Outlook, bid_prices};

/// The policies compared when no file names others, with every key explained.
pub const DEFAULT_POLICIES: &str = include_str!("../policies.toml");

/// A list of policies to compare.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// The policies, in the order in which they are shown.
    #[serde(rename = "policy")]
    pub policies: Vec<AllocationPolicy>,
}

/// One way to sell a train.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AllocationPolicy {
    /// What it is called in tables and plots.
    pub name: String,
    /// What it does.
    #[serde(flatten)]
    pub rule: Rule,
}

/// What a policy does with a request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Any seat that is free over the interval, by lot: what a system without an idea does, and the line to be above.
    RandomSeat,
    /// First come, first served, on the seat whose free gap fits most tightly.
    BestFit {
        /// Whether passengers change seats on the way when no single seat runs through.
        #[serde(default)]
        seat_change: bool,
    },
    /// Best fit, with places kept for long sections and released step by step.
    KeptSections {
        /// How many sections places are kept for.
        sections: usize,
        /// How much stays kept, by how much of the sale has passed.
        release: Vec<ReleaseStep>,
        /// As for best fit.
        #[serde(default)]
        seat_change: bool,
    },
    /// Best fit, where an interval must be worth the bid prices of its segments, computed from the forecast and what is left.
    ComputedProtection {
        /// How often prices are computed, at equal distances over the sale, the first time at its opening.
        reviews: u32,
        /// How many draws of the demand still to come the prices are averaged over.
        samples: u32,
        /// What is to be made the most of.
        worth: Worth,
        /// As for best fit.
        #[serde(default)]
        seat_change: bool,
    },
}

/// One step of a release plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStep {
    /// From when on, in percent of the sale.
    pub passed_percent: u8,
    /// How many of the computed places are kept from then on, in percent.
    pub kept_percent: u8,
}

/// What an interval is worth to a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// Its segments: fills the train.
    Segments,
    /// Its length: makes the most seat-kilometres.
    Km,
    /// Its fare: makes the most revenue.
    Fare,
}

/// Why a file of policies is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPolicies {
    /// Not TOML, or a key or value that does not exist.
    #[error("cannot read the policies: {0}")]
    File(String),
    /// No policy at all, or too many for a table.
    #[error("{count} policies: expected 1 to {}", PolicyFile::POLICIES_MAX)]
    Count {
        /// How many there are.
        count: usize,
    },
    /// A value that cannot be.
    #[error("policy {name:?}: {key} must be {allowed}")]
    Value {
        /// The policy.
        name: String,
        /// The key.
        key: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
}

impl PolicyFile {
    /// The most policies in one comparison.
    pub const POLICIES_MAX: usize = 16;

    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadPolicies> {
        let file: Self = toml::from_str(text).map_err(|error| BadPolicies::File(error.to_string()))?;
        let count = file.policies.len();
        if !(1..=Self::POLICIES_MAX).contains(&count) {
            return Err(BadPolicies::Count { count });
        }
        for (nth, policy) in file.policies.iter().enumerate() {
            let bad = |key, allowed| Err(BadPolicies::Value { name: policy.name.clone(), key, allowed });
            if policy.name.trim().is_empty() || file.policies[..nth].iter().any(|other| other.name == policy.name) {
                return bad("name", "there, and different from all others");
            }
            if let Some((key, allowed)) = policy.rule.fault() {
                return bad(key, allowed);
            }
        }
        Ok(file)
    }
}

impl Default for PolicyFile {
    /// What [`DEFAULT_POLICIES`] says.
    fn default() -> Self {
        Self::parse(DEFAULT_POLICIES).expect("the default file is part of the program and was tested with it")
    }
}

impl Rule {
    /// Whether passengers may change seats on the way.
    pub(crate) fn seat_change(&self) -> bool {
        match self {
            Self::RandomSeat => false,
            Self::BestFit { seat_change }
            | Self::KeptSections { seat_change, .. }
            | Self::ComputedProtection { seat_change, .. } => *seat_change,
        }
    }

    /// The key that cannot be as it is, and what it may be.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::RandomSeat | Self::BestFit { .. } => None,
            Self::KeptSections { sections, release, .. } => {
                let in_order = release.windows(2).all(|pair| pair[0].passed_percent < pair[1].passed_percent);
                let in_range = release.iter().all(|step| step.passed_percent <= 100 && step.kept_percent <= 100);
                if !(1..=64).contains(sections) {
                    Some(("sections", "1 to 64"))
                } else if release.is_empty() || !in_order || !in_range {
                    Some(("release", "steps in order of time with percentages from 0 to 100"))
                } else {
                    None
                }
            }
            Self::ComputedProtection { reviews, samples, .. } => match (reviews, samples) {
                (0 | 1_001.., _) => Some(("reviews", "1 to 1000")),
                (_, 0 | 1_001..) => Some(("samples", "1 to 1000")),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_compares_all_rules() {
        let rules: Vec<Rule> = PolicyFile::default().policies.into_iter().map(|policy| policy.rule).collect();
        assert!(rules.contains(&Rule::RandomSeat));
        assert!(rules.contains(&Rule::BestFit { seat_change: false }));
        assert!(rules.iter().any(|rule| matches!(rule, Rule::KeptSections { .. })));
        assert!(rules.iter().any(|rule| matches!(rule, Rule::ComputedProtection { .. })));
    }

    #[test]
    fn wrong_files_are_refused_with_the_key() {
        let protection = |keys: &str| format!("[[policy]]\nname = 'p'\nrule = 'computed_protection'\n{keys}");
        for (text, named) in [
            (String::new(), "policy"),
            ("policy = []".to_owned(), "0 policies"),
            ("[[policy]]\nname = 'a'\nrule = 'luck'".to_owned(), "luck"),
            ("[[policy]]\nname = ' '\nrule = 'random_seat'".to_owned(), "name"),
            ("[[policy]]\nname = 'a'\nrule = 'best_fit'\nseats_change = true".to_owned(), "seats_change"),
            (protection("reviews = 0\nsamples = 1\nworth = 'km'"), "reviews"),
            (protection("reviews = 1\nsamples = 0\nworth = 'km'"), "samples"),
            (protection("reviews = 1\nsamples = 1\nworth = 'gold'"), "gold"),
            ("[[policy]]\nname = 'a'\nrule = 'kept_sections'\nsections = 4\nrelease = []".to_owned(), "release"),
        ] {
            let error = PolicyFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
