//! What becomes of an order, decided.
//!
//! [`order`] says what an order is; [`state`] takes what happened to it and gives the order afterwards, and what has to be
//! done next. The order service performs that; the simulation does the same among every accident.

pub mod order;
pub mod state;
