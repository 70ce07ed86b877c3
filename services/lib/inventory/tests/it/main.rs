//! The seat kernel as its callers see it.

mod kit;
mod small_cases;
