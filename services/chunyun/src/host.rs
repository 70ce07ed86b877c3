//! Hosting roles: in one process or many, by configuration alone.

mod assembly;
mod config;
mod data_dir;
mod discovery;
mod fleet;
mod keys;
mod roles;
mod serve;

pub use data_dir::DataDir;
pub use fleet::{Embedded, Fleet};
pub use keys::{Keys, KeysError};
pub use serve::{Serve, serve};
