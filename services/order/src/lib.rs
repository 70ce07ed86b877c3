//! Orders, tickets and the saga from hold to ticket and back.

pub mod order;
pub mod rules;
pub mod state;
