use std::path::{Path, PathBuf};

use storage::DatabaseUrl;

use super::{Keys, KeysError};

/// The directory of an embedded fleet: a database a service, and the keys.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A directory, made if missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn at(path: &Path) -> Result<Self, KeysError> {
        std::fs::create_dir_all(path).map_err(|source| KeysError::Io { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the keys.
    pub fn keys_file(&self) -> PathBuf {
        self.0.join("keys.toml")
    }

    /// The keys, made at the first use.
    ///
    /// # Errors
    /// As [`Keys::load_or_make`].
    pub fn keys(&self) -> Result<Keys, KeysError> {
        Keys::load_or_make(&self.keys_file())
    }

    /// The SQLite database of a service: `journal`, `order`, `payment`, `waitlist` or `sandbox-provider`.
    pub fn database(&self, service: &str) -> DatabaseUrl {
        DatabaseUrl::sqlite(self.0.join(format!("{service}.db")))
    }
}
