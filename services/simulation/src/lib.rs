//! Seeded simulation of journal, owners and clients.
//!
//! One scheduler draws everything from a seed: who asks what, which statements are late, lost or carried out twice, which
//! node stands still, crashes or loses its slots. The owners are the very state machines that the product runs. What is
//! answered and written down is judged by a second opinion that shares nothing with them.
//!
//! [`saga`] does the same for orders and money, on the decisions that order and payment run.
//!
//! A simulation is worth what it finds: every defect of [`defects::DEFECTS`] and [`saga::SAGA_DEFECTS`] must be found.

pub mod chance;
pub mod defects;
pub mod journal_model;
pub mod kernel;
pub mod naive;
pub mod protocols;
pub mod rules;
pub mod saga;
pub mod search;
pub mod subject;
pub mod toy;
pub mod toy_encoding;
pub mod toys;
pub mod world;
