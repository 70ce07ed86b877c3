use std::fmt;
use std::str::FromStr;

use crate::{Invalid, ServiceDate};

/// How many slots the runs of all dates are hashed onto. Fixed when a journal is created.
pub const SLOTS: u16 = 1024;

/// The public code of a train: `G71`, `K598`, `6063`, `ICE1672`. Up to 11 ASCII letters and digits, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrainCode {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl TrainCode {
    /// The longest code.
    pub const MAX_LEN: usize = 11;

    /// The code as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for TrainCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        if !fits || !text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return Err(Invalid::new("train code", "1 to 11 upper-case letters and digits, such as G71", text));
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len: text.len() as u8 })
    }
}

impl fmt::Display for TrainCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for TrainCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A train-date: a train code, the service date, and an ordinal for a code that runs twice a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    /// The train.
    pub train: TrainCode,
    /// The date at its origin.
    pub date: ServiceDate,
    /// 1 for the first run of that code on that date.
    pub ordinal: u8,
}

impl Run {
    /// The first run of a train on a date.
    pub const fn first(train: TrainCode, date: ServiceDate) -> Self {
        Self { train, date, ordinal: 1 }
    }

    /// The slot that owns this run: XXH3 (64 bits, seed 0) of the code, a zero byte, the days since 1970 and the
    /// ordinal, both little-endian, modulo [`SLOTS`]. Written to journals: it never changes.
    pub fn slot(&self) -> SlotId {
        let mut key = [0u8; TrainCode::MAX_LEN + 6];
        let code = self.train.as_str().as_bytes();
        key[..code.len()].copy_from_slice(code);
        let end = code.len() + 1;
        key[end..end + 4].copy_from_slice(&self.date.days().to_le_bytes());
        key[end + 4] = self.ordinal;
        let hash = xxhash_rust::xxh3::xxh3_64(&key[..end + 5]);
        SlotId((hash % u64::from(SLOTS)) as u16)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.train, self.date)?;
        if self.ordinal == 1 { Ok(()) } else { write!(f, "#{}", self.ordinal) }
    }
}

impl FromStr for Run {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("run", "TRAIN@YYYY-MM-DD, with #2 for a second run that day", text);
        let (train, rest) = text.split_once('@').ok_or_else(invalid)?;
        let (date, ordinal) = match rest.split_once('#') {
            Some((date, ordinal)) => (date, ordinal.parse().map_err(|_| invalid())?),
            None => (rest, 1),
        };
        if ordinal == 0 {
            return Err(invalid());
        }
        Ok(Self { train: train.parse()?, date: date.parse()?, ordinal })
    }
}

/// One of [`SLOTS`] slots: the unit of ownership, of the single writer, and of a journal's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(u16);

impl SlotId {
    /// A slot by its number.
    ///
    /// # Errors
    /// A number of [`SLOTS`] or more.
    pub fn new(number: u16) -> Result<Self, Invalid> {
        if number < SLOTS { Ok(Self(number)) } else { Err(Invalid::new("slot", "0 to 1023", &number.to_string())) }
    }

    /// The slot's number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Every slot in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_as_they_print() {
        for text in ["G71@2026-12-01", "ICE1672@2027-01-31#2"] {
            assert_eq!(text.parse::<Run>().unwrap().to_string(), text);
        }
        for text in
            ["g71@2026-12-01", "G71", "G71@2026-12-01#0", "@2026-12-01", "G71@tomorrow", "G71ABCDEFGHIJ@2026-12-01"]
        {
            assert!(text.parse::<Run>().is_err(), "{text}");
        }
    }

    #[test]
    fn slots_spread_a_national_timetable_evenly() {
        let dates = (0..15).map(|day| ServiceDate::from_days(20_800 + day).unwrap());
        let mut counts = [0u32; SLOTS as usize];
        for date in dates {
            for number in 0..5_500 {
                let train = format!("G{number}").parse().unwrap();
                counts[usize::from(Run::first(train, date).slot().number())] += 1;
            }
        }
        // 82,500 runs on 1,024 slots: mean 80.6, Poisson deviation 9; six deviations either side.
        assert!(counts.iter().all(|&n| (27..=135).contains(&n)), "{:?}", counts.iter().minmax());
    }

    trait MinMax {
        fn minmax(self) -> Option<(u32, u32)>;
    }

    impl<'a, I: Iterator<Item = &'a u32> + Clone> MinMax for I {
        fn minmax(self) -> Option<(u32, u32)> {
            Some((*self.clone().min()?, *self.max()?))
        }
    }
}
