use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use domain::{Document, DocumentKind, PassengerName};

use crate::{BadKey, Fresh, Key};

/// Seals passengers' names and documents for storage, and finds documents again by a keyed hash.
///
/// A sealed record is `version 1 | key id (4 bytes) | salt (16) | nonce (12) | AES-256-GCM ciphertext and tag`. The record's
/// own key is derived from the key of that id and the salt. New records are sealed with the current key; records of older
/// keys open as long as their key is configured, so rotation needs no pause: add a key, make it current, re-seal, drop.
#[derive(Debug)]
pub struct DocumentVault {
    current: u32,
    keys: Vec<(u32, Key)>,
    lookup: Key,
}

/// Why a sealed record does not open. Never repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed with a key that is not configured.
    #[error("the record is sealed with key {0}, which is not configured")]
    UnknownKey(u32),
    /// Cut, altered, sealed for another place, or not a sealed record at all.
    #[error("the sealed record is damaged or belongs elsewhere")]
    Damaged,
}

/// What keeps signatures apart from other hashes under the same key.
const SIGNED: &str = "chunyun signed text";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 + 16 + 12;

impl DocumentVault {
    /// A vault that seals with the key `current` and opens with any of `keys`. The look-up key must stay the same for as
    /// long as records shall be found.
    ///
    /// # Errors
    /// Two keys with one id, or no key with the id `current`.
    pub fn new(current: u32, keys: Vec<(u32, Key)>, lookup: Key) -> Result<Self, BadKeyRing> {
        let repeated = keys.iter().enumerate().find(|(at, (id, _))| keys[..*at].iter().any(|(other, _)| other == id));
        if let Some((_, (id, _))) = repeated {
            return Err(BadKeyRing::Repeated(*id));
        }
        if !keys.iter().any(|(id, _)| *id == current) {
            return Err(BadKeyRing::NoCurrent(current));
        }
        Ok(Self { current, keys, lookup })
    }

    /// By what a document is found in databases: HMAC-SHA256 over its kind and number.
    pub fn lookup(&self, document: &Document) -> [u8; 32] {
        self.lookup.hash("chunyun document lookup", &[&[document.kind().code()], document.number().as_bytes()])
    }

    /// A keyed hash of a request that names passengers, by which a repeat is known: it tells nothing about its parts.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.lookup.hash("chunyun request fingerprint", parts)
    }

    /// Signs a text that a client carries and brings back. The text itself is not hidden.
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        self.lookup.hash(SIGNED, &[text])
    }

    /// Whether a text came back as it was signed. Takes the same time whatever is wrong.
    pub fn is_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        self.lookup.is_hash(SIGNED, text, signature)
    }

    /// Seals a passenger's name and document. `context` says where the record belongs, such as the order and passenger;
    /// it opens with the same context only, so that records cannot be swapped.
    pub fn seal(&self, name: &PassengerName, document: &Document, context: &[u8], fresh: Fresh) -> Vec<u8> {
        let key = self.key(self.current).expect("checked when the vault was made");
        let mut sealed = Vec::with_capacity(HEADER_BYTES + 128);
        sealed.push(VERSION);
        sealed.extend(self.current.to_be_bytes());
        sealed.extend(fresh.salt);
        sealed.extend(fresh.nonce);

        // Kind, the number's length, the number, the name. Numbers are at most 18 bytes.
        let mut clear = vec![document.kind().code(), document.number().len() as u8];
        clear.extend(document.number().as_bytes());
        clear.extend(name.as_str().as_bytes());

        let bound = bind(&sealed, context);
        let payload = Payload { msg: &clear, aad: &bound };
        let ciphertext =
            cipher(key, &fresh.salt).encrypt((&fresh.nonce).into(), payload).expect("far below GCM's 64 GiB");
        sealed.extend(ciphertext);
        sealed
    }

    /// Opens what [`Self::seal`] sealed for the same context.
    ///
    /// # Errors
    /// The key is not configured, or the record is not intact.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<(PassengerName, Document), OpenError> {
        let (header, ciphertext) = sealed.split_at_checked(HEADER_BYTES).ok_or(OpenError::Damaged)?;
        if header[0] != VERSION {
            return Err(OpenError::Damaged);
        }
        let id = key_id(header);
        let key = self.key(id).ok_or(OpenError::UnknownKey(id))?;
        let payload = Payload { msg: ciphertext, aad: &bind(header, context) };
        let nonce: &[u8; 12] = header.last_chunk().ok_or(OpenError::Damaged)?;
        let clear = cipher(key, &header[5..21]).decrypt(nonce.into(), payload).map_err(|_| OpenError::Damaged)?;
        read(&clear).ok_or(OpenError::Damaged)
    }

    /// Whether a record is sealed with an older key and waits to be sealed again.
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        sealed.len() >= HEADER_BYTES && key_id(sealed) != self.current
    }

    fn key(&self, id: u32) -> Option<&Key> {
        self.keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }
}

