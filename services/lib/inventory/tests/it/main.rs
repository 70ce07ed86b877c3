//! The seat kernel as its callers see it.

mod dice;
mod fill;
mod kit;
mod model;
mod naive;
mod small_cases;
