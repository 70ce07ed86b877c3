use domain::{Channel, Interval, SeatClass, Time};

/// Who may be sold what, beside the seats being free. Replaced as a whole; every step of it is data with a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// Counts up with each replacement on a run.
    pub version: u32,
    /// Limits and kept places by section (RULES: Sale, the three kinds).
    pub quotas: Vec<Quota>,
    /// Places set aside for channels.
    pub allotments: Vec<Allotment>,
    /// Computed protection of long journeys, at most one per class.
    pub protections: Vec<Protection>,
}

/// The three kinds of quota. All that apply to a ticket must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// At most so many live tickets that lie within the section.
    WithinAtMost,
    /// At least so many places kept for the section. Seats sold over the whole section or more count towards them; a
    /// ticket that is a strict part of the section must leave the rest free on each of its segments.
    KeptAtLeast,
    /// At most so many live tickets that board at the section's first stop.
    BoardingsAtMost,
}

impl QuotaKind {
    /// The name in messages and policy files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithinAtMost => "within_at_most",
            Self::KeptAtLeast => "kept_at_least",
            Self::BoardingsAtMost => "boardings_at_most",
        }
    }
}

/// One quota with its release plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Which kind.
    pub kind: QuotaKind,
    /// The class it counts; none for all classes together.
    pub class: Option<SeatClass>,
    /// The section; only its first stop matters to [`QuotaKind::BoardingsAtMost`].
    pub section: Interval,
    /// The limits, each from a moment on, in order of time; before the first step the quota does not bind.
    pub steps: Vec<QuotaStep>,
    /// When it ceases to bind; none for never.
    pub until: Option<Time>,
}

/// One step of a release plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaStep {
    /// From when on.
    pub from: Time,
    /// The number in force from then on.
    pub places: u16,
}

/// Places set aside for a channel, on every segment of a section; what is no longer set aside is general again. Allotments
/// of one channel and class never share a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allotment {
    /// The channel.
    pub channel: Channel,
    /// The class.
    pub class: SeatClass,
    /// The section.
    pub section: Interval,
    /// How many places are set aside from each moment on, in order of time.
    pub steps: Vec<QuotaStep>,
}

/// Computed protection of one class: what an interval must be worth before it is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The class.
    pub class: SeatClass,
    /// The plan in order of time; before its first step nothing is protected.
    pub steps: Vec<ProtectionStep>,
}

/// The protection in force from a moment on: an interval is sold when its value is at least the sum of the bid prices of
/// its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectionStep {
    /// From when on.
    pub from: Time,
    /// Bid price of each segment, in the unit of the values. Empty: nothing is protected from then on.
    pub bid_prices: Vec<u32>,
    /// Value of each interval in the order of [`Interval::all`]. Empty: its distance in km.
    pub values: Vec<u32>,
}

impl QuotaPolicy {
    /// Checks a policy against a train with so many stops.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self, stops: usize) -> Result<(), QuotaError> {
        for (index, quota) in self.quotas.iter().enumerate() {
            check_section(quota.section, stops)?;
            check_steps(&quota.steps, |step| step.from).ok_or(QuotaError::QuotaSteps { index })?;
        }
        for (index, allotment) in self.allotments.iter().enumerate() {
            check_section(allotment.section, stops)?;
            check_steps(&allotment.steps, |step| step.from).ok_or(QuotaError::AllotmentSteps { index })?;
            let same_pool = |other: &&Allotment| other.channel == allotment.channel && other.class == allotment.class;
            if self.allotments[..index].iter().filter(same_pool).any(|other| other.section.overlaps(allotment.section))
            {
                return Err(QuotaError::AllotmentTwice { index });
            }
        }
        for (index, protection) in self.protections.iter().enumerate() {
            let class = protection.class;
            if self.protections[..index].iter().any(|other| other.class == class) {
                return Err(QuotaError::ProtectionTwice { class });
            }
            check_steps(&protection.steps, |step| step.from).ok_or(QuotaError::ProtectionSteps { class })?;
            for step in &protection.steps {
                let prices = step.bid_prices.len();
                let values = step.values.len();
                if (prices != 0 && prices != stops - 1) || (values != 0 && values != stops * (stops - 1) / 2) {
                    return Err(QuotaError::ProtectionSize { class, prices, values });
                }
            }
        }
        Ok(())
    }
}

fn check_section(section: Interval, stops: usize) -> Result<(), QuotaError> {
    if usize::from(section.to()) < stops { Ok(()) } else { Err(QuotaError::Section { section, stops }) }
}

/// Steps are there and in strict order of time.
fn check_steps<S>(steps: &[S], from: impl Fn(&S) -> Time) -> Option<()> {
    (!steps.is_empty() && steps.windows(2).all(|pair| from(&pair[0]) < from(&pair[1]))).then_some(())
}

/// What is wrong with a quota policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// A section that ends after the terminus.
    #[error("section {}-{} does not lie on a train with {stops} stops", section.from(), section.to())]
    Section {
        /// The section.
        section: Interval,
        /// How many stops the train has.
        stops: usize,
    },
    /// A quota without steps, or with steps out of order.
    #[error("quota {index} needs steps in order of time")]
    QuotaSteps {
        /// Its position in the policy, from 0.
        index: usize,
    },
    /// An allotment without steps, or with steps out of order.
    #[error("allotment {index} needs steps in order of time")]
    AllotmentSteps {
        /// Its position in the policy, from 0.
        index: usize,
    },
    /// Two allotments of one channel and class share a segment.
    #[error("allotment {index} shares a segment with another one of its channel and class")]
    AllotmentTwice {
        /// Its position in the policy, from 0.
        index: usize,
    },
    /// Two protections of one class.
    #[error("class {class} is protected twice")]
    ProtectionTwice {
        /// The class.
        class: SeatClass,
    },
    /// A protection without steps, or with steps out of order.
    #[error("the protection of class {class} needs steps in order of time")]
    ProtectionSteps {
        /// The class.
        class: SeatClass,
    },
    /// Bid prices or values whose number does not fit the train.
    #[error(
        "the protection of class {class} has {prices} bid prices and {values} values: not this train's segments and intervals"
    )]
    ProtectionSize {
        /// The class.
        class: SeatClass,
        /// How many bid prices a step has.
        prices: usize,
        /// How many values a step has.
        values: usize,
    },
}