/// Why keys do not make a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyRing {
    /// Two keys share an id.
    #[error("key id {0} is configured twice")]
    Repeated(u32),
    /// The current id has no key.
    #[error("the current key id {0} has no key")]
    NoCurrent(u32),
    /// One of the keys is not a key.
    #[error("{setting}: {source}")]
    Key {
        /// Which setting.
        setting: &'static str,
        /// What is allowed.
        source: BadKey,
    },
}

fn cipher(key: &Key, salt: &[u8]) -> Aes256Gcm {
    let record_key = key.derive("chunyun record key", salt);
    Aes256Gcm::new(record_key.expose().into())
}

fn bind(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

fn key_id(header: &[u8]) -> u32 {
    u32::from_be_bytes([header[1], header[2], header[3], header[4]])
}

fn read(clear: &[u8]) -> Option<(PassengerName, Document)> {
    let (kind, rest) = clear.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (number, name) = rest.split_at_checked(usize::from(*length))?;
    let document = Document::new(DocumentKind::from_code(*kind)?, std::str::from_utf8(number).ok()?).ok()?;
    Some((std::str::from_utf8(name).ok()?.parse().ok()?, document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> Key {
        Key::from_hex(&hex.repeat(32)).unwrap()
    }

    fn vault(current: u32, ids: &[u32]) -> DocumentVault {
        let keys = ids.iter().map(|id| (*id, key(&format!("{id:02x}")))).collect();
        DocumentVault::new(current, keys, key("ee")).unwrap()
    }

    fn passenger() -> (PassengerName, Document) {
        ("李雷".parse().unwrap(), Document::new(DocumentKind::ResidentId, "11010519491231002X").unwrap())
    }

    fn sealed(vault: &DocumentVault) -> Vec<u8> {
        let (name, document) = passenger();
        vault.seal(&name, &document, b"order/0", Fresh::from_bytes([7; 28]))
    }

    #[test]
    fn what_was_sealed_opens_and_shows_nothing() {
        let vault = vault(1, &[1]);
        let record = sealed(&vault);
        assert_eq!(vault.open(&record, b"order/0").unwrap(), passenger());
        for secret in ["11010519491231002X".as_bytes(), "李雷".as_bytes()] {
            assert!(!record.windows(secret.len()).any(|window| window == secret));
        }
        assert!(!format!("{vault:?}").contains("01, 01"));
    }

    #[test]
    fn a_signed_text_comes_back_unaltered_or_not_at_all() {
        let vault = vault(1, &[1]);
        let signature = vault.sign(b"936.50");
        assert!(vault.is_signed(b"936.50", &signature));
        assert!(!vault.is_signed(b"9.50", &signature) && !vault.is_signed(b"936.50", &signature[..31]));
        assert!(!vault.is_signed(b"936.50", &[0; 32]));
    }

    #[test]
    fn rotation_opens_old_records_and_seals_new_ones() {
        let old = sealed(&vault(1, &[1]));
        let rotated = vault(2, &[1, 2]);
        assert_eq!(rotated.open(&old, b"order/0").unwrap(), passenger());
        assert!(rotated.is_stale(&old));
        let new = sealed(&rotated);
        assert!(!rotated.is_stale(&new));
        assert_eq!(vault(2, &[2]).open(&new, b"order/0").unwrap(), passenger());
        assert_eq!(vault(2, &[2]).open(&old, b"order/0"), Err(OpenError::UnknownKey(1)));
    }

    #[test]
    fn any_altered_byte_and_any_other_context_is_refused() {
        let vault = vault(1, &[1]);
        let record = sealed(&vault);
        assert_eq!(vault.open(&record, b"order/1"), Err(OpenError::Damaged));
        for at in 0..record.len() {
            let mut altered = record.clone();
            altered[at] ^= 1;
            assert!(vault.open(&altered, b"order/0").is_err(), "byte {at}");
            assert!(vault.open(&record[..at], b"order/0").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_ring_must_make_sense() {
        let err = |current, ids: &[u32]| {
            let keys = ids.iter().map(|id| (*id, key("0a"))).collect();
            DocumentVault::new(current, keys, key("ee")).unwrap_err()
        };
        assert_eq!(err(3, &[1, 2]), BadKeyRing::NoCurrent(3));
        assert_eq!(err(1, &[1, 2, 1]), BadKeyRing::Repeated(1));
    }

    #[test]
    fn a_document_is_found_whatever_key_is_current() {
        let (_, document) = passenger();
        assert_eq!(vault(1, &[1]).lookup(&document), vault(2, &[1, 2]).lookup(&document));
        let other = Document::new(DocumentKind::ResidentId, "440524188001010014").unwrap();
        assert_ne!(vault(1, &[1]).lookup(&document), vault(1, &[1]).lookup(&other));
    }
}
