//! Where requests come from.

mod draw;
mod gravity;
mod recorded;
mod reference;
mod train;

pub use draw::CANCELLED_SHARE;
pub use gravity::GravityDemand;
pub use recorded::{BadRow, Recording, RecordingError};
pub use reference::{REFERENCE_LOAD, Reference};
pub use train::Unsellable;
