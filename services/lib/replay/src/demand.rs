//! Where requests come from.

mod reference;

pub use reference::{CANCELLED_SHARE, REFERENCE_LOAD, Reference};
