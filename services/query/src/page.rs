//! Page tokens: where a search stood, opaque to clients, and good for the very same search only (AIP-158).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use timetable::DirectTrain;
use xxhash_rust::xxh3::xxh3_64;

/// A search's fingerprint and the last journey of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// Of everything that decides the results: another search refuses the token.
    pub search: u64,
    /// The last journey shown.
    pub last: RideKey,
}

/// The order of journeys: by departure, then arrival, then train and stops. Unique within a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RideKey {
    departs_at_ms: i64,
    arrives_at_ms: i64,
    train: u32,
    from: u8,
    to: u8,
}

impl RideKey {
    const BYTES: usize = 22;

    /// The key of a journey.
    pub fn of(ride: &DirectTrain) -> Self {
        Self {
            departs_at_ms: ride.departs_at.millis(),
            arrives_at_ms: ride.arrives_at.millis(),
            train: ride.train.0,
            from: ride.from,
            to: ride.to,
        }
    }
}

impl PageToken {
    /// The token as text.
    pub fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(8 + RideKey::BYTES);
        bytes.extend(self.search.to_le_bytes());
        bytes.extend(self.last.departs_at_ms.to_le_bytes());
        bytes.extend(self.last.arrives_at_ms.to_le_bytes());
        bytes.extend(self.last.train.to_le_bytes());
        bytes.extend([self.last.from, self.last.to]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The token of a text, if it is one.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 8 + RideKey::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (search, rest) = bytes.split_first_chunk()?;
        let (departs, rest) = rest.split_first_chunk()?;
        let (arrives, rest) = rest.split_first_chunk()?;
        let (train, rest) = rest.split_first_chunk()?;
        let &[from, to] = rest else { return None };
        let last = RideKey {
            departs_at_ms: i64::from_le_bytes(*departs),
            arrives_at_ms: i64::from_le_bytes(*arrives),
            train: u32::from_le_bytes(*train),
            from,
            to,
        };
        Some(Self { search: u64::from_le_bytes(*search), last })
    }
}

/// The fingerprint of a search: of the timetable it reads and of every argument but the page's.
pub fn fingerprint(timetable_hash: u64, arguments: &[&str]) -> u64 {
    let mut bytes = timetable_hash.to_le_bytes().to_vec();
    for argument in arguments {
        bytes.extend((argument.len() as u64).to_le_bytes());
        bytes.extend(argument.as_bytes());
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_nothing_else_is_one() {
        let last = RideKey { departs_at_ms: 1_764_550_000_000, arrives_at_ms: -1, train: 70_000, from: 3, to: 17 };
        let token = PageToken { search: u64::MAX - 1, last };
        let text = token.encode();
        assert_eq!(PageToken::decode(&text), Some(token));
        for wrong in ["", "x", "!!!!", &text[1..], &format!("{text}AA")] {
            assert_eq!(PageToken::decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn arguments_do_not_run_into_each_other() {
        assert_ne!(fingerprint(1, &["ab", "c"]), fingerprint(1, &["a", "bc"]));
        assert_ne!(fingerprint(1, &["ab"]), fingerprint(2, &["ab"]));
    }
}
