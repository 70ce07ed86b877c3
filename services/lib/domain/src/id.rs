use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::Invalid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these 128 bits.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The id's 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The id as 16 bytes, big-endian.
            pub const fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                const ALLOWED: &str = "a UUID in lower case with hyphens, not all zero";
                let id = Uuid::try_parse(text).map_err(|_| Invalid::new($what, ALLOWED, text))?;
                // One spelling per id, so that two clients can never mean one id by different texts.
                let mut buffer = Uuid::encode_buffer();
                if id.is_nil() || id.hyphenated().encode_lower(&mut buffer) != text {
                    return Err(Invalid::new($what, ALLOWED, text));
                }
                Ok(Self(id))
            }
        }
    };
}

uuid_id! {
    /// An order, named by the client that places it: the request id that makes placing safe to repeat.
    OrderId, "order id"
}
uuid_id! {
    /// A waitlist entry, named by the client that lodges it.
    EntryId, "waitlist entry id"
}

uuid_id! {
    /// A change of tickets, named by the client that asks for it: the request id that makes it safe to repeat.
    ChangeId, "change id"
}

/// A hold of seats on one run: the order and which of its legs. Repeating a hold id is safe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId {
    /// The order, or the waitlist entry, that the seats are for.
    pub owner: u128,
    /// 0 for the first leg.
    pub leg: u8,
}

impl HoldId {
    /// The hold for one leg of an order.
    pub const fn of_order(order: OrderId, leg: u8) -> Self {
        Self { owner: order.as_u128(), leg }
    }

    /// The id as 17 bytes: the owner big-endian, then the leg.
    pub fn bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[..16].copy_from_slice(&self.owner.to_be_bytes());
        bytes[16] = self.leg;
        bytes
    }

    /// The id of 17 bytes, if they are 17.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (leg, owner) = bytes.split_last()?;
        Some(Self { owner: u128::from_be_bytes(owner.try_into().ok()?), leg: *leg })
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Uuid::from_u128(self.owner).hyphenated(), self.leg)
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for HoldId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("hold id", "an order id, a slash and the leg", text);
        let (owner, leg) = text.split_once('/').ok_or_else(invalid)?;
        let owner: OrderId = owner.parse()?;
        Ok(Self { owner: owner.as_u128(), leg: leg.parse().map_err(|_| invalid())? })
    }
}

/// Who a passenger is on one service date, without saying who: a keyed hash of the document. Equal tokens mean the same
/// person on that date; tokens of different dates cannot be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonToken(pub [u8; 16]);

/// An account of a client: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, the subject of its bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(String);

impl AccountId {
    /// The account as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("account", "1 to 64 letters, digits, dots, hyphens or underscores", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d";
        assert_eq!(text.parse::<OrderId>().unwrap().to_string(), text);
        let others = [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), "0".repeat(36)];
        for other in others {
            assert!(other.parse::<OrderId>().is_err(), "{other}");
        }
        assert!("00000000-0000-0000-0000-000000000000".parse::<OrderId>().is_err());
    }

    #[test]
    fn hold_ids_survive_bytes_and_text() {
        let id: HoldId = "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d/1".parse().unwrap();
        assert_eq!(HoldId::from_bytes(&id.bytes()), Some(id));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(HoldId::from_bytes(&[1, 2, 3]), None);
    }
}
