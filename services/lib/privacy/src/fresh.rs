/// Random bytes for sealing one record: a salt for its key and a nonce. Used up by the seal, so it cannot serve twice.
pub struct Fresh {
    pub(crate) salt: [u8; 16],
    pub(crate) nonce: [u8; 12],
}

impl Fresh {
    /// From the operating system: the one place of this crate that draws randomness.
    ///
    /// # Errors
    /// The system's source failed.
    pub fn from_system() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 28];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// From bytes the caller drew, for seeded runs. They must never be used for a second record.
    pub fn from_bytes(bytes: [u8; 28]) -> Self {
        let mut fresh = Self { salt: [0; 16], nonce: [0; 12] };
        fresh.salt.copy_from_slice(&bytes[..16]);
        fresh.nonce.copy_from_slice(&bytes[16..]);
        fresh
    }
}
