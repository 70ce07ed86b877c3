//! The fleet's secrets: one file, made at the first start of an embedded fleet, mounted from a Secret in production.

use std::io::Write;
use std::path::{Path, PathBuf};

use privacy::PrivacyConfig;
use rpc::identity::{TokenIssuer, TokenOptions};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Issuer and audience of the tokens that an embedded fleet makes for itself.
const DEVELOPMENT_ISSUER: &str = "chunyun-development";
const AUDIENCE: &str = "chunyun";

/// The secrets as they stand in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Whose tokens are trusted.
    pub tokens: TokenKeys,
    /// What keeps passengers unnamed.
    pub privacy: PrivacyConfig,
    /// What signs payment callbacks: shared by the provider and payment.
    pub callback_secret: SecretString,
}

/// Whose tokens are trusted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKeys {
    /// The `iss` that tokens must carry.
    pub issuer: String,
    /// The `aud` that tokens must carry.
    pub audience: String,
    /// Ed25519 public keys of the issuer as 64 hexadecimal digits each; several while one replaces another.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// The seed of a development issuer's key: `chunyun token` signs with it. Never in production.
    pub development_seed: Option<SecretString>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not say what it must. The message never repeats a key.
    #[error("key file {path}: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system")]
    Random(#[from] getrandom::Error),
    /// No development key, so no token can be made.
    #[error("the key file has no development_seed: tokens come from the production issuer")]
    NoIssuer,
}

impl Keys {
    /// The keys of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or says something else than keys.
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let text = std::fs::read_to_string(path).map_err(|source| KeysError::Io { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| KeysError::Content { path: path.to_owned(), reason: without_values(&error, &text) })
    }

    /// The keys of a data directory, made at its first use and readable by their owner alone.
    ///
    /// # Errors
    /// As [`Self::load`]; and a directory that cannot be written.
    pub fn load_or_make(path: &Path) -> Result<Self, KeysError> {
        if !path.exists() {
            make(path)?;
        }
        Self::load(path)
    }

    /// Adds a new vault key to a file and makes it the current one; gives its id. What else stands in the file stays as it is.
    ///
    /// # Errors
    /// As [`Self::load_or_make`]; and a file that cannot be written, or does not name its current key on a line of its own.
    pub fn rotate(path: &Path) -> Result<u32, KeysError> {
        let keys = Self::load_or_make(path)?;
        let io = |source| KeysError::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let id = keys.privacy.vault_keys.iter().map(|key| key.id).max().unwrap_or(0) + 1;
        let is_current = |line: &str| line.trim_start().starts_with("vault_current_key");
        if text.lines().filter(|line| is_current(line)).count() != 1 {
            let reason = "vault_current_key does not stand on one line of its own".to_owned();
            return Err(KeysError::Content { path: path.to_owned(), reason });
        }
        let line = |line: &str| {
            if is_current(line) { format!("vault_current_key = {id}\n") } else { format!("{line}\n") }
        };
        let mut rotated: String = text.lines().map(line).collect();
        rotated.push_str(&format!("\n[[privacy.vault_keys]]\nid = {id}\nkey = \"{}\"\n", random_hex()?));
        // Whole or not at all: a half-written key file would lock everybody out.
        let beside = path.with_extension("toml.new");
        write_new(&beside, &rotated)?;
        Self::load(&beside)?;
        std::fs::rename(&beside, path).map_err(io)?;
        Ok(id)
    }

    /// Which tokens are trusted.
    ///
    /// # Errors
    /// Keys that are none, or none at all.
    pub fn token_options(&self, path: &Path) -> Result<TokenOptions, KeysError> {
        let content = |reason: &str| KeysError::Content { path: path.to_owned(), reason: reason.to_owned() };
        let mut public_keys = Vec::new();
        for text in &self.tokens.public_keys {
            let mut key = [0; 32];
            hex::decode_to_slice(text, &mut key).map_err(|_| content("a public key is 64 hexadecimal digits"))?;
            public_keys.push(key);
        }
        if let Ok(issuer) = self.issuer() {
            public_keys.extend(issuer.options().public_keys);
        }
        if public_keys.is_empty() {
            return Err(content("neither public_keys nor a development_seed: no token could be verified"));
        }
        Ok(TokenOptions { issuer: self.tokens.issuer.clone(), audience: self.tokens.audience.clone(), public_keys })
    }

    /// The development issuer, where the file has its seed.
    ///
    /// # Errors
    /// No seed, or one that is none.
    pub fn issuer(&self) -> Result<TokenIssuer, KeysError> {
        let seed = self.tokens.development_seed.as_ref().ok_or(KeysError::NoIssuer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(seed.expose_secret(), &mut bytes).map_err(|_| KeysError::NoIssuer)?;
        Ok(TokenIssuer::new(&bytes, &self.tokens.issuer, &self.tokens.audience))
    }
}

/// What is wrong and in which line, without the line's value: it may be a secret.
fn without_values(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
    let names_only = ["unknown field", "missing field"].iter().any(|kind| error.message().starts_with(kind));
    let what = if names_only { error.message() } else { "a value of the wrong kind" };
    format!("line {line}: {what}")
}

fn make(path: &Path) -> Result<(), KeysError> {
    let text = format!(
        "# Secrets of this data directory. Whoever reads them can sign tokens and open passengers' records.\n\
         callback_secret = \"{}\"\n\n\
         [tokens]\nissuer = \"{DEVELOPMENT_ISSUER}\"\naudience = \"{AUDIENCE}\"\ndevelopment_seed = \"{}\"\n\n\
         [privacy]\nperson_token_key = \"{}\"\ndocument_lookup_key = \"{}\"\nvault_current_key = 1\n\n\
         [[privacy.vault_keys]]\nid = 1\nkey = \"{}\"\n",
        random_hex()?,
        random_hex()?,
        random_hex()?,
        random_hex()?,
        random_hex()?,
    );
    write_new(path, &text)
}

/// Writes a file that is not there yet, readable by its owner alone.
fn write_new(path: &Path, text: &str) -> Result<(), KeysError> {
    let io = |source| KeysError::Io { path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
}

fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_gets_keys_that_work_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let first = Keys::load_or_make(&path).unwrap();
        assert!(first.privacy.document_vault().is_ok() && first.privacy.person_tokens().is_ok());
        let again = Keys::load_or_make(&path).unwrap();
        let keys = |keys: &Keys| keys.token_options(&path).unwrap().public_keys;
        assert_eq!(keys(&first), keys(&again));
    }

    #[test]
    fn a_rotated_file_seals_with_a_new_key_and_keeps_all_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let before = Keys::load_or_make(&path).unwrap();
        assert_eq!(Keys::rotate(&path).unwrap(), 2);
        assert_eq!(Keys::rotate(&path).unwrap(), 3);
        let after = Keys::load(&path).unwrap();
        let ids: Vec<_> = after.privacy.vault_keys.iter().map(|key| key.id).collect();
        assert_eq!((after.privacy.vault_current_key, ids), (3, vec![1, 2, 3]));
        let first = |keys: &Keys| keys.privacy.vault_keys[0].key.expose_secret().to_owned();
        assert_eq!(first(&before), first(&after));
        assert!(after.privacy.document_vault().is_ok());
        assert_eq!(before.token_options(&path).unwrap().public_keys, after.token_options(&path).unwrap().public_keys);
    }

    #[test]
    fn an_error_never_repeats_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        std::fs::write(&path, "callback_secret = \"c0ffee\"\nprivacy = \"c0ffee\"\n").unwrap();
        let error = Keys::load(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("c0ffee"), "{error}");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
