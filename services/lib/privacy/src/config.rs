use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{BadKeyRing, DocumentVault, Key, PersonTokens};

/// The secrets of passengers' privacy as they stand in configuration: every key as 64 hexadecimal digits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyConfig {
    /// Master secret of the tokens inventory sees. The same in the whole fleet.
    pub person_token_key: SecretString,
    /// Key of the look-up hashes. Must not change while records shall be found.
    pub document_lookup_key: SecretString,
    /// The id of the key that new records are sealed with.
    pub vault_current_key: u32,
    /// The keys that records are sealed with, the current one and older ones.
    pub vault_keys: Vec<VaultKeyConfig>,
}

/// One key of the vault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultKeyConfig {
    /// Its id, written beside every record sealed with it.
    pub id: u32,
    /// 64 hexadecimal digits.
    pub key: SecretString,
}

impl PrivacyConfig {
    /// The maker of person tokens.
    ///
    /// # Errors
    /// The setting is not a key.
    pub fn person_tokens(&self) -> Result<PersonTokens, BadKeyRing> {
        Ok(PersonTokens::new(key("person_token_key", &self.person_token_key)?))
    }

    /// The vault.
    ///
    /// # Errors
    /// A setting is not a key, an id stands twice, or the current key is missing.
    pub fn document_vault(&self) -> Result<DocumentVault, BadKeyRing> {
        let keys = self.vault_keys.iter().map(|entry| Ok((entry.id, key("vault_keys", &entry.key)?)));
        let lookup = key("document_lookup_key", &self.document_lookup_key)?;
        DocumentVault::new(self.vault_current_key, keys.collect::<Result<_, BadKeyRing>>()?, lookup)
    }
}

fn key(setting: &'static str, text: &SecretString) -> Result<Key, BadKeyRing> {
    Key::from_hex(text.expose_secret()).map_err(|source| BadKeyRing::Key { setting, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vault_key: &str) -> PrivacyConfig {
        let (token, lookup) = ("1a".repeat(32), "2b".repeat(32));
        toml::from_str(&format!(
            "person_token_key = '{token}'\ndocument_lookup_key = '{lookup}'\nvault_current_key = 1\n\
             [[vault_keys]]\nid = 1\nkey = '{vault_key}'\n"
        ))
        .unwrap()
    }

    #[test]
    fn configuration_makes_both_parts_and_prints_no_key() {
        let config = config(&"3c".repeat(32));
        assert!(config.person_tokens().is_ok() && config.document_vault().is_ok());
        let printed = format!("{config:?}");
        for digits in ["1a1a", "2b2b", "3c3c"] {
            assert!(!printed.contains(digits), "{printed}");
        }
    }

    #[test]
    fn an_error_names_the_setting_and_not_the_key() {
        let error = config("3c3c").document_vault().unwrap_err().to_string();
        assert_eq!(error, "vault_keys: a key is 64 hexadecimal digits, not all zero");
    }
}
