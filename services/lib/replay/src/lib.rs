//! Replays demand against allocation and quota policies and compares them with a clairvoyant bound.
//!
//! A [`Scenario`] is one train-date and everything that is asked of it: reference demand ([`Reference`]), synthetic demand for a
//! timetable ([`GravityDemand`]), or recorded demand ([`Recording`]). [`Comparison::of`] sells it by every policy of a
//! [`PolicyFile`] and puts the [`Bound`] beside them; [`compare_many`] does so for a whole timetable, train by train. Policies
//! run on the seat kernel that sells in earnest. Nothing here prints, and the same seed gives the same figures.

mod bound;
mod comparison;
mod demand;
mod forecast;
mod many;
mod packing;
mod plot;
mod rules;
mod run;
mod scenario;
mod seller;

pub use bound::Bound;
pub use comparison::{Comparison, PolicyFigures};
pub use demand::{
    BadRow, CANCELLED_SHARE, GravityDemand, REFERENCE_LOAD, Recording, RecordingError, Reference, Unsellable,
};
pub use forecast::{Forecast, ForecastSource};
pub use many::compare_many;
pub use plot::{PlotError, plot};
pub use rules::{AllocationPolicy, BadPolicies, DEFAULT_POLICIES, PolicyFile, ReleaseStep, Rule, Worth};
pub use run::{BrokenExactness, Figures};
pub use scenario::{ClassScenario, Request, SaleSpan, Scenario};
