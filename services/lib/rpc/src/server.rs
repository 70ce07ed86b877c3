//! The server stack, read top-down in [`stack`]: everything between a socket, or an in-process caller, and a handler.

mod reflect;
mod reply;
mod request;
mod socket;
mod stack;
mod wire_status;

pub(crate) use reflect::reflection;
pub(crate) use socket::Listening;
pub use stack::Stack;
pub(crate) use stack::{Dispatch, Endpoint, deadline_exceeded, trace_of};
