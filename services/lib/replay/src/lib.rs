//! Replays demand against allocation and quota policies and compares them with a clairvoyant bound.

mod bound;
mod comparison;
mod demand;
mod forecast;
mod packing;
mod rules;
mod run;
mod scenario;
mod seller;

pub use bound::Bound;
pub use comparison::{Comparison, PolicyFigures};
pub use demand::{CANCELLED_SHARE, REFERENCE_LOAD, Reference};
pub use forecast::{Forecast, ForecastSource};
pub use rules::{AllocationPolicy, BadPolicies, DEFAULT_POLICIES, PolicyFile, ReleaseStep, Rule, Worth};
pub use run::{BrokenExactness, Figures};
pub use scenario::{ClassScenario, Request, SaleSpan, Scenario};
