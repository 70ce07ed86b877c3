use std::fmt;

use journal_encoding::v1;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// How many slots runs are hashed onto.
const SLOTS: u64 = 1_024;

/// Names a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunName {
    train: String,
    /// Days since 1970-01-01.
    date: i32,
    ordinal: u32,
}

impl RunName {
    /// The name in a record.
    pub fn of(key: &v1::RunKey) -> Self {
        Self { train: key.train.clone(), date: key.service_date, ordinal: key.ordinal }
    }

    /// The slot it hashes to: XXH3 of the train code, a zero byte, the days as 4 bytes and the ordinal as 1, both
    /// little-endian, modulo the number of slots.
    pub fn slot(&self) -> i64 {
        let mut key = self.train.as_bytes().to_vec();
        key.push(0);
        key.extend_from_slice(&self.date.to_le_bytes());
        key.push(self.ordinal as u8);
        (xxh3_64(&key) % SLOTS) as i64
    }
}

/// `G71@2026-12-01`, with `#2` for a second run of that day.
impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.date);
        write!(f, "{}@{year:04}-{month:02}-{day:02}", self.train)?;
        if self.ordinal == 1 { Ok(()) } else { write!(f, "#{}", self.ordinal) }
    }
}

/// The civil date of days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i32) -> (i64, i64, i64) {
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A hold's id: its owner and one byte more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldKey {
    /// Order id or waitlist entry id.
    pub owner: u128,
    /// Leg, round or choice.
    pub leg: u8,
}

impl HoldKey {
    /// The id of 17 bytes, if they are 17.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (leg, owner) = bytes.split_last()?;
        Some(Self { owner: u128::from_be_bytes(owner.try_into().ok()?), leg: *leg })
    }

    /// The id of its text, `<uuid>/<number>`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (owner, leg) = text.split_once('/')?;
        Some(Self { owner: Uuid::try_parse(owner).ok()?.as_u128(), leg: leg.parse().ok()? })
    }
}

impl fmt::Display for HoldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Uuid::from_u128(self.owner), self.leg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        // 56 years of 365 days, 14 leap days, and day 326 of 2026 counted from 1; 2000-02-29 is day 11,016.
        for (days, text) in [(20_779, "G1@2026-11-22"), (11_016, "G1@2000-02-29"), (0, "G1@1970-01-01")] {
            assert_eq!(RunName { train: "G1".into(), date: days, ordinal: 1 }.to_string(), text);
        }
    }

    #[test]
    fn hold_ids_have_two_spellings() {
        let id = HoldKey { owner: 0x0192_f0c1, leg: 17 };
        assert_eq!(HoldKey::from_text(&id.to_string()), Some(id));
        let mut bytes = id.owner.to_be_bytes().to_vec();
        bytes.push(17);
        assert_eq!(HoldKey::from_bytes(&bytes), Some(id));
        assert_eq!(HoldKey::from_bytes(&bytes[1..]), None);
    }
}
