//! The seat kernel as its callers see it.

#![allow(clippy::unwrap_used, reason = "what helpers of tests do not expect is a failed test")]

mod dice;
mod fill;
mod journal;
mod kit;
mod model;
mod naive;
mod places;
mod refusals;
mod small_cases;
