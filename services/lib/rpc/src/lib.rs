//! One client stack, one server stack, identity, deadlines and errors for every role.
//!
//! A role builds a [`Component`] out of its generated servers and background tasks; [`Component::start`] makes it a
//! [`Running`] one, which answers in-process callers through a [`Switchboard`] and network callers through
//! [`Running::serve`]. Either way a call passes the same [`Stack`]. Callers hold a [`Link`] and do not know which it is.
//!
//! What the stack promises, whatever a caller sends:
//! - every unary call has a deadline (the caller's, a default, never more than a cap) and answers DEADLINE_EXCEEDED;
//! - oversize messages and metadata answer RESOURCE_EXHAUSTED, undecodable ones INVALID_ARGUMENT;
//! - a panic answers UNAVAILABLE; no call ever answers INTERNAL or UNKNOWN;
//! - work that is too much is refused at once with UNAVAILABLE and RetryInfo.

pub mod clock;
mod component;
pub mod context;
mod failure;
pub mod identity;
mod limits;
mod link;
mod methods;
mod metrics;
pub mod reason;
mod running;
mod server;
mod switchboard;

pub use clock::{Clock, SystemClock};
pub use component::{Authentication, Component};
pub use context::CallContext;
pub use failure::{ERROR_DOMAIN, Failure, decode_status, encode_status};
pub use limits::{Limits, LinkOptions};
pub use link::Link;
pub use running::{ALIVE, Running};
pub use server::Stack;
pub use switchboard::Switchboard;
