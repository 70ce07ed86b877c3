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

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.hash);
    }

    fn write_u8(&mut self, byte: u8) {
        self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
