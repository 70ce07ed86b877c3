//! The railway's rules about orders, pure: what a ticket costs, who may travel together, what a refund keeps.

pub mod change;
pub mod days;
pub mod fare;
pub mod party;
pub mod refund;
