//! Keeps passengers unnamed: keyed person tokens, look-up hashes, and envelope encryption of documents.
//!
//! Three secrets, none of which can be printed: one for the tokens inventory sees, one for the look-up hashes databases
//! index, and the keys passengers' records are sealed with. What leaves this crate is either keyed or encrypted.

mod config;
mod fresh;
mod keys;
mod token;
mod vault;

pub use config::{PrivacyConfig, VaultKeyConfig};
pub use fresh::Fresh;
pub use keys::{BadKey, Key};
pub use token::PersonTokens;
pub use vault::{BadKeyRing, DocumentVault, OpenError};
