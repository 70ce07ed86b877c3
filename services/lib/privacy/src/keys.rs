use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// A secret key of 256 bits. Wiped when dropped, never printed.
pub struct Key(SecretBox<[u8; 32]>);

/// Why a text is not a key. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hexadecimal digits, not all zero")]
pub struct BadKey;

impl Key {
    /// The key of 64 hexadecimal digits.
    ///
    /// # Errors
    /// Any other text, and the all-zero key that a forgotten setting would give.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let mut refused = None;
        let key = SecretBox::init_with_mut(|bytes: &mut [u8; 32]| {
            if hex::decode_to_slice(text, bytes).is_err() || bytes.iter().all(|b| *b == 0) {
                refused = Some(BadKey);
            }
        });
        refused.map_or(Ok(Self(key)), Err)
    }

    /// A key for one purpose out of this one: HMAC-SHA256 over the purpose, a zero byte and the parts.
    pub(crate) fn derive(&self, purpose: &str, parts: &[u8]) -> Self {
        let derived = self.hash(purpose, &[parts]);
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; 32]| bytes.copy_from_slice(&derived)))
    }

    /// HMAC-SHA256 over the purpose, a zero byte and the parts, each after its length: no two lists of parts collide.
    pub(crate) fn hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether a hash is the one [`Self::hash`] makes, compared in constant time.
    pub(crate) fn is_hash(&self, purpose: &str, text: &[u8], hash: &[u8]) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(&(text.len() as u64).to_be_bytes());
        mac.update(text);
        mac.verify_slice(hash).is_ok()
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_hexadecimal_digits_are_a_key() {
        let good = "0f".repeat(32);
        assert!(Key::from_hex(&good).is_ok());
        for bad in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"00".repeat(32)] {
            assert_eq!(Key::from_hex(bad).err(), Some(BadKey), "{bad}");
        }
    }

    #[test]
    fn a_key_never_prints() {
        let key = Key::from_hex(&"ab".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = Key::from_hex(&"ab".repeat(32)).unwrap();
        assert_ne!(key.hash("x", &[b"ab", b"c"]), key.hash("x", &[b"a", b"bc"]));
        assert_ne!(key.hash("x", &[b"ab"]), key.hash("y", &[b"ab"]));
    }
}
