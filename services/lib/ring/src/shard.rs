use std::fmt;
use std::str::FromStr;

use domain::Invalid;

/// The stable identity of a shard, such as `inventory-shard-0`: a StatefulSet's ordinal, never an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(String);

impl ShardId {
    /// The identity of a numbered shard.
    pub fn numbered(ordinal: u16) -> Self {
        Self(format!("inventory-shard-{ordinal}"))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ShardId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("shard", "1 to 63 lower-case letters, digits and inner hyphens", text))
        }
    }
}
