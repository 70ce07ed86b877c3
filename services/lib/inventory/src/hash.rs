use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Hashes keys of maps with XXH3 and a seed of the run: no chance, and colliding ids made for one run are of no use on
/// another. Nothing ever depends on the order of a map.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keyed {
    seed: u64,
}

impl Keyed {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { hash: self.seed }
    }
}

/// Chains the pieces a key is written in: ids are one or two short pieces.
pub(crate) struct KeyHasher {
    hash: u64,
}

/// An odd number without structure: the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl KeyHasher {
    fn mix(&mut self, piece: u64) {
        self.hash = (self.hash ^ piece).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.hash);
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    /// Lengths of arrays, which are the same for every key of a map.
    fn write_usize(&mut self, length: usize) {
        self.mix(length as u64);
    }
}
