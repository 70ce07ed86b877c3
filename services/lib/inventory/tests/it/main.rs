//! The seat kernel as its callers see it.

mod kit;
mod model;
mod naive;
mod small_cases;
